"""`parley config show`: every setting as a table."""

from rich import box
from rich.console import Console
from rich.table import Table

from core.configuration import Given
from core.settings import SECRETS, Settings

__all__ = ["WIDE", "show"]

WIDE = 100_000
"""Columns where nobody looks at a screen: lines are as long as what they say."""
ROOMY = 150
"""Columns from which on everything fits."""
NOTHING = "-"


def show(given: Given, out: Console) -> None:
    """One row a setting; a narrow terminal gets no meanings."""
    piped, roomy = out.width == WIDE, out.width >= ROOMY
    table = Table(box=None if piped else box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", no_wrap=True)
    if roomy:
        table.add_column("in parley.toml", no_wrap=True)
        table.add_column("meaning", overflow="fold")
    else:
        table.caption = "A wider terminal shows the meanings, too; so does parley.example.toml."
    for name, field in Settings.model_fields.items():
        alias = str(field.validation_alias)
        value = getattr(given.settings, name)
        shown = ("set" if value else "not set") if alias in SECRETS else _shown(value)
        more = (NOTHING if alias in SECRETS else name, field.description) if roomy else ()
        table.add_row(alias, _cell(shown), _cell(given.sources[name]), *more)
    out.print(table)


def _shown(value: object) -> str:
    match value:
        case None | "":
            return NOTHING
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case dict():
            pairs = (f"{key}={given}" for key, given in value.items())
            return ",".join(pairs) or NOTHING
        case tuple():
            return ",".join(value) or NOTHING
        case _:
            return _without_password(str(value))


def _cell(text: str) -> str:
    """In one line, and nothing in it is markup."""
    return " ".join(text.split()).replace("[", "\\[")


def _without_password(text: str) -> str:
    scheme, found, rest = text.partition("://")
    if found and "@" in rest:
        rest = f"***@{rest.rpartition('@')[2]}"
    if found and "?" in rest:
        rest = f"{rest.partition('?')[0]}?***"  # parameters can hold a password as well
    return scheme + found + rest
