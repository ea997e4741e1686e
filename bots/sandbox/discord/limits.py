"""Rate limits by bucket, told in headers as Discord tells them.

Discord documents the headers, not the figures; these are the ones seen in practice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Buckets", "Limits", "Rule", "Spent"]

WINDOWS = 10_000  # kept in mind


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `count` calls in a window of `seconds` that begins with the first of them."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    create: Rule | None = Rule(5, 5)
    edit: Rule | None = Rule(5, 5)
    delete: Rule | None = Rule(5, 1)
    typing: Rule | None = Rule(5, 5)
    reaction: Rule | None = Rule(1, 0.25)
    webhook: Rule | None = Rule(5, 2)
    old_edit: Rule | None = Rule(30, 60)
    """Edits of messages older than an hour; Discord has such a limit, its figure is not known."""
    everything: Rule | None = Rule(50, 1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call left of its bucket; `refused` when there was nothing left."""

    headers: dict[str, str]
    retry_after: float
    refused: bool
    everywhere: bool = False


class Buckets:
    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def spend(self, kind: str, place: str, *, overall: bool = True) -> Spent | None:
        """Count a call; `kind` names the rule, "" only the one for everything."""
        if overall and kind != "webhook":
            all_ = self._take("everything", "", self._limits.everything)
            if all_ is not None and all_.refused:
                return Spent(all_.headers, all_.retry_after, refused=True, everywhere=True)
        rule: Rule | None = getattr(self._limits, kind) if kind else None
        return self._take(kind, place, rule)

    def _take(self, kind: str, place: str, rule: Rule | None) -> Spent | None:
        if rule is None:
            return None
        now, name = self._clock(), f"{kind}:{place}"
        began, used = self._windows.get(name, (now, 0))
        if now - began >= rule.seconds:
            began, used = now, 0
        left = began + rule.seconds - now
        refused = used >= rule.count
        if not refused:
            used += 1
        self._windows[name] = (began, used)
        if len(self._windows) > WINDOWS:
            del self._windows[next(iter(self._windows))]
        headers = {
            "X-RateLimit-Limit": str(rule.count),
            "X-RateLimit-Remaining": str(rule.count - used),
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Bucket": kind,
        }
        if refused:
            headers["X-RateLimit-Scope"] = "global" if kind == "everything" else "user"
        return Spent(headers, left, refused)
