"""Rate limits by bucket, told in headers as Discord tells them.

Discord documents the headers, not the figures; these are the ones seen in practice.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bots.sandbox.stand_in import BoundedDict

__all__ = ["BucketUsage", "FixedWindow", "Limits", "RateLimitBuckets"]

MAX_WINDOWS = 10_000  # kept in mind


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """At most `count` calls in a window of `seconds` that begins with the first of them."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    create: FixedWindow | None = FixedWindow(5, 5)
    edit: FixedWindow | None = FixedWindow(5, 5)
    delete: FixedWindow | None = FixedWindow(5, 1)
    typing: FixedWindow | None = FixedWindow(5, 5)
    reaction: FixedWindow | None = FixedWindow(1, 0.25)
    webhook: FixedWindow | None = FixedWindow(5, 2)
    old_edit: FixedWindow | None = FixedWindow(30, 60)
    """Edits of messages older than an hour; Discord has such a limit, its figure is not known."""
    everything: FixedWindow | None = FixedWindow(50, 1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class BucketUsage:
    """What a call left of its bucket; `refused` when there was nothing left."""

    headers: dict[str, str]
    retry_after: float
    is_exceeded: bool
    is_global: bool = False


class RateLimitBuckets:
    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._windows: BoundedDict[str, tuple[float, int]] = BoundedDict(MAX_WINDOWS)

    def consume(self, limit_name: str, scope_id: str, *, count_globally: bool = True) -> BucketUsage | None:
        """Count a call; `kind` names the rule, "" only the one for everything."""
        if count_globally and limit_name != "webhook":
            global_usage = self._consume("everything", "", self._limits.everything)
            if global_usage is not None and global_usage.is_exceeded:
                return BucketUsage(global_usage.headers, global_usage.retry_after, is_exceeded=True, is_global=True)
        rule: FixedWindow | None = getattr(self._limits, limit_name) if limit_name else None
        return self._consume(limit_name, scope_id, rule)

    def _consume(self, limit_name: str, scope_id: str, window: FixedWindow | None) -> BucketUsage | None:
        if window is None:
            return None
        now, name = self._clock(), f"{limit_name}:{scope_id}"
        started_at, count = self._windows.get(name, (now, 0))
        if now - started_at >= window.seconds:
            started_at, count = now, 0
        reset_after = started_at + window.seconds - now
        is_exceeded = count >= window.count
        if not is_exceeded:
            count += 1
        self._windows[name] = (started_at, count)
        headers = {
            "X-RateLimit-Limit": str(window.count),
            "X-RateLimit-Remaining": str(window.count - count),
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
            "X-RateLimit-Bucket": limit_name,
        }
        if is_exceeded:
            headers["X-RateLimit-Scope"] = "global" if limit_name == "everything" else "user"
        return BucketUsage(headers, reset_after, is_exceeded)
