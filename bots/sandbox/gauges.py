"""How much of a limit is used, for display."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A limit of a platform. Its usage falls without a call: a constant rate, call by call, or all at once."""

    name: str
    scope: str
    """The chat or channel; empty: all together."""
    limit: int
    used: float
    seconds: float
    """Length of the window."""
    refill_per_second: float = 0.0
    frees_in: tuple[float, ...] = ()
    """The seconds until each call of a sliding window no longer counts."""
    resets_in: float | None = None
    """The seconds until nothing of a fixed window is used."""
    blocked_for: float = 0.0
    """The seconds that a penalty still lasts."""
