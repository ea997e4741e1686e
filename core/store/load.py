"""How much waits in the database, and how large it is."""

from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, or_, select, text

from core.store.schema import IS_OPEN, database_now, turns
from core.store.turns import TurnState


@dataclass(frozen=True, slots=True)
class Backlog:
    count: int = 0
    oldest_seconds: float = 0.0
    """The age of the oldest turn; 0 if there is none."""


@dataclass(frozen=True, slots=True)
class StoreLoad:
    queue: Backlog
    """Events that no process works on, although nothing earlier in their conversations is open."""
    outbox: Backlog
    """Answers that are stored and not yet completely delivered."""
    size_bytes: int


def measure_load(connection: Connection) -> StoreLoad:
    """Measure the load of all accounts and processes."""
    oldest_age = database_now() - func.min(turns.c.created_at)
    earlier = turns.alias()
    waits_for_another = exists().where(
        earlier.c.conversation_id == turns.c.conversation_id,
        earlier.c.finished_at.is_(None),
        earlier.c.seq < turns.c.seq,
    )
    rows = connection.execute(
        select(turns.c.state, func.count().label("turns"), oldest_age.label("age"))
        .where(IS_OPEN, or_(turns.c.state != TurnState.QUEUED, ~waits_for_another))
        .group_by(turns.c.state)
    )
    backlogs = {row.state: Backlog(row.turns, max(0.0, row.age)) for row in rows}
    return StoreLoad(
        backlogs.get(TurnState.QUEUED, Backlog()),
        backlogs.get(TurnState.DELIVERING, Backlog()),
        _size_bytes(connection),
    )


def _size_bytes(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, page_size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
        return int(pages or 0) * int(page_size or 0)
    return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
