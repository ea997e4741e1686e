"""`parley access list`: who may use the bot, as a table."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bots.settings_table import UNLIMITED_WIDTH
from core.settings import AccessMode
from core.store.grants import Grant


def print_grants(grants: Sequence[Grant], mode: AccessMode, console: Console) -> None:
    """One row per grant. Times are UTC."""
    if mode is AccessMode.OPEN:
        console.print("PARLEY_ACCESS=open lets everyone use the bot.", highlight=False)
    if not grants:
        console.print("Nobody has been allowed. `parley pair` creates a pairing code.", highlight=False)
        return
    is_piped = console.width == UNLIMITED_WIDTH
    table = Table(box=None if is_piped else box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
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
