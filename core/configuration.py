"""The settings as they are given: the environment beats the file, the file the defaults.

A secret stands in the environment alone, or in the file that `<NAME>_FILE` names. A key that
nobody knows is an error.
"""

import difflib
import json
import os
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from core.errors import ConfigurationError
from core.settings import SECRETS, AccessMode, Settings

__all__ = ["LoadedSettings", "find_misspelled_variables", "load", "load_with_sources"]

DEFAULT_SOURCE = "default"
ENVIRONMENT_SOURCE = "environment"
SECRET_FILE_SOURCE = "secret file"  # noqa: S105 (where it is from)
CONFIG_FILE_VARIABLE = "PARLEY_CONFIG"
VARIABLE_PREFIXES = ("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_")
MIN_NAME_SIMILARITY = 0.8  # of two names, as difflib tells it: one may be the other, misspelt
MAX_SHOWN_CHARS = 60  # characters of a wrong value

FIELDS: Mapping[str, FieldInfo] = Settings.model_fields
FIELD_BY_VARIABLE = {str(field.validation_alias): name for name, field in FIELDS.items()}
"""Fields by their environment variables."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and by field where each is from: default, environment, a file's name."""

    settings: Settings
    sources: Mapping[str, str]


def load(file: Path | None = None) -> Settings:
    """As `read`, for who does not ask where they are from."""
    return load_with_sources(file).settings


def load_with_sources(file: Path | None = None) -> LoadedSettings:
    """Read the environment and `file` (default: `PARLEY_CONFIG`, then ./parley.toml if there).

    Raises `ConfigurationError` that names every wrong setting, never a secret's value.
    """
    path = _config_path(file)
    values: dict[str, Any] = _read_toml(path) if path else {}
    sources = dict.fromkeys(FIELDS, DEFAULT_SOURCE) | dict.fromkeys(values, str(path))
    for alias, name in FIELD_BY_VARIABLE.items():
        # Empty is unset, as in files of variables where a line is left to be filled in.
        if os.environ.get(alias, "").strip():
            values[name], sources[name] = os.environ[alias], ENVIRONMENT_SOURCE
        elif alias in SECRETS and os.environ.get(f"{alias}_FILE"):
            values[name], sources[name] = _read_secret_file(f"{alias}_FILE"), SECRET_FILE_SOURCE
    try:
        return LoadedSettings(Settings(**values), sources)
    except ValidationError as error:
        problems = [_describe_error(item, sources) for item in error.errors()]
        if len(problems) > 1:
            problems = [f"{len(problems)} settings are wrong:", *(f"  {line}" for line in problems)]
        raise ConfigurationError("\n".join(problems)) from None


def find_misspelled_variables() -> list[tuple[str, str]]:
    """Variables that no setting has the name of, and the setting that may be meant."""
    known = [*FIELD_BY_VARIABLE, *(f"{name}_FILE" for name in SECRETS), CONFIG_FILE_VARIABLE]
    misspelled = []
    for name in sorted(os.environ):
        if name.startswith(VARIABLE_PREFIXES) and name not in known:
            candidates = difflib.get_close_matches(name, known, n=1, cutoff=MIN_NAME_SIMILARITY)
            misspelled += [(name, meant) for meant in candidates]
    return misspelled


def _config_path(file: Path | None) -> Path | None:
    configured = os.environ.get(CONFIG_FILE_VARIABLE)
    if file or configured:
        return file or Path(str(configured))
    default_path = Path("parley.toml")
    return default_path if default_path.exists() else None


def _read_secret_file(variable: str) -> str:
    # Not the path: somebody may have put the secret itself there.
    try:
        secret = Path(os.environ[variable]).read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"{variable} must be the path of a file that can be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable} names a file that is no text") from None
    if not secret:
        raise ConfigurationError(f"{variable} names a file that is empty")
    return secret


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    problems = [_describe_unknown_key(key) for key in table if key not in FIELDS or _variable_name(key) in SECRETS]
    if problems:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in problems))
    return table


def _variable_name(field_name: str) -> str:
    return str(FIELDS[field_name].validation_alias)


def _describe_unknown_key(key: str) -> str:
    """Why `key` cannot stand in the file."""
    variable = _variable_name(key) if key in FIELDS else key.upper()
    if variable in SECRETS:
        return (
            f"{key[:MAX_SHOWN_CHARS]} is a secret: put it into the environment as {variable} "
            "or into a file "
            f"named by {variable}_FILE"
        )
    if variable in FIELD_BY_VARIABLE:
        return f"{key[:MAX_SHOWN_CHARS]} is called {FIELD_BY_VARIABLE[variable]} here"
    candidates = difflib.get_close_matches(key, [n for a, n in FIELD_BY_VARIABLE.items() if a not in SECRETS], n=1)
    suggestion = f"; is {candidates[0]} meant?" if candidates else ". parley.example.toml lists those there are"
    return f"{key[:MAX_SHOWN_CHARS]} is no setting{suggestion}"


def _describe_error(error: ErrorDetails, sources: Mapping[str, str]) -> str:
    """What is wrong with one setting, by the name it was given by, and what would be right."""
    location = str(error["loc"][0])
    name = FIELD_BY_VARIABLE.get(location, location)
    variable, field, source = _variable_name(name), FIELDS[name], sources[name]
    example = field.examples[0] if field.examples else None
    if variable in SECRETS:
        return f"{variable} {_describe_problem(error, field)}. For example: {variable}={_format_for_shell(example)}"
    from_file = source not in (DEFAULT_SOURCE, ENVIRONMENT_SOURCE)
    full_name = f"{name} in {source} ({variable})" if from_file else f"{variable} ({name} in parley.toml)"
    correct_line = f"{name} = {_format_as_toml(example)}" if from_file else f"{variable}={_format_for_shell(example)}"
    return (
        f"{full_name} {_describe_problem(error, field)}{_describe_value(error['input'])}. For example: {correct_line}"
    )


def _describe_problem(error: ErrorDetails, field: FieldInfo) -> str:
    field_type = field.annotation
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_too_long":
            return f"must have {error['ctx']['max_length']:,} characters at most"
    if field_type in (int, float):
        minimum = next(limit.ge for limit in field.metadata if hasattr(limit, "ge"))
        maximum = next(limit.le for limit in field.metadata if hasattr(limit, "le"))
        return f"must be a {'whole ' * (field_type is int)}number from {minimum:,} to {maximum:,}"
    if field_type is AccessMode or get_origin(field_type) is Literal:
        choices = tuple(AccessMode) if field_type is AccessMode else get_args(field_type)
        return f"must be one of {', '.join(choices)}"
    return "must be true or false" if field_type is bool else "must be text"


def _describe_value(value: object) -> str:
    """A wrong value, where it cannot hold a password and is short enough to be seen in."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    is_safe = isinstance(value, str | int | float) and len(text) <= MAX_SHOWN_CHARS
    return f', not "{text}"' if is_safe and "://" not in text and "@" not in text else ""


def _format_for_shell(value: Any) -> str:
    """As one writes it in a shell."""
    match value:
        case bool():
            return str(value).lower()
        case dict() if any(" " in str(text) for text in value.values()):
            return shlex.quote(json.dumps(value))
        case dict():
            return shlex.quote(",".join(f"{key}={given}" for key, given in value.items()))
        case tuple():
            return shlex.quote(",".join(value))
        case _:
            return shlex.quote(f"{value:g}" if isinstance(value, float) else str(value))


def _format_as_toml(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {_format_as_toml(one)}" for key, one in value.items()) + " }"
        case tuple():
            return json.dumps(list(value))
        case _:
            return json.dumps(value)
