"""Flood control: how often a bot may write, and the penalty when it does more often.

Telegram does not publish its figures. These are the ones its FAQ and its developers speak of, with
the short bursts that are tolerated; edits count as messages do.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Flood", "Limits", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `count` calls in any `seconds`; more costs `penalty` seconds."""

    count: int
    seconds: float
    penalty: float


@dataclass(frozen=True, slots=True)
class Limits:
    private: Rule | None = Rule(8, 5, 3)
    group: Rule | None = Rule(20, 60, 20)
    drafts: Rule | None = Rule(10, 5, 3)
    bot: Rule | None = Rule(30, 1, 2)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None)


class Flood:
    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._times: dict[str, deque[float]] = defaultdict(deque)
        self._until: dict[str, float] = {}

    def wait(self, chat: int, *, private: bool, draft: bool) -> float:
        """Seconds to wait before this call; 0 when it is let through, and counted."""
        place = self.limits.private if private else self.limits.group
        rules = [(f"{chat}", self.limits.drafts if draft else place), ("bot", self.limits.bot)]
        if draft:
            rules[0] = (f"{chat}:draft", self.limits.drafts)
        now = self._clock()
        # A penalty holds for the whole chat, whatever is sent to it.
        held = max(self._until.get(name, 0.0) for name in (f"{chat}", f"{chat}:draft", "bot"))
        if held > now:
            return held - now
        for name, rule in rules:
            if rule is not None:
                times = self._times[name]
                while times and times[0] <= now - rule.seconds:
                    times.popleft()
                if len(times) >= rule.count:
                    self._until[name] = now + rule.penalty
                    return rule.penalty
        for name, rule in rules:
            if rule is not None:
                self._times[name].append(now)
        return 0.0
