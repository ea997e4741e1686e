"""Exponential back-off: the only implementation, used by every loop that retries."""

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from `first` to `maximum` seconds, each shortened at random by up to half.

    The jitter keeps processes that lost the same service from returning at the same instant.
    """

    def __init__(
        self, first: float, maximum: float, *, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first
        self._maximum = maximum
        self._jitter = jitter
        self._next = first

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        delay = self._next
        self._next = min(2 * delay, self._maximum)
        return delay * self._jitter(0.5, 1.0)

    def reset(self) -> None:
        """Start again from the first delay, after an attempt that succeeded."""
        self._next = self._first
