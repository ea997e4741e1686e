"""Error texts about settings: the name as the operator wrote it, the problem, and a correct example."""

import difflib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

from core.settings.formatting import format_for_shell, format_for_toml
from core.settings.section import SettingDefinition

MAX_SHOWN_CHARS = 60


def describe_unknown_key(key: str, definitions: Sequence[SettingDefinition]) -> str:
    """Why `key` is not allowed in the settings file."""
    shown_key = key[:MAX_SHOWN_CHARS]
    for definition in definitions:
        if definition.is_secret and (key == definition.key or key.upper() == definition.variable):
            return (
                f"{shown_key} is a secret: set {definition.variable} in the environment, "
                f"or {definition.variable}_FILE to the path of a file that contains it"
            )
        if key.upper() == definition.variable:
            return f"{shown_key} is called {definition.key} in this file"
    keys = [definition.key for definition in definitions if not definition.is_secret]
    suggestions = difflib.get_close_matches(key, keys, n=1)
    hint = (
        f"Did you mean {suggestions[0]}?"
        if suggestions
        else "Without this file, `parley config show` lists all settings"
    )
    return f"unknown setting {shown_key}. {hint}"


def describe_invalid_value(error: Mapping[str, Any], definition: SettingDefinition, config_file: Path | None) -> str:
    """What is wrong with one value, and a correct one. `config_file`: where the value was read, if from a file."""
    variable, problem = definition.variable, _describe_problem(error, definition)
    variable_example = f"{variable}={format_for_shell(definition.example)}"
    if definition.is_secret:
        return f"{variable} {problem}. For example: {variable_example}"
    if config_file is None:
        name, example = f"{variable} ({definition.key} in parley.toml)", variable_example
    else:
        name = f"{definition.key} in {config_file} ({variable})"
        example = f"{definition.key} = {format_for_toml(definition.example)}"
    value = "" if '"' in problem else _describe_value(error["input"])  # the problem may quote the wrong part
    return f"{name} {problem}{value}. For example: {example}"


def valid_values(definition: SettingDefinition) -> str:
    """The values a number, a choice or a switch can have, in words; empty for other types."""
    field_type = definition.field.annotation
    if field_type in (int, float):
        minimum = next(limit.ge for limit in definition.field.metadata if hasattr(limit, "ge"))
        maximum = next(limit.le for limit in definition.field.metadata if hasattr(limit, "le"))
        return f"a {'whole ' * (field_type is int)}number from {minimum:,} to {maximum:,}"
    if get_origin(field_type) is not None and (choices := get_args(field_type)) and isinstance(choices[0], str):
        return f"one of {', '.join(choices)}"
    if isinstance(field_type, type) and issubclass(field_type, StrEnum):
        return f"one of {', '.join(field_type)}"
    return "true or false" if field_type is bool else ""


def _describe_problem(error: Mapping[str, Any], definition: SettingDefinition) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_too_long":
            return f"must have at most {error['ctx']['max_length']:,} characters"
    return f"must be {valid_values(definition) or 'text'}"


def _describe_value(value: object) -> str:
    """The wrong value, unless it is long or may contain a password."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    is_safe = isinstance(value, str | int | float) and len(text) <= MAX_SHOWN_CHARS
    return f', not "{text}"' if is_safe and "://" not in text and "@" not in text else ""
