"""Flood control: how often a bot may write, and the penalty when it does more often.

Telegram does not publish its figures. These follow what its FAQ says (about one message a second
in a chat with short bursts, 20 a minute in a group, 30 a second in all) and what its developers
say (edits count as messages do).
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FloodControl", "Limits", "SlidingWindow", "TokenBucket"]


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`burst` calls at once, then `rate` a second; one more costs at least `penalty` seconds."""

    burst: int
    rate: float
    penalty_seconds: float


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `count` calls in any `seconds`; one more costs at least `penalty` seconds."""

    count: int
    seconds: float
    penalty_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """`None` switches a rule off.

    `private` and `group` are for each chat and count messages and edits alike; `drafts` is for
    each chat; `bot` counts everything the bot sends.
    """

    private: TokenBucket | None = TokenBucket(burst=5, rate=1.0, penalty_seconds=3)
    group: SlidingWindow | None = SlidingWindow(count=20, seconds=60, penalty_seconds=5)
    drafts: TokenBucket | None = TokenBucket(burst=10, rate=2.0, penalty_seconds=3)
    bot: SlidingWindow | None = SlidingWindow(count=30, seconds=1, penalty_seconds=1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None)


class _TokenBucketMeter:
    def __init__(self, rule: TokenBucket, now: float) -> None:
        self._rule, self._tokens, self._updated_at = rule, float(rule.burst), now

    def retry_after(self, now: float) -> float:
        self._tokens = min(self._rule.burst, self._tokens + (now - self._updated_at) * self._rule.rate)
        self._updated_at = now
        if self._tokens >= 1:
            return 0.0
        return max(self._rule.penalty_seconds, (1 - self._tokens) / self._rule.rate)

    def take(self, _now: float) -> None:
        self._tokens -= 1


class _SlidingWindowMeter:
    def __init__(self, rule: SlidingWindow, _now: float) -> None:
        self._rule = rule
        self._call_times: deque[float] = deque(maxlen=rule.count)

    def retry_after(self, now: float) -> float:
        if len(self._call_times) < self._rule.count or now - self._call_times[0] >= self._rule.seconds:
            return 0.0
        return max(self._rule.penalty_seconds, self._rule.seconds - (now - self._call_times[0]))

    def take(self, now: float) -> None:
        self._call_times.append(now)


class FloodControl:
    """Admits or refuses each call, and keeps the penalties that run."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._meters: dict[tuple[int, str], _TokenBucketMeter | _SlidingWindowMeter] = {}
        self._blocked_until: dict[int, float] = {}

    def block(self, chat_id: int, seconds: float) -> None:
        """Let nothing through to `chat` (0: to anybody) for so long."""
        self._blocked_until[chat_id] = self._clock() + seconds

    def remaining_wait(self, chat_id: int) -> int:
        """Whole seconds that a penalty still lasts for a chat; 0 without one."""
        until = max(self._blocked_until.get(chat_id, 0.0), self._blocked_until.get(0, 0.0))
        return max(0, math.ceil(until - self._clock()))

    def admit(self, chat_id: int, *, is_private: bool, is_draft: bool) -> int:
        """Count one call, or say how many whole seconds its penalty is."""
        now = self._clock()
        kind = "drafts" if is_draft else "private" if is_private else "group"
        meters = [(chat_id, self._meter(chat_id, kind, now)), (0, self._meter(0, "bot", now))]
        for place, meter in meters:
            wait = math.ceil(meter.retry_after(now)) if meter is not None else 0
            if wait > 0:
                self._blocked_until[place] = now + wait
                return wait
        for _, meter in meters:
            if meter is not None:
                meter.take(now)
        return 0

    def _meter(self, chat_id: int, limit_name: str, now: float) -> _TokenBucketMeter | _SlidingWindowMeter | None:
        meter = self._meters.get((chat_id, limit_name))
        if meter is None:
            rule: TokenBucket | SlidingWindow | None = getattr(self.limits, limit_name)
            if rule is None:
                return None
            meter = _TokenBucketMeter(rule, now) if isinstance(rule, TokenBucket) else _SlidingWindowMeter(rule, now)
            self._meters[chat_id, limit_name] = meter
        return meter
