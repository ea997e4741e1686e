"""Who may write to a chat, and when: the platforms' rate limits, kept before they bite.

Two stages: a bucket for each chat, then one for the whole account. Finals go first, previews
leave a reserve for them. After a platform said "wait", nothing enters that chat until the time
has passed, and no other chat waits for it.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from core.errors import DeliveryError
from core.port import RateLimit

__all__ = ["Priority", "RateLimiter"]

MAX_TRACKED_CHATS = 1000
RETRY_AFTER_MARGIN_SECONDS = 0.1  # seconds added to what a platform asks for


class Priority(IntEnum):
    FINAL = 0
    CONTROL = 1
    PREVIEW = 2


@dataclass(slots=True)
class _Bucket:
    rate_limit: RateLimit
    tokens: float
    updated_at: float

    def seconds_until_token(self, now: float, priority: Priority) -> float:
        """Seconds until one token may be taken."""
        self.tokens = min(self.rate_limit.burst, self.tokens + (now - self.updated_at) * self.rate_limit.rate)
        self.updated_at = now
        reserve = self.rate_limit.reserve if priority is Priority.PREVIEW else 0
        return max(0.0, (1 + reserve - self.tokens) / self.rate_limit.rate)

    def is_full(self) -> bool:
        return self.tokens >= self.rate_limit.burst


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    sequence: int
    granted: "asyncio.Future[None]" = field(compare=False)
    chat: str = field(compare=False)


@dataclass(slots=True)
class _WaitQueue:
    """Those who wait at one bucket, with at most one timer."""

    bucket: _Bucket
    waiters: list[_Waiter] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    blocked_until: float = 0.0

    def first_waiter(self) -> _Waiter | None:
        while self.waiters and self.waiters[0].granted.done():
            heapq.heappop(self.waiters)  # cancelled while it waited
        return self.waiters[0] if self.waiters else None


class RateLimiter:
    """One for each account on a platform; `overall` is the account's own limit.

    `told` hears of every wait the platform asked for: the chat ("" for the whole account) and
    the seconds.
    """

    def __init__(
        self,
        account_rate_limit: RateLimit,
        clock: Callable[[], float] | None = None,
        on_limit: Callable[[str, float], None] | None = None,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._on_limit = on_limit
        self._account_rate_limit = account_rate_limit
        self._account_queue = _WaitQueue(_Bucket(account_rate_limit, account_rate_limit.burst, self._clock()))
        self._chat_queues: dict[str, _WaitQueue] = {}
        self._sequence = itertools.count()

    async def acquire(self, chat: str, rate_limit: RateLimit, priority: Priority) -> None:
        """Wait until one request may be sent to `chat`."""
        while True:
            queue = self._queue_for(chat, rate_limit)
            granted = asyncio.get_running_loop().create_future()
            heapq.heappush(queue.waiters, _Waiter(priority, next(self._sequence), granted, chat))
            self._wake_waiters(queue)
            await granted
            if self.seconds_blocked(chat) == 0:  # nobody was told to wait between the grant and now
                return

    def _queue_for(self, chat: str, rate_limit: RateLimit) -> _WaitQueue:
        queue = self._chat_queues.get(chat)
        if queue is None:
            if len(self._chat_queues) >= MAX_TRACKED_CHATS:
                self._evict_idle_queues()
            queue = self._chat_queues[chat] = _WaitQueue(_Bucket(rate_limit, rate_limit.burst, self._clock()))
        queue.bucket.rate_limit = rate_limit  # a place's facts may change, and `block` does not know them
        return queue

    def share_among(self, processes: int) -> None:
        """`processes` divide the account's own limit among them."""
        whole, parts = self._account_rate_limit, max(1, processes)
        reserve = whole.reserve if parts == 1 else 0
        self._account_queue.bucket.rate_limit = RateLimit(max(1.0, whole.burst / parts), whole.rate / parts, reserve)

    def apply_retry_after(self, chat: str, error: DeliveryError) -> None:
        """The platform said: nothing to `chat`, or to anybody, for so long."""
        seconds = (error.retry_after or 1.0) + RETRY_AFTER_MARGIN_SECONDS
        blocked_chat = "" if error.account_wide else chat
        self.block(blocked_chat, seconds)
        if self._on_limit is not None:
            self._on_limit(blocked_chat, seconds)

    def block(self, chat: str, seconds: float) -> None:
        """Let nothing through to `chat` ("": to anybody) for so long."""
        now = self._clock()
        queue = self._chat_queues.get(chat) if chat else self._account_queue
        if queue is None:
            placeholder = RateLimit(1, 1)
            queue = self._chat_queues[chat] = _WaitQueue(_Bucket(placeholder, placeholder.burst, now))
        queue.blocked_until = max(queue.blocked_until, now + seconds)
        queue.bucket.tokens = min(queue.bucket.tokens, 1)

    def seconds_blocked(self, chat: str) -> float:
        """Seconds for which nothing may be sent to `chat`."""
        lines = (self._account_queue, self._chat_queues.get(chat))
        return max(0.0, *(line.blocked_until - self._clock() for line in lines if line))

    def _wake_waiters(self, queue: _WaitQueue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        while (waiter := queue.first_waiter()) is not None:
            now = self._clock()
            delay = max(
                queue.blocked_until - now,
                queue.bucket.seconds_until_token(now, waiter.priority),
            )
            if delay > 0:
                queue.timer = asyncio.get_running_loop().call_later(delay, self._wake_waiters, queue)
                return
            heapq.heappop(queue.waiters)
            queue.bucket.tokens -= 1
            if queue is self._account_queue:
                self._grant(waiter)
            else:
                heapq.heappush(self._account_queue.waiters, waiter)
                self._wake_waiters(self._account_queue)

    def _grant(self, waiter: _Waiter) -> None:
        queue = self._chat_queues.get(waiter.chat)
        if queue is not None and queue.blocked_until > self._clock():
            # Blocked while it waited for the whole account's turn.
            heapq.heappush(queue.waiters, waiter)
            self._wake_waiters(queue)
        else:
            waiter.granted.set_result(None)

    def _evict_idle_queues(self) -> None:
        now = self._clock()
        for chat, line in list(self._chat_queues.items()):
            bucket = line.bucket
            bucket.seconds_until_token(now, Priority.FINAL)
            if not line.waiters and line.blocked_until <= now and bucket.tokens >= bucket.rate_limit.burst:
                del self._chat_queues[chat]
