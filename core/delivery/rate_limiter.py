"""Client-side rate limiting: delays requests so that the platform never has to refuse one.

A request takes one token from its chat's bucket, then one from the account's bucket. Waiting requests are granted by
priority, then in the order of arrival. Example: a chat with `RateLimit(burst=3, rate=1, reserve=1)`

    0.0 s   preview, preview      granted: 3 tokens, previews leave 1
            preview               waits for a second token, until 1.0 s
    0.2 s   final                 granted: takes the reserved token
            final                 waits, ahead of the preview

If the platform still refuses a request, `apply_retry_after` blocks the chat or the account for as long as the platform
demands. Other chats do not wait.

Processes that serve the same account divide its limits without a request to each other. Each of N processes holds an
Nth of every burst. The rate of a chat belongs to the processes that write to it now, in equal parts, because most chats
are served by one process at a time. A process that comes back to a chat does not count the time in which others wrote.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from core.clock import Scheduled
from core.errors import DeliveryError
from core.port import RateLimit
from core.store.rate_limits import ChatActivity
from core.timings import Timings

WHOLE_ACCOUNT = ""
"""Used instead of a chat for all chats of the account."""
MAX_TRACKED_CHATS = 1000
"""Idle chats are forgotten when there are more."""


class Priority(IntEnum):
    FINAL = 0
    """A complete answer."""
    CONTROL = 1
    """A complete part of a growing answer, or a changed menu."""
    PREVIEW = 2


@dataclass(slots=True)
class _Bucket:
    """A token bucket, or the part of one that belongs to this process; full at first."""

    rate_limit: RateLimit
    updated_at: float
    tokens: float = math.inf
    processes: int = 1
    """That divide the burst."""
    active_processes: int = 1
    """That divide the rate."""

    @property
    def burst(self) -> float:
        return max(1.0, self.rate_limit.burst / self.processes)

    @property
    def rate(self) -> float:
        return self.rate_limit.rate / self.active_processes

    @property
    def reserve(self) -> float:
        return min(self.rate_limit.reserve / self.processes, self.burst - 1)

    def seconds_until_token(self, now: float, priority: Priority) -> float:
        self._refill(now)
        reserve = self.reserve if priority is Priority.PREVIEW else 0
        return max(0.0, (1 + reserve - self.tokens) / self.rate)

    def is_full(self, now: float) -> bool:
        self._refill(now)
        return self.tokens >= self.burst

    def divide(self, now: float, processes: int, active_processes: int) -> None:
        self._refill(now)
        self.processes, self.active_processes = processes, active_processes

    def skip_until(self, time: float) -> None:
        """Let no token come back for the time since the last request until `time`."""
        self.updated_at = max(self.updated_at, time)

    def _refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.updated_at) * self.rate)
        self.updated_at = now


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    sequence: int
    grant: "asyncio.Future[None]" = field(compare=False)
    chat: str = field(compare=False)


@dataclass(slots=True)
class _WaitQueue:
    """The requests that wait for one bucket, with a single timer."""

    bucket: _Bucket
    waiters: list[_Waiter] = field(default_factory=list)
    timer: Scheduled | None = None
    blocked_until: float = 0.0

    def first_waiter(self) -> _Waiter | None:
        while self.waiters and self.waiters[0].grant.done():
            heapq.heappop(self.waiters)  # cancelled while it waited
        return self.waiters[0] if self.waiters else None

    def is_idle(self, now: float) -> bool:
        return not self.waiters and self.blocked_until <= now and self.bucket.is_full(now)


class RateLimiter:
    """Limits the requests of one account on a platform.

    `on_limit` is called with the chat (or `WHOLE_ACCOUNT`) and the seconds of every wait that the platform demands.
    """

    def __init__(
        self,
        account_rate_limit: RateLimit,
        *,
        on_limit: Callable[[str, float], None] | None = None,
        timings: Timings = Timings(),
    ) -> None:
        self._clock = timings.clock
        self._timings = timings
        self._on_limit = on_limit
        self._account_queue = self._new_queue(account_rate_limit)
        self._chat_queues: dict[str, _WaitQueue] = {}
        self._processes = 1
        self._active_processes: Mapping[str, int] = {}
        """By chat, for the chats that this process writes to."""
        self._sequence = itertools.count()

    async def acquire(self, chat: str, rate_limit: RateLimit, priority: Priority) -> None:
        """Wait until a request may be sent to `chat`, whose current limit is `rate_limit`."""
        while True:
            queue = self._queue_of(chat, rate_limit)
            grant = asyncio.get_running_loop().create_future()
            heapq.heappush(queue.waiters, _Waiter(priority, next(self._sequence), grant, chat))
            self._grant_waiters(queue)
            await grant
            if self.seconds_blocked(chat) == 0:  # not blocked since the grant
                return

    def share_among(self, processes: int) -> None:
        """Divide the limits equally among `processes` processes; this one uses its share."""
        self._processes = max(1, processes)
        self._account_queue.bucket.divide(self._clock.monotonic(), self._processes, self._processes)

    def share_chats(self, activity: Mapping[str, ChatActivity], new_chats: Collection[str]) -> None:
        """Divide the limits of the chats that this process writes to. It begins to write to `new_chats`."""
        now = self._clock.monotonic()
        former = self._active_processes
        self._active_processes = {chat: max(1, activity[chat].processes) for chat in activity}
        for chat in activity.keys() & new_chats & self._chat_queues.keys():
            self._chat_queues[chat].bucket.skip_until(now - activity[chat].idle_seconds)
        for chat in (activity.keys() | former.keys()) & self._chat_queues.keys():
            self._divide(chat, self._chat_queues[chat].bucket)

    def _divide(self, chat: str, bucket: _Bucket) -> None:
        bucket.divide(self._clock.monotonic(), self._processes, self._active_processes.get(chat, 1))

    def apply_retry_after(self, chat: str, error: DeliveryError) -> None:
        """Block `chat`, or the account, for as long as a `DeliveryFailure.RATE_LIMITED` demands."""
        seconds = (error.retry_after or self._timings.default_retry_after) + self._timings.retry_after_margin
        blocked_chat = WHOLE_ACCOUNT if error.account_wide else chat
        self.block(blocked_chat, seconds)
        if self._on_limit is not None:
            self._on_limit(blocked_chat, seconds)

    def block(self, chat: str, seconds: float) -> None:
        """Grant no request to `chat` (or `WHOLE_ACCOUNT`) for `seconds`, then one, then at the usual rate."""
        queue = self._chat_queues.get(chat) if chat != WHOLE_ACCOUNT else self._account_queue
        if queue is None:
            # A placeholder: `acquire` knows the chat's limit and replaces it.
            queue = self._chat_queues[chat] = self._new_queue(RateLimit(burst=1, rate=1))
        queue.blocked_until = max(queue.blocked_until, self._clock.monotonic() + seconds)
        queue.bucket.tokens = min(queue.bucket.tokens, 1)

    def seconds_blocked(self, chat: str) -> float:
        """Seconds for which `chat` or the whole account is still blocked."""
        now = self._clock.monotonic()
        queues = (self._account_queue, self._chat_queues.get(chat))
        return max(0.0, *(queue.blocked_until - now for queue in queues if queue))

    def _queue_of(self, chat: str, rate_limit: RateLimit) -> _WaitQueue:
        if chat not in self._chat_queues:
            if len(self._chat_queues) >= MAX_TRACKED_CHATS:
                self._forget_idle_chats()
            self._chat_queues[chat] = self._new_queue(rate_limit)
        queue = self._chat_queues[chat]
        queue.bucket.rate_limit = rate_limit
        self._divide(chat, queue.bucket)
        return queue

    def _new_queue(self, rate_limit: RateLimit) -> _WaitQueue:
        return _WaitQueue(_Bucket(rate_limit, self._clock.monotonic()))

    def _forget_idle_chats(self) -> None:
        now = self._clock.monotonic()
        self._chat_queues = {chat: queue for chat, queue in self._chat_queues.items() if not queue.is_idle(now)}

    def _grant_waiters(self, queue: _WaitQueue) -> None:
        """Give available tokens to waiters: a chat's waiters move to the account's queue, the account's are granted."""
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        while (waiter := queue.first_waiter()) is not None:
            now = self._clock.monotonic()
            delay = max(queue.blocked_until - now, queue.bucket.seconds_until_token(now, waiter.priority))
            if delay > 0:
                queue.timer = self._clock.call_later(delay, lambda: self._grant_waiters(queue))
                return
            heapq.heappop(queue.waiters)
            queue.bucket.tokens -= 1
            if queue is self._account_queue:
                self._grant(waiter)
            else:
                heapq.heappush(self._account_queue.waiters, waiter)
                self._grant_waiters(self._account_queue)

    def _grant(self, waiter: _Waiter) -> None:
        queue = self._chat_queues.get(waiter.chat)
        if queue is not None and queue.blocked_until > self._clock.monotonic():
            # The chat was blocked while the request waited for the account.
            heapq.heappush(queue.waiters, waiter)
            self._grant_waiters(queue)
        else:
            waiter.grant.set_result(None)
