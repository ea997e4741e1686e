"""What the platforms told us to wait, so that it holds after a restart and in every process."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import database_now, rate_limits

__all__ = ["active_rate_limits", "save_rate_limit"]

RETENTION_SECONDS = 60.0  # seconds after its end for which a row stays: deleting each at once costs more


def save_rate_limit(connection: Connection, account: str, chat: str, seconds: float) -> None:
    """Nothing to `chat` ("": to anybody) on `account` for so long."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(delete(rate_limits).where(rate_limits.c.until < database_now() - RETENTION_SECONDS))
    latest = func.max if connection.dialect.name == "sqlite" else func.greatest
    until = database_now() + seconds
    connection.execute(
        upsert(rate_limits)
        .values(account=account, chat=chat, until=until)
        .on_conflict_do_update(index_elements=["account", "chat"], set_={"until": latest(rate_limits.c.until, until)})
    )


def active_rate_limits(connection: Connection, accounts: Iterable[str]) -> list[tuple[str, str, float]]:
    """(account, chat, seconds still to wait)."""
    remaining = (rate_limits.c.until - database_now()).label("left")
    rows = connection.execute(
        select(rate_limits.c.account, rate_limits.c.chat, remaining).where(
            rate_limits.c.account.in_(list(accounts)), rate_limits.c.until > database_now()
        )
    )
    return [(row.account, row.chat, row.left) for row in rows]
