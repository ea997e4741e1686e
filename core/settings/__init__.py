"""The settings: what exists, what values are valid, and where each value comes from.

`model` declares the core's settings. Each adapter declares its own section in its own folder, as a
`SettingsSection`; `loading` reads all of them from the environment and `parley.toml`.
"""

from core.settings.loading import (
    LoadedSettings,
    SettingSource,
    UnknownVariable,
    config_file_values,
    find_misspelled_variables,
    load_settings,
    parse_settings,
    setting_definitions,
    setting_variables,
)
from core.settings.model import AccessMode, Settings, SharedSettings
from core.settings.reset_words import is_default_word, is_off_word, is_reserved_word, is_reset_word
from core.settings.section import SettingDefinition, SettingsSection, setting

__all__ = [
    "AccessMode",
    "LoadedSettings",
    "SettingDefinition",
    "SettingSource",
    "Settings",
    "SettingsSection",
    "SharedSettings",
    "UnknownVariable",
    "config_file_values",
    "find_misspelled_variables",
    "is_default_word",
    "is_off_word",
    "is_reserved_word",
    "is_reset_word",
    "load_settings",
    "parse_settings",
    "setting",
    "setting_definitions",
    "setting_variables",
]
