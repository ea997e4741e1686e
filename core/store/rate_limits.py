"""What processes must know of each other to keep a platform's rate limits: the waits that it asked for, which stay in
force after a restart, and who writes to which chat.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from core.port import AccountKey
from core.store.dialect import upsert
from core.store.list_parameters import pad
from core.store.schema import CLOCK_TOLERANCE_SECONDS, database_now, rate_limits, turns

RETENTION_SECONDS = 60
"""How long expired rows stay. Deleting each one at once would cost more."""
MAX_IDLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class PlatformWait:
    account: AccountKey
    chat: str
    """Empty for all chats of the account."""
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class ChatActivity:
    """Which processes write to a chat."""

    processes: int
    """How many have turns in it now."""
    idle_seconds: float
    """Since another process had one; 0 while one has, infinite after `MAX_IDLE_SECONDS`."""


def save_platform_wait(connection: Connection, account: AccountKey, chat: str, seconds: float) -> None:
    """Block `chat` (an empty string: the whole account). The longest wait wins."""
    is_outdated = rate_limits.c.blocked_until < database_now() - RETENTION_SECONDS
    connection.execute(delete(rate_limits).where(is_outdated))
    until = database_now() + seconds
    key = {"account_key": str(account), "chat": chat}
    wait = {"blocked_until": until, "requested_seconds": seconds}
    upsert(connection, rate_limits, key, wait, where=rate_limits.c.blocked_until < until)


SELECT_ACTIVE = select(rate_limits, (rate_limits.c.blocked_until - database_now()).label("remaining_seconds")).where(
    rate_limits.c.account_key.in_(bindparam("account_keys", expanding=True)),
    rate_limits.c.blocked_until > database_now(),
)


def load_platform_waits(connection: Connection, accounts: Iterable[AccountKey]) -> list[PlatformWait]:
    """The waits in force, each at most as long as the platform asked for.

    A longer one was stored before the clock was set back. It is shortened in the database too, so that it ends.
    """
    accounts_by_key = {str(account): account for account in accounts}
    rows = connection.execute(SELECT_ACTIVE, {"account_keys": list(accounts_by_key)}).all()
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
        active.append(PlatformWait(accounts_by_key[row.account_key], row.chat, seconds))
    return active


IS_CLAIMED = and_(turns.c.finished_at.is_(None), turns.c.lease_expires_at > database_now())
LAST_SEEN = func.max(case((IS_CLAIMED, database_now()), else_=turns.c.finished_at)).filter(
    turns.c.owner != bindparam("this_owner")
)
SELECT_ACTIVITY = (
    select(turns.c.chat_key, func.count(turns.c.owner.distinct()).filter(IS_CLAIMED), database_now() - LAST_SEEN)
    .where(
        turns.c.chat_key.in_(bindparam("chat_keys", expanding=True)),
        or_(IS_CLAIMED, turns.c.finished_at > database_now() - MAX_IDLE_SECONDS),
    )
    .group_by(turns.c.chat_key)
)


def chat_activity(connection: Connection, owner: str, chat_keys: Collection[str]) -> dict[str, ChatActivity]:
    """The activity in these chats, from the view of the process `owner`."""
    rows = connection.execute(SELECT_ACTIVITY, {"this_owner": owner, "chat_keys": pad(chat_keys)})
    return {key: ChatActivity(count, math.inf if idle is None else idle) for key, count, idle in rows}
