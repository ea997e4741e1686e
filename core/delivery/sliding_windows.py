"""Sliding windows: when the next request may be sent so that no window ever holds more than its count.

Example: `RateWindow(count=3, seconds=10)`

    0 s, 1 s, 4 s     three requests
    5 s               the next one may be sent at 10 s, when the first leaves the window

After a refusal, the requests go out one by one for the length of the window, and for some minutes there are fewer of
them (`Slowdown`).
"""

import math
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from core.port import RateLimit, RateWindow

REFUSED_INTERVAL_FACTOR = 2.0
REFUSED_COUNT_FACTOR = 0.7
"""What a refusal does to the intervals between previews and to the counts of windows."""
RECOVERY_SECONDS = 60.0
RECOVERED_INTERVAL_FACTOR = 0.85
RECOVERED_COUNT_FACTOR = 1.1
"""What each minute without a refusal does to them, until they are as before."""
MAX_INTERVAL_FACTOR = 12.5
MIN_COUNT_FACTOR = 0.2
PREVIEW_SPREAD = 4
"""A preview waits for the length of the window, divided by this and by the requests that are left for previews. So
previews are frequent while the window is empty, and leave some room for what comes later."""


@dataclass(slots=True)
class Slowdown:
    """How much slower than usual requests are sent, because the platform has refused some."""

    changed_at: float = -math.inf
    _interval_factor: float = 1.0
    _count_factor: float = 1.0

    def escalate(self, silent_until: float) -> None:
        self._recover(silent_until)
        self._interval_factor = min(self._interval_factor * REFUSED_INTERVAL_FACTOR, MAX_INTERVAL_FACTOR)
        self._count_factor = max(self._count_factor * REFUSED_COUNT_FACTOR, MIN_COUNT_FACTOR)
        self.changed_at = silent_until

    def interval_factor(self, now: float) -> float:
        self._recover(now)
        return self._interval_factor

    def count_factor(self, now: float) -> float:
        self._recover(now)
        return self._count_factor

    def is_over(self, now: float) -> bool:
        self._recover(now)
        return self._interval_factor == self._count_factor == 1.0

    def _recover(self, now: float) -> None:
        if self._interval_factor == self._count_factor == 1.0:
            return
        minutes = int((now - self.changed_at) // RECOVERY_SECONDS)
        if minutes > 0:
            self.changed_at += minutes * RECOVERY_SECONDS
            self._interval_factor = max(1.0, self._interval_factor * RECOVERED_INTERVAL_FACTOR**minutes)
            self._count_factor = min(1.0, self._count_factor * RECOVERED_COUNT_FACTOR**minutes)


@dataclass(slots=True)
class SlidingWindows:
    """The recent requests that count in one limit. `pending` ones have their place in it and are not sent yet."""

    rate_limit: RateLimit
    pending: int = 0
    slowdown: Slowdown = field(default_factory=Slowdown)
    _times: deque[float] = field(default_factory=deque)
    _resumed_at: float = -math.inf
    _last_preview_at: float = -math.inf

    def ready_at(
        self,
        now: float,
        share: Callable[[RateWindow], int],
        reserve: Callable[[RateWindow], int] | None = None,
        *,
        is_preview: bool = False,
    ) -> float:
        """When the next request may be sent; infinite if that depends on other requests or on the end of open answers.

        `share`: how many requests of a window this process may use. `reserve`: how many of these the request leaves
        to others; at least one is its own, unless all of the window are reserved.
        """
        return max((self._ready_at(window, now, share, reserve, is_preview) for window in self.rate_limit), default=0.0)

    def _ready_at(
        self,
        window: RateWindow,
        now: float,
        share: Callable[[RateWindow], int],
        reserve: Callable[[RateWindow], int] | None,
        is_preview: bool,
    ) -> float:
        count = max(1, int(share(window) * self.slowdown.count_factor(now)))
        reserved = reserve(window) if reserve is not None else 0
        room = count - self.pending - (min(reserved, count - 1) if reserved < window.count else reserved)
        if room <= 0:
            return math.inf
        ready_at = self._times[-room] + window.seconds if len(self._times) >= room else 0.0
        if now < self._resumed_at + window.seconds:
            spacing = window.seconds / count
            ready_at = max(ready_at, self._resumed_at + (self._count_since(self._resumed_at) + self.pending) * spacing)
        used = self._count_since(math.nextafter(now - window.seconds, math.inf))
        if window.spacing and 2 * (used + self.pending) >= count:
            ready_at = max(ready_at, self._times[-1] + window.spacing if self._times else 0.0)
        if is_preview and ready_at <= now:
            free = max(1, room - used)
            ready_at = self._last_preview_at + window.seconds / PREVIEW_SPREAD / free
        return ready_at

    def record(self, now: float, *, is_preview: bool = False) -> None:
        """Count a request that is sent now."""
        if not self.rate_limit:
            return
        max_count = max(window.count for window in self.rate_limit)
        while len(self._times) >= max_count:
            self._times.popleft()
        self._times.append(now)
        if is_preview:
            self._last_preview_at = now

    def postpone(self, time: float, sent_at: float) -> None:
        """A request that was counted at `time` may have been sent as late as `sent_at`."""
        if time in self._times:
            self._times.remove(time)
            insort(self._times, sent_at)

    def forget(self, time: float) -> None:
        """A request that was counted at this time is not sent."""
        if time in self._times:
            self._times.remove(time)

    def resume_at(self, time: float) -> None:
        """Requests pass one by one from this time on, for the length of the window."""
        self._resumed_at = max(self._resumed_at, time)

    def estimate_wait(self, now: float, share: Callable[[RateWindow], int], waiting: int) -> float:
        """Seconds until a request may be sent behind `waiting` others, roughly."""
        wait = 0.0
        for window in self.rate_limit:
            count = max(1, int(share(window) * self.slowdown.count_factor(now)))
            rounds, position = divmod(waiting + self.pending, count)
            room = count - position
            ready_at = self._times[-room] + window.seconds if len(self._times) >= room else now
            wait = max(wait, ready_at - now + rounds * window.seconds)
        return max(wait, 0.0)

    def is_idle(self, now: float) -> bool:
        longest = max((window.seconds for window in self.rate_limit), default=0.0)
        is_empty = not self._times or self._times[-1] <= now - longest
        return is_empty and self.pending == 0 and self.slowdown.is_over(now)

    def _count_since(self, time: float) -> int:
        """Requests at `time` or later."""
        count = 0
        for sent_at in reversed(self._times):
            if sent_at < time:
                break
            count += 1
        return count
