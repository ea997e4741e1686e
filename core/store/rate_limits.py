"""Waits that a platform asked for. They stay in force after a restart and apply to every process."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from core.port import AccountKey
from core.store.dialect import upsert
from core.store.schema import CLOCK_TOLERANCE_SECONDS, database_now, rate_limits

RETENTION_SECONDS = 60
"""How long expired rows stay. Deleting each one at once would cost more."""


@dataclass(frozen=True, slots=True)
class ActiveRateLimit:
    account: AccountKey
    chat: str
    """Empty for all chats of the account."""
    remaining_seconds: float


def save_rate_limit(connection: Connection, account: AccountKey, chat: str, seconds: float) -> None:
    """Block `chat` (an empty string: the whole account). The longest wait wins."""
    is_outdated = rate_limits.c.blocked_until < database_now() - RETENTION_SECONDS
    connection.execute(delete(rate_limits).where(is_outdated))
    until = database_now() + seconds
    key = {"account_key": str(account), "chat": chat}
    wait = {"blocked_until": until, "requested_seconds": seconds}
    upsert(connection, rate_limits, key, wait, where=rate_limits.c.blocked_until < until)


def active_rate_limits(connection: Connection, accounts: Iterable[AccountKey]) -> list[ActiveRateLimit]:
    """The waits in force, each at most as long as the platform asked for.

    A longer one was stored before the clock was set back. It is shortened in the database too, so that it ends.
    """
    accounts_by_key = {str(account): account for account in accounts}
    remaining = (rate_limits.c.blocked_until - database_now()).label("remaining_seconds")
    rows = connection.execute(
        select(rate_limits, remaining).where(
            rate_limits.c.account_key.in_(accounts_by_key), rate_limits.c.blocked_until > database_now()
        )
    ).all()
    active = []
    for row in rows:
        seconds, requested = row.remaining_seconds, row.requested_seconds
        if requested is not None and seconds > requested + CLOCK_TOLERANCE_SECONDS:
            is_same = (rate_limits.c.account_key == row.account_key, rate_limits.c.chat == row.chat)
            connection.execute(
                update(rate_limits)
                .where(*is_same, rate_limits.c.blocked_until == row.blocked_until)
                .values(blocked_until=database_now() + requested)
            )
            seconds = requested
        active.append(ActiveRateLimit(accounts_by_key[row.account_key], row.chat, seconds))
    return active
