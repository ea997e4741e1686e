"""Rate limits: the bucket of each call, what is used of it, and the headers that report it.

Discord documents the headers, but not the figures; these were seen in practice.
"""

import re
from dataclasses import dataclass

from bots.sandbox.stand_in import BoundedDict
from core.clock import Clock

__all__ = ["Bucket", "BucketUsage", "FixedWindow", "Limits", "RateLimitBuckets"]

MAX_WINDOWS = 10_000


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """At most `count` calls in a window of `seconds` that begins with the first call."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """None switches a limit off."""

    create: FixedWindow | None = FixedWindow(5, 5)
    edit: FixedWindow | None = FixedWindow(5, 5)
    delete: FixedWindow | None = FixedWindow(5, 1)
    typing: FixedWindow | None = FixedWindow(5, 5)
    reaction: FixedWindow | None = FixedWindow(1, 0.25)
    webhook: FixedWindow | None = FixedWindow(5, 2)
    old_edit: FixedWindow | None = FixedWindow(30, 60)
    """Edits of messages older than an hour. Discord has this limit; its figure is not known."""
    overall: FixedWindow | None = FixedWindow(50, 1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    window: FixedWindow | None
    scope_id: str = ""
    """The channel or the token that has calls of its own."""


@dataclass(frozen=True, slots=True)
class BucketUsage:
    """The state of a bucket after a call."""

    headers: dict[str, str]
    retry_after: float
    is_exceeded: bool
    is_global: bool = False


class RateLimitBuckets:
    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._windows: BoundedDict[str, tuple[float, int]] = BoundedDict(MAX_WINDOWS)

    def _bucket(self, method: str, path: str) -> Bucket | None:
        limits = self._limits
        for name, window, pattern in (
            ("create", limits.create, r"POST channels/(\d+)/messages"),
            ("edit", limits.edit, r"PATCH channels/(\d+)/messages/\d+"),
            ("delete", limits.delete, r"DELETE channels/(\d+)/messages/\d+"),
            ("typing", limits.typing, r"\w+ channels/(\d+)/typing"),
            ("reaction", limits.reaction, r"\w+ channels/(\d+)/messages/\d+/reactions/.*"),
            ("webhook", limits.webhook, r"\w+ webhooks/\d+/(\w+).*"),
            ("webhook", limits.webhook, r"\w+ (interactions/.*)"),
        ):
            if match := re.fullmatch(pattern, f"{method} {path}"):
                return Bucket(name, window, match[1])
        return None

    def consume(self, method: str, path: str) -> BucketUsage | None:
        """Count a call in the overall limit and in its own bucket."""
        bucket = self._bucket(method, path)
        if bucket is None or bucket.name != "webhook":
            overall = self._consume(Bucket("overall", self._limits.overall), is_global=True)
            if overall is not None and overall.is_exceeded:
                return overall
        return None if bucket is None else self._consume(bucket)

    def consume_old_edit(self, channel_id: int) -> BucketUsage | None:
        """Count an edit of a message older than an hour."""
        return self._consume(Bucket("old_edit", self._limits.old_edit, str(channel_id)))

    def _consume(self, bucket: Bucket, *, is_global: bool = False) -> BucketUsage | None:
        window = bucket.window
        if window is None:
            return None
        now, key = self._clock.monotonic(), f"{bucket.name}:{bucket.scope_id}"
        started_at, count = self._windows.get(key, (now, 0))
        if now - started_at >= window.seconds:
            started_at, count = now, 0
        reset_after = started_at + window.seconds - now
        is_exceeded = count >= window.count
        if not is_exceeded:
            count += 1
        self._windows[key] = (started_at, count)
        headers = {
            "X-RateLimit-Limit": str(window.count),
            "X-RateLimit-Remaining": str(window.count - count),
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Reset": f"{self._clock.time() + reset_after:.3f}",
            "X-RateLimit-Bucket": bucket.name,
        }
        if is_exceeded:
            headers["X-RateLimit-Scope"] = "global" if is_global else "user"
        return BucketUsage(headers, reset_after, is_exceeded, is_global)
