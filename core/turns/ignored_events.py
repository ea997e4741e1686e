"""Limits edits and forwarded messages that change nothing. The database has no turn for them that it could count.

Over the limit, the inbox looks whether an event may change a question before it begins the transaction that stores it.
"""

from collections import deque

from core.bounded_dict import BoundedDict
from core.store.inbound import LIMIT_SECONDS
from core.timings import Timings

MAX_PEOPLE = 1000


class IgnoredEvents:
    """Counts them by person, in memory only. `max_per_minute`: 0 for no limit."""

    def __init__(self, max_per_minute: int, timings: Timings) -> None:
        self._max_per_minute = max_per_minute
        self._clock = timings.clock
        self._times: BoundedDict[str, deque[float]] = BoundedDict(MAX_PEOPLE)
        """The last ones of each person, by the monotonic clock."""

    def add(self, person: str) -> None:
        if self._max_per_minute:
            self._times[person] = times = self._times.get(person) or deque(maxlen=self._max_per_minute)
            times.append(self._clock.monotonic())

    def is_limit_reached(self, person: str) -> bool:
        times = self._times.get(person)
        if not times or len(times) < self._max_per_minute:
            return False
        return times[0] > self._clock.monotonic() - LIMIT_SECONDS
