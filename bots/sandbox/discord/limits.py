"""Rate limits: the bucket of each call, what is used of it, and the headers that report it.

Discord documents the headers, but not the figures; these were seen in practice.
"""

import re
from dataclasses import dataclass

from bots.sandbox.gauges import Gauge
from core.bounded_dict import BoundedDict
from core.clock import Clock

MAX_WINDOWS = 10_000
BUCKET_PATTERNS = (
    ("create", r"POST channels/(\d+)/messages"),
    ("edit", r"PATCH channels/(\d+)/messages/\d+"),
    ("delete", r"DELETE channels/(\d+)/messages/\d+"),
    ("reaction", r"\w+ channels/(\d+)/messages/\d+/reactions/.*"),
    ("typing", r"\w+ channels/(\d+)/typing"),
    ("webhook", r"\w+ webhooks/\d+/(\w+).*"),
    ("webhook", r"\w+ (interactions/.*)"),
)
"""The field of `Limits` that limits a call, and the channel or the token that has calls of its own."""


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
    reaction: FixedWindow | None = FixedWindow(1, 0.25)
    typing: FixedWindow | None = FixedWindow(5, 5)
    webhook: FixedWindow | None = FixedWindow(5, 2)
    old_edit: FixedWindow | None = FixedWindow(30, 60)
    """Edits of messages older than an hour. Discord has this limit; its figure is not known."""
    overall: FixedWindow | None = FixedWindow(50, 1)

    @classmethod
    def off(cls) -> "Limits":
        return cls(None, None, None, None, None, None, None, None)


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

    def consume(self, method: str, path: str) -> BucketUsage | None:
        """Count a call in the overall limit and in its own bucket."""
        bucket, match = _find_bucket(method, path)
        if bucket != "webhook":
            overall = self.count("overall")
            if overall is not None and overall.is_exceeded:
                return overall
        return None if match is None else self.count(bucket, match[1])

    def gauges(self, method: str, path: str) -> list[Gauge]:
        """The limits that count a call."""
        bucket, match = _find_bucket(method, path)
        keys = [] if match is None else [(bucket, match[1])]
        keys += [] if bucket == "webhook" else [("overall", "")]
        return [gauge for name, scope in keys if (gauge := self._gauge(name, scope)) is not None]

    def _gauge(self, bucket: str, scope_id: str) -> Gauge | None:
        window: FixedWindow | None = getattr(self._limits, bucket)
        started_at, count = self._windows.get(f"{bucket}:{scope_id}", (0.0, 0))
        if window is None:
            return None
        resets_in = started_at + window.seconds - self._clock.monotonic()
        # A token is no channel's ID, and nobody else may see it.
        scope = scope_id if bucket != "webhook" else "an interaction"
        used = count if resets_in > 0 else 0
        return Gauge(
            name=bucket,
            scope=scope,
            limit=window.count,
            used=used,
            seconds=window.seconds,
            resets_in=max(0.0, resets_in),
        )

    def count(self, bucket: str, scope_id: str = "") -> BucketUsage | None:
        """Count a call in a bucket, which is a field of `Limits`; None if that limit is off."""
        window: FixedWindow | None = getattr(self._limits, bucket)
        if window is None:
            return None
        now, key = self._clock.monotonic(), f"{bucket}:{scope_id}"
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
            "X-RateLimit-Bucket": bucket,
        }
        is_global = bucket == "overall"
        if is_exceeded:
            headers["X-RateLimit-Scope"] = "global" if is_global else "user"
            headers["Retry-After"] = str(max(1, round(reset_after)))
            if is_global:
                headers["X-RateLimit-Global"] = "true"
        return BucketUsage(headers, reset_after, is_exceeded, is_global)


def _find_bucket(method: str, path: str) -> "tuple[str, re.Match[str] | None]":
    """The field of `Limits` that limits a call, and the match whose group is the channel or the token."""
    matches = ((name, re.fullmatch(pattern, f"{method} {path}")) for name, pattern in BUCKET_PATTERNS)
    return next(((name, match) for name, match in matches if match), ("", None))
