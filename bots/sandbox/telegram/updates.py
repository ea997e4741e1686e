"""The updates Telegram keeps for a bot until it confirms them, and the long poll for them."""

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from typing import NoReturn

from bots.sandbox.telegram.refusal import Refusal
from bots.sandbox.telegram.world import Json

__all__ = ["Pending", "Updates"]

MOST = 100  # in one answer
LONGEST_POLL = 50.0  # seconds
KEPT = 100_000
CONFIRMED = 1_000  # kept in mind, for deliveries out of turn
CONFLICT_PAUSE = 3.0
"""Seconds between refusals, so that two receivers do not chase each other at full speed."""
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is "
    "running"
)
WEBHOOK_SET = "Conflict: terminated by setWebhook request"


@dataclass(frozen=True, slots=True)
class Pending:
    id: int
    chat: int
    """Updates of one chat reach a webhook one after the other."""
    update: Json


class Updates:
    """`arrived` is set by each new update; whoever waits for it clears it."""

    def __init__(self) -> None:
        self.pending: deque[Pending] = deque(maxlen=KEPT)
        self.allowed: tuple[str, ...] = ()
        self.arrived = asyncio.Event()
        self._ids = itertools.count(1)
        self._twice: set[int] = set()
        self._again: deque[Pending] = deque()
        self._confirmed: deque[Pending] = deque(maxlen=CONFIRMED)
        self._waiter: asyncio.Future[None] | None = None
        self._next_refusal = 0.0

    def add(self, kind: str, content: Json, chat: int) -> None:
        """Keep an update, if the bot asked for its kind."""
        if kind not in self.allowed if self.allowed else kind in NOT_BY_DEFAULT:
            return
        id_ = next(self._ids)
        self.pending.append(Pending(id_, chat, {"update_id": id_, kind: content}))
        self._wake()

    def _wake(self) -> None:
        self.arrived.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def allow(self, kinds: object) -> None:
        """Remember which kinds the bot wants from now on; anything but a list changes nothing."""
        if isinstance(kinds, list):
            self.allowed = tuple(str(kind) for kind in kinds)

    def forget(self, offset: int) -> None:
        """Confirm what is before `offset`; a negative one keeps that many at the end."""
        if offset < 0:
            while len(self.pending) > -offset:
                self.pending.popleft()
        while offset > 0 and self.pending and self.pending[0].id < offset:
            self._confirm(self.pending.popleft(), self._again)

    def drop(self, done: Pending) -> None:
        """The bot's server took it."""
        if done in self.pending:
            self.pending.remove(done)
            self._confirm(done, self.pending)

    def repeat(self, chat: int) -> None:
        """Deliver the latest update of `chat` a second time, after it has been confirmed."""
        waiting = next((kept for kept in reversed(self.pending) if kept.chat == chat), None)
        if waiting is not None:
            self._twice.add(waiting.id)
            return
        known = next((kept for kept in reversed(self._confirmed) if kept.chat == chat), None)
        if known is not None:
            self._again.append(known)
            self._wake()

    def _confirm(self, done: Pending, again: deque[Pending]) -> None:
        self._confirmed.append(done)
        if done.id in self._twice:
            self._twice.remove(done.id)
            again.append(done)

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """Up to `limit` updates; waits for the first one. Raises `Refusal` when cut off."""
        self.forget(offset)
        if self.pending or self._again or timeout <= 0:
            return self._first(limit)
        self.cut_off(OTHER_POLL)
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(min(timeout, LONGEST_POLL)):
                await waiter
        except TimeoutError:
            return []
        except Refusal as refusal:
            await self.refuse(refusal.description)
        finally:
            if self._waiter is waiter:
                self._waiter = None
        return self._first(limit)

    def cut_off(self, reason: str) -> None:
        """End the poll that waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Refusal(409, reason))

    async def refuse(self, reason: str) -> NoReturn:
        now = asyncio.get_running_loop().time()
        if now < self._next_refusal:
            await asyncio.sleep(CONFLICT_PAUSE)
        else:
            self._next_refusal = now + CONFLICT_PAUSE
        raise Refusal(409, reason)

    def _first(self, limit: int) -> list[Json]:
        most = max(1, min(limit, MOST))
        again = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        waiting = itertools.islice(self.pending, most - len(again))
        return [kept.update for kept in (*again, *waiting)]
