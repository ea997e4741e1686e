"""Where people talked to the bot lately: for adapters that have to look for what they missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from core.port import Incoming
from core.store.database import Store
from core.store.incoming_codec import decode_incoming
from core.store.schema import database_now, turns

__all__ = ["EventHistory", "RecentActivity", "find_recent_activity", "find_stored_keys"]

MAX_SCANNED_TURNS = 20_000  # turns, newest first
CONVERSATIONS_PER_PLACE = 10  # conversations, on average


@dataclass(frozen=True, slots=True)
class RecentActivity:
    newest_turn: int
    """The newest turn there is, of whatever account."""
    latest_events: list[Incoming]
    """The newest event of each place, newest first."""


def find_recent_activity(
    connection: Connection,
    platform: str,
    account: str,
    *,
    max_places: int,
    within_seconds: float,
    before_turn: int | None = None,
) -> RecentActivity:
    """The `most` places of an account with an event in the last `within` seconds; events after
    the turn `before` do not count.
    """
    newest_turn = connection.scalar(select(func.max(turns.c.id))) or 0
    recent = (
        select(turns.c.id, turns.c.key, turns.c.conversation, turns.c.created)
        .where(turns.c.id <= (newest_turn if before_turn is None else before_turn))
        .order_by(turns.c.id.desc())
        .limit(MAX_SCANNED_TURNS)
        .subquery()
    )
    latest_turns = (
        select(func.max(recent.c.id))
        .where(
            recent.c.key.startswith(f"{platform}:{account}:", autoescape=True),
            recent.c.created >= database_now() - within_seconds,
        )
        .group_by(recent.c.conversation)
    )
    rows = connection.scalars(
        select(turns.c.incoming)
        .where(turns.c.id.in_(latest_turns))
        .order_by(turns.c.id.desc())
        .limit(max_places * CONVERSATIONS_PER_PLACE)
    )
    places: dict[tuple[str, str | None], Incoming] = {}
    for row in rows:
        if (incoming := decode_incoming(row)) is not None:
            places.setdefault((incoming.place.chat, incoming.place.thread), incoming)
    return RecentActivity(newest_turn, list(places.values())[:max_places])


def find_stored_keys(connection: Connection, platform: str, account: str, keys: Sequence[str]) -> set[str]:
    """Which of an account's events `keys` have been kept."""
    prefix = f"{platform}:{account}:"
    stored = connection.scalars(select(turns.c.key).where(turns.c.key.in_([prefix + key for key in keys])))
    return {key.removeprefix(prefix) for key in stored}


class EventHistory:
    """What is kept of a platform's events. Everything raises `StoreError`."""

    def __init__(self, store: Store, platform: str) -> None:
        self._store = store
        self._platform = platform

    async def recent_activity(
        self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
    ) -> RecentActivity:
        return await self._store.read(
            find_recent_activity,
            self._platform,
            account,
            max_places=max_places,
            within_seconds=within_seconds,
            before_turn=before_turn,
        )

    async def stored_keys(self, account: str, keys: Sequence[str]) -> set[str]:
        return await self._store.read(find_stored_keys, self._platform, account, keys)
