"""docs/reference/settings.md."""

from itertools import groupby

from bots.adapters import SETTINGS_SECTIONS
from core.settings import SettingDefinition, setting_definitions
from core.settings.errors import valid_values
from core.settings.formatting import format_plain
from tests.project.reference.markdown import GENERATED, code, table

INTRODUCTION = """\
Every setting is an environment variable. Except for secrets, it is also a key in `parley.toml`. The environment overrides the file,
and an empty variable counts as unset. An unknown key in the file is an error. `parley config show` prints every value and its source.

Parley reads the file that `--config` names, or else the file that `PARLEY_CONFIG` names, or else `parley.toml` in the current folder.
[parley.example.toml](../../parley.example.toml) is a template.

Secrets are never read from `parley.toml`. Set the variable, or set `<VARIABLE>_FILE` to the path of a file that contains the secret.

In the environment, lists are separated by commas (`PARLEY_FALLBACKS=a,b`) and tables are pairs (`PARLEY_QUOTAS=model=1000,*=0`)."""


def render() -> str:
    parts = ["# Settings", GENERATED, INTRODUCTION]
    for group, definitions in groupby(setting_definitions(SETTINGS_SECTIONS), lambda definition: definition.group):
        parts += [f"## {group}", table(("Variable", "Key", "Default", "Meaning"), map(_row, definitions))]
    return "\n\n".join(parts) + "\n"


def _row(definition: SettingDefinition) -> tuple[str, ...]:
    values = valid_values(definition)
    meaning = f"{definition.description}." + (f" {values[0].upper()}{values[1:]}." if values else "")
    key = "secret" if definition.is_secret else code(definition.key)
    return code(definition.variable), key, code(format_plain(definition.default)), meaning
