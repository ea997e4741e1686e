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
from core.settings import SECRETS, Access, Settings

__all__ = ["Given", "load", "misspelt", "read"]

DEFAULT = "default"
ENVIRONMENT = "environment"
SECRET_FILE = "secret file"  # noqa: S105 (where it is from)
FILE = "PARLEY_CONFIG"
OURS = ("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_")
ALIKE = 0.8  # of two names, as difflib tells it: one may be the other, misspelt
SHOWN = 60  # characters of a wrong value

FIELDS: Mapping[str, FieldInfo] = Settings.model_fields
NAMES = {str(field.validation_alias): name for name, field in FIELDS.items()}
"""Fields by their environment variables."""


@dataclass(frozen=True, slots=True)
class Given:
    """The settings, and by field where each is from: default, environment, a file's name."""

    settings: Settings
    sources: Mapping[str, str]


def load(file: Path | None = None) -> Settings:
    """As `read`, for who does not ask where they are from."""
    return read(file).settings


def read(file: Path | None = None) -> Given:
    """Read the environment and `file` (default: `PARLEY_CONFIG`, then ./parley.toml if there).

    Raises `ConfigurationError` that names every wrong setting, never a secret's value.
    """
    path = _path(file)
    given: dict[str, Any] = _from_file(path) if path else {}
    sources = dict.fromkeys(FIELDS, DEFAULT) | dict.fromkeys(given, str(path))
    for alias, name in NAMES.items():
        # Empty is unset, as in files of variables where a line is left to be filled in.
        if os.environ.get(alias, "").strip():
            given[name], sources[name] = os.environ[alias], ENVIRONMENT
        elif alias in SECRETS and os.environ.get(f"{alias}_FILE"):
            given[name], sources[name] = _secret(f"{alias}_FILE"), SECRET_FILE
    try:
        return Given(Settings(**given), sources)
    except ValidationError as error:
        wrong = [_told(item, sources) for item in error.errors()]
        if len(wrong) > 1:
            wrong = [f"{len(wrong)} settings are wrong:", *(f"  {line}" for line in wrong)]
        raise ConfigurationError("\n".join(wrong)) from None


def misspelt() -> list[tuple[str, str]]:
    """Variables that no setting has the name of, and the setting that may be meant."""
    known = [*NAMES, *(f"{name}_FILE" for name in SECRETS), FILE]
    found = []
    for name in sorted(os.environ):
        if name.startswith(OURS) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
            found += [(name, meant) for meant in near]
    return found


def _path(file: Path | None) -> Path | None:
    elsewhere = os.environ.get(FILE)
    if file or elsewhere:
        return file or Path(str(elsewhere))
    usual = Path("parley.toml")
    return usual if usual.exists() else None


def _secret(name: str) -> str:
    # Not the path: somebody may have put the secret itself there.
    try:
        secret = Path(os.environ[name]).read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"{name} must be the path of a file that can be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} names a file that is no text") from None
    if not secret:
        raise ConfigurationError(f"{name} names a file that is empty")
    return secret


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    wrong = [_unknown(key) for key in table if key not in FIELDS or _alias(key) in SECRETS]
    if wrong:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in wrong))
    return table


def _alias(name: str) -> str:
    return str(FIELDS[name].validation_alias)


def _unknown(key: str) -> str:
    """Why `key` cannot stand in the file."""
    alias = _alias(key) if key in FIELDS else key.upper()
    if alias in SECRETS:
        return (
            f"{key[:SHOWN]} is a secret: put it into the environment as {alias} or into a file "
            f"named by {alias}_FILE"
        )
    if alias in NAMES:
        return f"{key[:SHOWN]} is called {NAMES[alias]} here"
    near = difflib.get_close_matches(key, [n for a, n in NAMES.items() if a not in SECRETS], n=1)
    meant = f"; is {near[0]} meant?" if near else ". parley.example.toml lists those there are"
    return f"{key[:SHOWN]} is no setting{meant}"


def _told(item: ErrorDetails, sources: Mapping[str, str]) -> str:
    """What is wrong with one setting, by the name it was given by, and what would be right."""
    found = str(item["loc"][0])
    name = NAMES.get(found, found)
    alias, field, source = _alias(name), FIELDS[name], sources[name]
    example = field.examples[0] if field.examples else None
    if alias in SECRETS:
        return f"{alias} {_problem(item, field)}. For example: {alias}={_plain(example)}"
    from_file = source not in (DEFAULT, ENVIRONMENT)
    both = f"{name} in {source} ({alias})" if from_file else f"{alias} ({name} in parley.toml)"
    right = f"{name} = {_toml(example)}" if from_file else f"{alias}={_plain(example)}"
    return f"{both} {_problem(item, field)}{_given(item['input'])}. For example: {right}"


def _problem(item: ErrorDetails, field: FieldInfo) -> str:
    kind = field.annotation
    match item["type"]:
        case "value_error":
            return str(item["ctx"]["error"])
        case "string_too_long":
            return f"must have {item['ctx']['max_length']:,} characters at most"
    if kind in (int, float):
        low = next(limit.ge for limit in field.metadata if hasattr(limit, "ge"))
        high = next(limit.le for limit in field.metadata if hasattr(limit, "le"))
        return f"must be a {'whole ' * (kind is int)}number from {low:,} to {high:,}"
    if kind is Access or get_origin(kind) is Literal:
        choices = tuple(Access) if kind is Access else get_args(kind)
        return f"must be one of {', '.join(choices)}"
    return "must be true or false" if kind is bool else "must be text"


def _given(value: object) -> str:
    """A wrong value, where it cannot hold a password and is short enough to be seen in."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    simple = isinstance(value, str | int | float) and len(text) <= SHOWN
    return f', not "{text}"' if simple and "://" not in text and "@" not in text else ""


def _plain(value: Any) -> str:
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


def _toml(value: Any) -> str:
    match value:
        case dict():
            return (
                "{ "
                + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
                + " }"
            )
        case tuple():
            return json.dumps(list(value))
        case _:
            return json.dumps(value)
