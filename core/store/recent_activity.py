"""Places where people recently wrote to the bot. Adapters look there for missed events."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from core.port import AccountKey, Incoming
from core.store.database import Store
from core.store.incoming_codec import decode_incoming
from core.store.schema import database_now, turns

MAX_SCANNED_TURNS = 20_000
CONVERSATIONS_PER_PLACE = 10
"""An average: several people in a chat may have a conversation each."""


@dataclass(frozen=True, slots=True)
class RecentActivity:
    newest_turn: int
    """The newest turn of any account."""
    latest_events: list[Incoming]
    """The newest event of each place, newest first."""


def find_recent_activity(
    connection: Connection,
    account: AccountKey,
    *,
    max_places: int,
    within_seconds: float,
    before_turn: int | None = None,
) -> RecentActivity:
    """Up to `max_places` places of an account with an event in the last `within_seconds`.

    Events after the turn `before_turn` are ignored.
    """
    newest_turn = connection.scalar(select(func.max(turns.c.id))) or 0
    recent = (
        select(turns.c.id, turns.c.event_key, turns.c.conversation_id, turns.c.chat_key, turns.c.created_at)
        .where(turns.c.id <= (newest_turn if before_turn is None else before_turn))
        .order_by(turns.c.id.desc())
        .limit(MAX_SCANNED_TURNS)
        .subquery()
    )
    latest_turns = (
        select(func.max(recent.c.id))
        .where(
            recent.c.event_key.startswith(f"{account}:", autoescape=True),
            recent.c.created_at >= database_now() - within_seconds,
        )
        .group_by(recent.c.conversation_id, recent.c.chat_key)
    )
    rows = connection.scalars(
        select(turns.c.incoming_json)
        .where(turns.c.id.in_(latest_turns))
        .order_by(turns.c.id.desc())
        .limit(max_places * CONVERSATIONS_PER_PLACE)
    )
    events: dict[tuple[str, str | None], Incoming] = {}
    for row in rows:
        if (incoming := decode_incoming(row)) is not None:
            events.setdefault((incoming.place.chat, incoming.place.thread), incoming)
    return RecentActivity(newest_turn, list(events.values())[:max_places])


def find_stored_keys(connection: Connection, account: AccountKey, keys: Sequence[str]) -> set[str]:
    """The subset of the event `keys` of an account that is stored."""
    prefix = f"{account}:"
    rows = connection.scalars(select(turns.c.event_key).where(turns.c.event_key.in_([prefix + key for key in keys])))
    return {key.removeprefix(prefix) for key in rows}


@dataclass(slots=True)
class EventHistory:
    """The stored events of a platform. Every method raises `StoreError`."""

    store: Store
    platform: str

    async def recent_activity(
        self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
    ) -> RecentActivity:
        return await self.store.read(
            find_recent_activity,
            AccountKey(self.platform, account),
            max_places=max_places,
            within_seconds=within_seconds,
            before_turn=before_turn,
        )

    async def stored_keys(self, account: str, keys: Sequence[str]) -> set[str]:
        return await self.store.read(find_stored_keys, AccountKey(self.platform, account), keys)
