"""The tables of `parley config show` and `parley access list`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.settings import AccessMode, LoadedSettings, SettingDefinition, SettingSource
from core.settings.formatting import format_plain

if TYPE_CHECKING:
    from core.store.grants import Grant

UNLIMITED_WIDTH = 100_000
"""Console width that never wraps, for output that is not a terminal."""
MIN_WIDTH_FOR_DESCRIPTIONS = 150
MAX_SOURCE_WIDTH = 20
EMPTY_CELL = "-"


def print_settings(settings: LoadedSettings, console: Console) -> None:
    """One row per setting. Narrow terminals get no descriptions. The source of a value is the settings file's name."""
    config_file = settings.config_file
    has_descriptions = console.width >= MIN_WIDTH_FOR_DESCRIPTIONS
    table = _create_table(console)
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("source", max_width=MAX_SOURCE_WIDTH, overflow="fold")
    if has_descriptions:
        table.add_column("key in parley.toml", no_wrap=True)
        table.add_column("description", overflow="fold")
    else:
        table.caption = "For descriptions, widen the terminal or pipe the output: parley config show | less -S"
    for definition, value in settings.values():
        value_text = _format_value(definition, value)
        source = settings.sources[definition.key]
        cells = [
            definition.variable,
            value_text,
            config_file.name if config_file and source is SettingSource.CONFIG_FILE else str(source),
        ]
        if has_descriptions:
            cells += [EMPTY_CELL if definition.is_secret else definition.key, definition.description]
        table.add_row(*map(_escape_cell, cells))
    console.print(table)
    if config_file and len(config_file.parts) > 1:
        console.print(f"Settings file: {config_file}", markup=False, highlight=False, soft_wrap=True)


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


def print_grants(grants: "Sequence[Grant]", mode: AccessMode, console: Console) -> None:
    """One row per grant. Times are UTC."""
    if mode is AccessMode.OPEN:
        console.print("PARLEY_ACCESS=open lets everyone use the bot.", highlight=False)
    if not grants:
        console.print("Nobody has been allowed. `parley pair` creates a pairing code.", highlight=False)
        return
    table = _create_table(console)
    for column in ("platform", "kind", "ID", "role", "since (UTC)", "name"):
        table.add_column(column, overflow="fold")
    for grant in grants:
        platform, kind, id_ = grant.subject.split(":", 2)
        since = datetime.fromtimestamp(grant.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(platform, kind, id_, grant.role, since, escape(_printable(grant.name)))
    console.print(table)


def _printable(name: str) -> str:
    """People choose their names: without characters that control the terminal."""
    return "".join(character for character in name if character.isprintable())


def _create_table(console: Console) -> Table:
    """Without lines if the output is piped."""
    box_style = None if console.width == UNLIMITED_WIDTH else box.SIMPLE_HEAD
    return Table(box=box_style, padding=(0, 2, 0, 0))
