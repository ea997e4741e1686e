"""Flood control: how often a bot may write, and the penalty when it does more often.

Telegram does not publish its figures. These follow what its FAQ says (about one message a second
in a chat with short bursts, 20 a minute in a group, 30 a second in all) and what its developers
say (edits count as messages do).
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Bucket", "Flood", "Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """`burst` calls at once, then `rate` a second; one more costs at least `penalty` seconds."""

    burst: int
    rate: float
    penalty: float


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` calls in any `seconds`; one more costs at least `penalty` seconds."""

    count: int
    seconds: float
    penalty: float


@dataclass(frozen=True, slots=True)
class Limits:
    """`None` switches a rule off.

    `private` and `group` are for each chat and count messages and edits alike; `drafts` is for
    each chat; `bot` counts everything the bot sends.
    """

    private: Bucket | None = Bucket(burst=5, rate=1.0, penalty=3)
    group: Window | None = Window(count=20, seconds=60, penalty=5)
    drafts: Bucket | None = Bucket(burst=10, rate=2.0, penalty=3)
    bot: Window | None = Window(count=30, seconds=1, penalty=1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None)


class _Tokens:
    def __init__(self, rule: Bucket, now: float) -> None:
        self._rule, self._left, self._at = rule, float(rule.burst), now

    def wait(self, now: float) -> float:
        self._left = min(self._rule.burst, self._left + (now - self._at) * self._rule.rate)
        self._at = now
        if self._left >= 1:
            return 0.0
        return max(self._rule.penalty, (1 - self._left) / self._rule.rate)

    def take(self, _now: float) -> None:
        self._left -= 1


class _Times:
    def __init__(self, rule: Window, _now: float) -> None:
        self._rule = rule
        self._times: deque[float] = deque(maxlen=rule.count)

    def wait(self, now: float) -> float:
        if len(self._times) < self._rule.count or now - self._times[0] >= self._rule.seconds:
            return 0.0
        return max(self._rule.penalty, self._rule.seconds - (now - self._times[0]))

    def take(self, now: float) -> None:
        self._times.append(now)


class Flood:
    """Who has to wait. `asked_early` counts what was asked in spite of a penalty."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.asked_early = 0
        self._clock = clock
        self._meters: dict[tuple[int, str], _Tokens | _Times] = {}
        self._until: dict[int, float] = {}

    def hold(self, chat: int, seconds: float) -> None:
        """Let nothing through to `chat` (0: to anybody) for so long."""
        self._until[chat] = self._clock() + seconds

    def held(self, chat: int) -> int:
        """Whole seconds a penalty still lasts for `chat`; 0 without one. Counts the asking."""
        until = max(self._until.get(chat, 0.0), self._until.get(0, 0.0))
        left = until - self._clock()
        if left <= 0:
            return 0
        self.asked_early += 1
        return math.ceil(left)

    def admit(self, chat: int, *, private: bool, draft: bool) -> int:
        """Count one call, or say how many whole seconds its penalty is."""
        now = self._clock()
        kind = "drafts" if draft else "private" if private else "group"
        meters = [(chat, self._meter(chat, kind, now)), (0, self._meter(0, "bot", now))]
        for place, meter in meters:
            wait = math.ceil(meter.wait(now)) if meter is not None else 0
            if wait > 0:
                self._until[place] = now + wait
                return wait
        for _, meter in meters:
            if meter is not None:
                meter.take(now)
        return 0

    def _meter(self, chat: int, kind: str, now: float) -> _Tokens | _Times | None:
        meter = self._meters.get((chat, kind))
        if meter is None:
            rule: Bucket | Window | None = getattr(self.limits, kind)
            if rule is None:
                return None
            meter = _Tokens(rule, now) if isinstance(rule, Bucket) else _Times(rule, now)
            self._meters[chat, kind] = meter
        return meter
