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
from core.port import Pace

__all__ = ["Gate", "Priority"]

IDLE_CHATS = 1000
MARGIN = 0.1  # seconds added to what a platform asks for


class Priority(IntEnum):
    FINAL = 0
    CONTROL = 1
    PREVIEW = 2


@dataclass(slots=True)
class _Bucket:
    pace: Pace
    tokens: float
    at: float

    def delay(self, now: float, priority: Priority) -> float:
        """Seconds until one token may be taken."""
        self.tokens = min(self.pace.burst, self.tokens + (now - self.at) * self.pace.rate)
        self.at = now
        kept = self.pace.reserve if priority is Priority.PREVIEW else 0
        return max(0.0, (1 + kept - self.tokens) / self.pace.rate)

    def full(self) -> bool:
        return self.tokens >= self.pace.burst


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    number: int
    granted: "asyncio.Future[None]" = field(compare=False)
    chat: str = field(compare=False)


@dataclass(slots=True)
class _Line:
    """Those who wait at one bucket, with at most one timer."""

    bucket: _Bucket
    waiters: list[_Waiter] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    blocked_until: float = 0.0

    def head(self) -> _Waiter | None:
        while self.waiters and self.waiters[0].granted.done():
            heapq.heappop(self.waiters)  # cancelled while it waited
        return self.waiters[0] if self.waiters else None


class Gate:
    """One for each account on a platform; `overall` is the account's own limit.

    `told` hears of every wait the platform asked for: the chat ("" for the whole account) and
    the seconds.
    """

    def __init__(
        self,
        overall: Pace,
        clock: Callable[[], float] | None = None,
        told: Callable[[str, float], None] | None = None,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._told = told
        self._whole = overall
        self._overall = _Line(_Bucket(overall, overall.burst, self._clock()))
        self._chats: dict[str, _Line] = {}
        self._numbers = itertools.count()

    async def enter(self, chat: str, pace: Pace, priority: Priority) -> None:
        """Wait until one request may be sent to `chat`."""
        while True:
            line = self._line(chat, pace)
            granted = asyncio.get_running_loop().create_future()
            heapq.heappush(line.waiters, _Waiter(priority, next(self._numbers), granted, chat))
            self._pump(line)
            await granted
            if self.blocked(chat) == 0:  # nobody was told to wait between the grant and now
                return

    def _line(self, chat: str, pace: Pace) -> _Line:
        line = self._chats.get(chat)
        if line is None:
            if len(self._chats) >= IDLE_CHATS:
                self._forget_idle()
            line = self._chats[chat] = _Line(_Bucket(pace, pace.burst, self._clock()))
        line.bucket.pace = pace  # a place's facts may change, and `block` does not know them
        return line

    def share(self, processes: int) -> None:
        """`processes` divide the account's own limit among them."""
        whole, parts = self._whole, max(1, processes)
        reserve = whole.reserve if parts == 1 else 0
        self._overall.bucket.pace = Pace(max(1.0, whole.burst / parts), whole.rate / parts, reserve)

    def refused(self, chat: str, error: DeliveryError) -> None:
        """The platform said: nothing to `chat`, or to anybody, for so long."""
        seconds = (error.retry_after or 1.0) + MARGIN
        place = "" if error.everywhere else chat
        self.block(place, seconds)
        if self._told is not None:
            self._told(place, seconds)

    def block(self, chat: str, seconds: float) -> None:
        """Let nothing through to `chat` ("": to anybody) for so long."""
        now = self._clock()
        line = self._chats.get(chat) if chat else self._overall
        if line is None:
            pace = Pace(1, 1)
            line = self._chats[chat] = _Line(_Bucket(pace, pace.burst, now))
        line.blocked_until = max(line.blocked_until, now + seconds)
        line.bucket.tokens = min(line.bucket.tokens, 1)

    def blocked(self, chat: str) -> float:
        """Seconds for which nothing may be sent to `chat`."""
        lines = (self._overall, self._chats.get(chat))
        return max(0.0, *(line.blocked_until - self._clock() for line in lines if line))

    def _pump(self, line: _Line) -> None:
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        while (waiter := line.head()) is not None:
            now = self._clock()
            delay = max(
                line.blocked_until - now,
                line.bucket.delay(now, waiter.priority),
            )
            if delay > 0:
                line.timer = asyncio.get_running_loop().call_later(delay, self._pump, line)
                return
            heapq.heappop(line.waiters)
            line.bucket.tokens -= 1
            if line is self._overall:
                self._grant(waiter)
            else:
                heapq.heappush(self._overall.waiters, waiter)
                self._pump(self._overall)

    def _grant(self, waiter: _Waiter) -> None:
        line = self._chats.get(waiter.chat)
        if line is not None and line.blocked_until > self._clock():
            # Blocked while it waited for the whole account's turn.
            heapq.heappush(line.waiters, waiter)
            self._pump(line)
        else:
            waiter.granted.set_result(None)

    def _forget_idle(self) -> None:
        now = self._clock()
        for chat, line in list(self._chats.items()):
            bucket = line.bucket
            bucket.delay(now, Priority.FINAL)
            if (
                not line.waiters
                and line.blocked_until <= now
                and bucket.tokens >= bucket.pace.burst
            ):
                del self._chats[chat]
