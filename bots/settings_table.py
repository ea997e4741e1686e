"""`parley config show`: every setting as a table."""

from rich import box
from rich.console import Console
from rich.table import Table

from core.settings import LoadedSettings, SettingDefinition, SettingSource
from core.settings.formatting import format_plain

UNLIMITED_WIDTH = 100_000
"""Console width that never wraps, for output that is not a terminal."""
MIN_WIDTH_FOR_DESCRIPTIONS = 150
EMPTY_CELL = "-"


def print_settings(settings: LoadedSettings, console: Console) -> None:
    """One row per setting. Narrow terminals get no descriptions."""
    is_piped = console.width == UNLIMITED_WIDTH
    has_descriptions = console.width >= MIN_WIDTH_FOR_DESCRIPTIONS
    table = Table(box=None if is_piped else box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("source", no_wrap=True)
    if has_descriptions:
        table.add_column("key in parley.toml", no_wrap=True)
        table.add_column("description", overflow="fold")
    else:
        table.caption = "For descriptions, widen the terminal or see parley.example.toml."
    for definition, value in settings.values():
        value_text = _format_value(definition, value)
        source = settings.sources[definition.key]
        cells = [
            definition.variable,
            value_text,
            str(settings.config_file if source is SettingSource.CONFIG_FILE else source),
        ]
        if has_descriptions:
            cells += [EMPTY_CELL if definition.is_secret else definition.key, definition.description]
        table.add_row(*map(_escape_cell, cells))
    console.print(table)


def _format_value(definition: SettingDefinition, value: object) -> str:
    if definition.is_secret:
        return "set" if value else "not set"
    return _without_password(format_plain(value))


def _escape_cell(text: str) -> str:
    """On one line, without markup."""
    return " ".join(text.split()).replace("[", "\\[") or EMPTY_CELL


def _without_password(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and "@" in rest:
        rest = f"***@{rest.rpartition('@')[2]}"
    if separator and "?" in rest:
        rest = f"{rest.partition('?')[0]}?***"  # a parameter may be a password, too
    return scheme + separator + rest
