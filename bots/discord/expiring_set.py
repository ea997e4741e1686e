"""A set whose members expire."""

from core.clock import Clock

__all__ = ["ExpiringSet"]

MAX_ENTRIES = 1_000


class ExpiringSet:
    """Contains each name for some seconds, and at most the newest `MAX_ENTRIES` names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expires_at: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self._expires_at.pop(name, None)
        if len(self._expires_at) >= MAX_ENTRIES:
            del self._expires_at[next(iter(self._expires_at))]
        self._expires_at[name] = self._clock.monotonic() + seconds

    def __contains__(self, name: str) -> bool:
        return self._expires_at.get(name, 0.0) > self._clock.monotonic()
