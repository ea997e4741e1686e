"""The queue of updates that the bot has not confirmed yet, and the long poll that reads it."""

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from typing import NoReturn

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import ApiError
from core.clock import Clock

MAX_UPDATES_PER_POLL = 100
MAX_POLL_SECONDS = 50.0
MAX_PENDING = 100_000
MAX_CONFIRMED = 1_000
"""Confirmed updates are remembered, so that they can be delivered again."""
CONFLICT_PAUSE_SECONDS = 3.0
"""The least time between two conflicts, so that two receivers do not poll at full speed."""
OPT_IN_KINDS = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
CONFLICT_OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
CONFLICT_WEBHOOK_SET = "Conflict: terminated by setWebhook request"


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    id: int
    chat_id: int
    """A webhook gets the updates of a chat one after the other."""
    update: Json


class UpdateQueue:
    """Each new update sets `arrived`; the webhook, which waits for it, clears it."""

    def __init__(self, clock: Clock) -> None:
        self.pending: deque[PendingUpdate] = deque(maxlen=MAX_PENDING)
        self.allowed_kinds: tuple[str, ...] = ()
        self.arrived = asyncio.Event()
        self._ids = itertools.count(1)
        self._redeliver_ids: set[int] = set()
        self._redeliveries: deque[PendingUpdate] = deque()
        self._confirmed_updates: deque[PendingUpdate] = deque(maxlen=MAX_CONFIRMED)
        self._poll_waiter: asyncio.Future[None] | None = None
        self._next_conflict_at = 0.0
        self._clock = clock

    def add(self, kind: str, payload: Json, chat_id: int) -> None:
        """Queue an update, if the bot asked for its kind."""
        if kind not in self.allowed_kinds if self.allowed_kinds else kind in OPT_IN_KINDS:
            return
        update_id = next(self._ids)
        self.pending.append(PendingUpdate(update_id, chat_id, {"update_id": update_id, kind: payload}))
        self._wake()

    def _wake(self) -> None:
        self.arrived.set()
        if self._poll_waiter is not None and not self._poll_waiter.done():
            self._poll_waiter.set_result(None)

    def set_allowed_kinds(self, kinds: object) -> None:
        """Set the kinds of updates to queue from now on; anything but a list changes nothing."""
        if isinstance(kinds, list):
            self.allowed_kinds = tuple(str(kind) for kind in kinds)

    def confirm_before(self, offset: int) -> None:
        """Confirm the updates before `offset`. A negative offset keeps that many at the end."""
        if offset < 0:
            while len(self.pending) > -offset:
                self.pending.popleft()
        while offset > 0 and self.pending and self.pending[0].id < offset:
            self._mark_confirmed(self.pending.popleft(), self._redeliveries)

    def confirm(self, update: PendingUpdate) -> None:
        if update in self.pending:
            self.pending.remove(update)
            self._mark_confirmed(update, self.pending)

    def redeliver_last(self, chat_id: int) -> None:
        """Deliver the latest update of a chat once more after it has been confirmed."""
        pending = next((update for update in reversed(self.pending) if update.chat_id == chat_id), None)
        if pending is not None:
            self._redeliver_ids.add(pending.id)
            return
        confirmed = next((update for update in reversed(self._confirmed_updates) if update.chat_id == chat_id), None)
        if confirmed is not None:
            self._redeliveries.append(confirmed)
            self._wake()

    def _mark_confirmed(self, update: PendingUpdate, redeliveries: deque[PendingUpdate]) -> None:
        self._confirmed_updates.append(update)
        if update.id in self._redeliver_ids:
            self._redeliver_ids.remove(update.id)
            redeliveries.append(update)

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """Up to `limit` updates; waits up to `timeout` seconds for the first one.

        Raises `ApiError` when another poll or a webhook takes its place.
        """
        self.confirm_before(offset)
        if self.pending or self._redeliveries or timeout <= 0:
            return self._next_batch(limit)
        self.terminate_poll(CONFLICT_OTHER_POLL)
        waiter = self._poll_waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(min(timeout, MAX_POLL_SECONDS)):
                await waiter
        except TimeoutError:
            return []
        except ApiError as error:
            await self.raise_conflict(error.description)
        finally:
            if self._poll_waiter is waiter:
                self._poll_waiter = None
        return self._next_batch(limit)

    def terminate_poll(self, reason: str) -> None:
        """End the waiting poll with a conflict."""
        if self._poll_waiter is not None and not self._poll_waiter.done():
            self._poll_waiter.set_exception(ApiError(409, reason))

    async def raise_conflict(self, reason: str) -> NoReturn:
        now = self._clock.monotonic()
        if now < self._next_conflict_at:
            await self._clock.sleep(CONFLICT_PAUSE_SECONDS)
        else:
            self._next_conflict_at = now + CONFLICT_PAUSE_SECONDS
        raise ApiError(409, reason)

    def _next_batch(self, limit: int) -> list[Json]:
        size = max(1, min(limit, MAX_UPDATES_PER_POLL))
        redelivered = [self._redeliveries.popleft() for _ in range(min(size, len(self._redeliveries)))]
        pending = itertools.islice(self.pending, size - len(redelivered))
        return [update.update for update in (*redelivered, *pending)]
