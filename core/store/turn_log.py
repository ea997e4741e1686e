"""The latest turns with their states, to look at from outside. Nothing here changes anything."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from core.store.schema import turns


@dataclass(frozen=True, slots=True)
class TurnSummary:
    """`created_at` and `finished_at` are by the database's clock."""

    id: int
    state: str
    chat_key: str
    """platform:account:chat"""
    person_key: str
    model: str | None
    attempt: int
    failed_attempts: int
    prompt_tokens: int
    completion_tokens: int
    created_at: float
    finished_at: float | None


def list_latest_turns(connection: Connection, limit: int) -> list[TurnSummary]:
    """The turns that were accepted last, oldest first."""
    columns = [turns.c[name] for name in TurnSummary.__dataclass_fields__]
    rows = connection.execute(select(*columns).order_by(turns.c.id.desc()).limit(limit))
    return [TurnSummary(**row._mapping) for row in reversed(rows.all())]  # noqa: SLF001 (SQLAlchemy's public name)
