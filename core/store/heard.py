"""Where people talked to the bot lately: for adapters that have to look for what they missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from core.port import Incoming
from core.store.database import Store
from core.store.events import unpack
from core.store.schema import clock, turns

__all__ = ["Heard", "History", "known", "last_heard"]

LOOKED_AT = 20_000  # turns, newest first
IN_A_PLACE = 10  # conversations, on average


@dataclass(frozen=True, slots=True)
class Heard:
    horizon: int
    """The newest turn there is, of whatever account."""
    latest: list[Incoming]
    """The newest event of each place, newest first."""


def last_heard(
    connection: Connection,
    platform: str,
    account: str,
    *,
    most: int,
    within: float,
    before: int | None = None,
) -> Heard:
    """The `most` places of an account with an event in the last `within` seconds; events after
    the turn `before` do not count.
    """
    horizon = connection.scalar(select(func.max(turns.c.id))) or 0
    recent = (
        select(turns.c.id, turns.c.key, turns.c.conversation, turns.c.created)
        .where(turns.c.id <= (horizon if before is None else before))
        .order_by(turns.c.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    newest = (
        select(func.max(recent.c.id))
        .where(
            recent.c.key.startswith(f"{platform}:{account}:", autoescape=True),
            recent.c.created >= clock() - within,
        )
        .group_by(recent.c.conversation)
    )
    rows = connection.scalars(
        select(turns.c.incoming)
        .where(turns.c.id.in_(newest))
        .order_by(turns.c.id.desc())
        .limit(most * IN_A_PLACE)
    )
    places: dict[tuple[str, str | None], Incoming] = {}
    for row in rows:
        if (incoming := unpack(row)) is not None:
            places.setdefault((incoming.place.chat, incoming.place.thread), incoming)
    return Heard(horizon, list(places.values())[:most])


def known(connection: Connection, platform: str, account: str, keys: Sequence[str]) -> set[str]:
    """Which of an account's events `keys` have been kept."""
    prefix = f"{platform}:{account}:"
    kept = connection.scalars(
        select(turns.c.key).where(turns.c.key.in_([prefix + key for key in keys]))
    )
    return {key.removeprefix(prefix) for key in kept}


class History:
    """What is kept of a platform's events. Everything raises `StoreError`."""

    def __init__(self, store: Store, platform: str) -> None:
        self._store = store
        self._platform = platform

    async def last_heard(
        self, account: str, *, most: int, within: float, before: int | None
    ) -> Heard:
        return await self._store.read(
            last_heard, self._platform, account, most=most, within=within, before=before
        )

    async def known(self, account: str, keys: Sequence[str]) -> set[str]:
        return await self._store.read(known, self._platform, account, keys)
