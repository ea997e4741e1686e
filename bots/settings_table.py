"""`parley config show`: every setting as a table."""

from rich import box
from rich.console import Console
from rich.table import Table

from core.configuration import LoadedSettings
from core.settings import SECRETS, Settings

__all__ = ["UNLIMITED_WIDTH", "print_settings"]

UNLIMITED_WIDTH = 100_000
"""Columns where nobody looks at a screen: lines are as long as what they say."""
MIN_WIDTH_FOR_DESCRIPTIONS = 150
"""Columns from which on everything fits."""
EMPTY_CELL = "-"


def print_settings(loaded: LoadedSettings, console: Console) -> None:
    """One row a setting; a narrow terminal gets no meanings."""
    is_piped, has_descriptions = (
        console.width == UNLIMITED_WIDTH,
        console.width >= MIN_WIDTH_FOR_DESCRIPTIONS,
    )
    table = Table(box=None if is_piped else box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    if has_descriptions:
        table.add_column("in parley.toml", no_wrap=True)
        table.add_column("meaning", overflow="fold")
    else:
        table.caption = "A wider terminal shows the meanings, too; so does parley.example.toml."
    for name, field in Settings.model_fields.items():
        alias = str(field.validation_alias)
        value = getattr(loaded.settings, name)
        value_text = ("set" if value else "not set") if alias in SECRETS else _format_value(value)
        description_cells = (EMPTY_CELL if alias in SECRETS else name, field.description) if has_descriptions else ()
        table.add_row(alias, _escape_cell(value_text), _escape_cell(loaded.sources[name]), *description_cells)
    console.print(table)


def _format_value(value: object) -> str:
    match value:
        case None | "":
            return EMPTY_CELL
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case dict():
            pairs = (f"{key}={given}" for key, given in value.items())
            return ",".join(pairs) or EMPTY_CELL
        case tuple():
            return ",".join(value) or EMPTY_CELL
        case _:
            return _without_password(str(value))


def _escape_cell(text: str) -> str:
    """In one line, and nothing in it is markup."""
    return " ".join(text.split()).replace("[", "\\[")


def _without_password(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and "@" in rest:
        rest = f"***@{rest.rpartition('@')[2]}"
    if separator and "?" in rest:
        rest = f"{rest.partition('?')[0]}?***"  # parameters can hold a password as well
    return scheme + separator + rest
