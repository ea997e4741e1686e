"""Flood control: how often a bot may write, and how long it must wait after one call too many.

Telegram does not publish its figures. These follow its FAQ (about one message a second in a chat
with short bursts, 20 a minute in a group, 30 a second overall), its developers (edits count like
messages) and what others have seen of drafts (20 in 5 and 40 in 30 seconds, apart from messages).
"""

import math
from collections import deque
from dataclasses import dataclass, replace

from bots.sandbox.gauges import Gauge
from core.clock import Clock


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`burst` calls at once, then `rate` a second. One more costs at least `penalty_seconds`."""

    burst: int
    rate: float
    penalty_seconds: float


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `count` calls in any `seconds`. One more costs at least `penalty_seconds`."""

    count: int
    seconds: float
    penalty_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """None switches a limit off.

    `private` and `group` count the messages and edits of each chat, `drafts` and `many_drafts` the
    drafts of each chat, `overall` all messages and edits.
    """

    private: TokenBucket | None = TokenBucket(burst=5, rate=1.0, penalty_seconds=3)
    group: SlidingWindow | None = SlidingWindow(count=20, seconds=60, penalty_seconds=5)
    drafts: SlidingWindow | None = SlidingWindow(count=20, seconds=5, penalty_seconds=3)
    many_drafts: SlidingWindow | None = SlidingWindow(count=40, seconds=30, penalty_seconds=3)
    overall: SlidingWindow | None = SlidingWindow(count=30, seconds=1, penalty_seconds=1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None, None)


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

    def gauge(self, name: str, scope: str, now: float) -> Gauge:
        rule = self._rule
        tokens = min(rule.burst, self._tokens + (now - self._updated_at) * rule.rate)
        used = rule.burst - tokens
        seconds = rule.burst / rule.rate
        return Gauge(name=name, scope=scope, limit=rule.burst, used=used, seconds=seconds, refill_per_second=rule.rate)


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

    def gauge(self, name: str, scope: str, now: float) -> Gauge:
        rule = self._rule
        frees_in = tuple(at + rule.seconds - now for at in self._call_times if at + rule.seconds > now)
        return Gauge(
            name=name, scope=scope, limit=rule.count, used=len(frees_in), seconds=rule.seconds, frees_in=frees_in
        )


class FloodControl:
    """Admits or refuses calls, and keeps the penalties."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._meters: dict[tuple[int, str], _TokenBucketMeter | _SlidingWindowMeter] = {}
        self._blocked_until: dict[int, float] = {}

    def block(self, chat_id: int, seconds: float) -> None:
        """Refuse all calls to a chat (0: to any chat) for `seconds`."""
        self._blocked_until[chat_id] = self._clock.monotonic() + seconds

    def remaining_wait(self, chat_id: int) -> int:
        """Whole seconds that a penalty still lasts for a chat; 0 without one."""
        until = max(self._blocked_until.get(chat_id, 0.0), self._blocked_until.get(0, 0.0))
        return max(0, math.ceil(until - self._clock.monotonic()))

    def admit(self, chat_id: int, *, is_private: bool, is_draft: bool) -> int:
        """Count a call and return 0, or return its penalty in whole seconds."""
        now, limits = self._clock.monotonic(), self.limits
        if is_draft:
            meters = [
                (chat_id, self._meter((chat_id, "drafts"), limits.drafts, now)),
                (chat_id, self._meter((chat_id, "many_drafts"), limits.many_drafts, now)),
            ]
        else:
            chat_limit = limits.private if is_private else limits.group
            meters = [
                (chat_id, self._meter((chat_id, "messages"), chat_limit, now)),
                (0, self._meter((0, "messages"), limits.overall, now)),
            ]
        for blocked_id, meter in meters:
            wait = math.ceil(meter.retry_after(now)) if meter is not None else 0
            if wait > 0:
                self._blocked_until[blocked_id] = now + wait
                return wait
        for _, meter in meters:
            if meter is not None:
                meter.take(now)
        return 0

    def gauges(self, chat_id: int, *, is_draft: bool) -> list[Gauge]:
        """The limits that count a call to a chat."""
        now = self._clock.monotonic()
        return [
            replace(
                meter.gauge(name, str(id_) if id_ else "", now),
                blocked_for=max(0.0, self._blocked_until.get(id_, 0.0) - now),
            )
            for (id_, name), meter in self._meters.items()
            if id_ in (chat_id, 0) and name.endswith("drafts") == is_draft
        ]

    def _meter(
        self, key: tuple[int, str], limit: TokenBucket | SlidingWindow | None, now: float
    ) -> _TokenBucketMeter | _SlidingWindowMeter | None:
        if limit is None:
            return None
        if key not in self._meters:
            self._meters[key] = (
                _TokenBucketMeter(limit, now) if isinstance(limit, TokenBucket) else _SlidingWindowMeter(limit, now)
            )
        return self._meters[key]
