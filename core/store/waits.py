"""What the platforms told us to wait, so that it holds after a restart and in every process."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.store.schema import clock, waits

__all__ = ["current", "put"]

KEPT = 60.0  # seconds after its end for which a row stays: deleting each at once costs more


def put(connection: Connection, account: str, chat: str, seconds: float) -> None:
    """Nothing to `chat` ("": to anybody) on `account` for so long."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(delete(waits).where(waits.c.until < clock() - KEPT))
    later = func.max if connection.dialect.name == "sqlite" else func.greatest
    until = clock() + seconds
    connection.execute(
        upsert(waits)
        .values(account=account, chat=chat, until=until)
        .on_conflict_do_update(
            index_elements=["account", "chat"], set_={"until": later(waits.c.until, until)}
        )
    )


def current(connection: Connection, accounts: Iterable[str]) -> list[tuple[str, str, float]]:
    """(account, chat, seconds still to wait)."""
    left = (waits.c.until - clock()).label("left")
    rows = connection.execute(
        select(waits.c.account, waits.c.chat, left).where(
            waits.c.account.in_(list(accounts)), waits.c.until > clock()
        )
    )
    return [(row.account, row.chat, row.left) for row in rows]
