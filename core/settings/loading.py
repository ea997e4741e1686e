"""Read settings: the environment overrides `parley.toml`, which overrides the defaults.

Secrets come from the environment or from the file named by `<VARIABLE>_FILE`. An unknown key in
`parley.toml` is an error. Error texts are made by `core.settings.errors`.
"""

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from core.errors import ConfigurationError
from core.proxies import check_proxies
from core.settings.errors import describe_invalid_value, describe_unknown_key
from core.settings.model import Settings
from core.settings.parsing import strip_quotes
from core.settings.section import SettingDefinition, SettingsSection

CONFIG_FILE_VARIABLE = "PARLEY_CONFIG"
MIN_NAME_SIMILARITY = 0.8
"""`difflib` ratio from which an unknown variable counts as misspelled."""

Sections = Sequence[type[SettingsSection]]
"""`Settings` and the sections of the adapters."""
S = TypeVar("S", bound=SettingsSection)


class SettingSource(StrEnum):
    DEFAULT = "default"
    ENVIRONMENT = "environment"
    SECRET_FILE = "secret file"  # noqa: S105 (a label)
    CONFIG_FILE = "settings file"


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """An environment variable that resembles the name of a setting."""

    name: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The validated settings of the core and of every adapter, and where each value comes from."""

    sections: tuple[SettingsSection, ...]
    sources: Mapping[str, SettingSource]
    """By key."""
    config_file: Path | None = None

    @property
    def core(self) -> Settings:
        return self.section(Settings)

    def section(self, section_class: type[S]) -> S:
        return next(section for section in self.sections if isinstance(section, section_class))

    def values(self) -> Iterator[tuple[SettingDefinition, Any]]:
        for section in self.sections:
            for definition in section.definitions():
                yield definition, getattr(section, definition.field_name)


def setting_definitions(sections: Sections) -> list[SettingDefinition]:
    return [definition for section in sections for definition in section.definitions()]


def setting_variables(sections: Sections) -> set[str]:
    """Every environment variable that is read."""
    definitions = setting_definitions(sections)
    file_variables = {definition.file_variable for definition in definitions if definition.file_variable}
    return {definition.variable for definition in definitions} | file_variables | {CONFIG_FILE_VARIABLE}


def load_settings(sections: Sections, config_file: Path | None = None) -> LoadedSettings:
    """Read the environment and `config_file` (default: `PARLEY_CONFIG`, then ./parley.toml if it exists).

    Raises `ConfigurationError`. Its text names every wrong setting and never shows a secret.
    """
    check_proxies()
    definitions = setting_definitions(sections)
    path = _config_path(config_file)
    values = _read_config_file(path, definitions) if path else {}
    sources = dict.fromkeys(values, SettingSource.CONFIG_FILE)
    for definition in definitions:
        # An empty variable counts as unset: env files often keep a blank line for each setting.
        if value := _read_variable(definition.variable):
            values[definition.key] = value
            sources[definition.key] = SettingSource.ENVIRONMENT
        elif definition.file_variable and _read_variable(definition.file_variable):
            values[definition.key] = _read_secret_file(definition.file_variable)
            sources[definition.key] = SettingSource.SECRET_FILE
    return parse_settings(values, sections, sources=sources, config_file=path)


def parse_settings(
    values: Mapping[str, object],
    sections: Sections,
    *,
    sources: Mapping[str, SettingSource] | None = None,
    config_file: Path | None = None,
) -> LoadedSettings:
    """Validate `values`, given by key. Raises `ConfigurationError` as `load_settings` does."""
    parsed: list[SettingsSection] = []
    problems: list[str] = []
    definitions = {definition.key: definition for definition in setting_definitions(sections)}
    all_sources = dict.fromkeys(definitions, SettingSource.DEFAULT) | dict(sources or {})
    for section_class in sections:
        section_values = {
            definitions[key].field_name: value
            for key, value in values.items()
            if definitions[key].section is section_class
        }
        try:
            parsed.append(section_class(**section_values))
        except ValidationError as error:
            for item in error.errors():
                definition = definitions[f"{section_class.key_prefix}{item['loc'][0]}"]
                is_from_file = all_sources[definition.key] is SettingSource.CONFIG_FILE
                problems.append(describe_invalid_value(item, definition, config_file if is_from_file else None))
    if len(problems) > 1:
        problems = [f"{len(problems)} settings are wrong:", *(f"  {line}" for line in problems)]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return LoadedSettings(tuple(parsed), all_sources, config_file)


def find_misspelled_variables(sections: Sections) -> list[UnknownVariable]:
    """Environment variables that are not settings but resemble one."""
    known = setting_variables(sections)
    prefixes = tuple({name.partition("_")[0] + "_" for name in known})
    return [
        UnknownVariable(name, suggestion)
        for name in sorted(os.environ)
        if name.startswith(prefixes) and name not in known
        for suggestion in difflib.get_close_matches(name, known, n=1, cutoff=MIN_NAME_SIMILARITY)
    ]


def config_file_values(sections: Sections, *, except_keys: Collection[str] = ()) -> dict[str, Any]:
    """What the settings file sets, by key; nothing without a file. Raises `ConfigurationError`.

    `except_keys` are not checked, and not in the result.
    """
    path = _config_path(None)
    if path is None:
        return {}
    values = _read_config_file(path, setting_definitions(sections))
    values = {key: value for key, value in values.items() if key not in except_keys}
    parse_settings(values, sections, sources=dict.fromkeys(values, SettingSource.CONFIG_FILE), config_file=path)
    return values


def _config_path(config_file: Path | None) -> Path | None:
    configured = _read_variable(CONFIG_FILE_VARIABLE)
    if config_file or configured:
        return config_file or Path(configured)
    default_path = Path("parley.toml")
    return default_path if default_path.exists() else None


def _read_variable(name: str) -> str:
    """The variable without what tools leave around values (`docker run --env-file` keeps quotes); "" if it is unset."""
    return strip_quotes(os.environ.get(name, ""))


def _read_secret_file(variable: str) -> str:
    # Errors do not show the path: somebody may have put the secret itself there.
    try:
        secret = strip_quotes(Path(_read_variable(variable)).read_text())
    except OSError as error:
        raise ConfigurationError(f"{variable} must be the path of a readable file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable} names a file that is not text") from None
    if not secret:
        raise ConfigurationError(f"{variable} names an empty file")
    return secret


def _read_config_file(path: Path, definitions: Sequence[SettingDefinition]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
    allowed = {definition.key for definition in definitions if not definition.is_secret}
    problems = [describe_unknown_key(key, definitions) for key in values if key not in allowed]
    if problems:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in problems))
    return values
