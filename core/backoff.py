"""Exponential back-off: the only implementation, used by every loop that retries."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays that double from `first` to `maximum` seconds, each shortened at random by up to half.

    The jitter keeps processes that lost the same service from returning at the same instant.
    """

    first: float
    maximum: float
    jitter: Callable[[float, float], float] = random.uniform
    _next: float | None = None

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        delay = self._next or self.first
        self._next = min(2 * delay, self.maximum)
        return delay * self.jitter(0.5, 1.0)

    def reset(self) -> None:
        """Start again from the first delay, after an attempt that succeeded."""
        self._next = None
