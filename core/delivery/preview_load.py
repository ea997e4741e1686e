"""Limits what a process spends on previews: they become rarer when it is busy, and wait while questions start.

The process shows at most `MAX_PREVIEWS_PER_SECOND`, because previews are most of what many answers cost at once.
Besides, every preview measures how late its timer was. When the event loop is late, it has too much to do: all
intervals grow in proportion, so that previews take only the time that answers leave.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from core.clock import wait_for_event
from core.timings import Timings

LATENESS_WEIGHT = 0.1
"""The weight of a new measurement in the average."""
MAX_STRETCH = 10.0
MAX_PREVIEWS_PER_SECOND = 55
MAX_SHARED_INTERVAL = 5.0
"""In seconds: for the sake of other answers, previews become no rarer than this. Most answers end sooner."""
MAX_START_SECONDS = 1.0
"""Previews do not wait for questions that take longer to start: these read files or wait for something else."""


class PreviewLoad:
    """Shared by the previews of one process."""

    def __init__(self, timings: Timings = Timings()) -> None:
        self._clock = timings.clock
        self._timings = timings
        self._lateness = 0.0
        self._previews = 0
        """How many answers have a preview now."""
        self._starting: dict[int, float] = {}
        """Questions for which no model has been asked yet, and since when."""
        self._all_started = asyncio.Event()
        self._all_started.set()

    def interval(self, usual: float) -> float:
        """Seconds between two previews of an answer, instead of the usual ones."""
        stretch = min(MAX_STRETCH, max(1.0, self._lateness / self._timings.tolerated_lateness))
        return max(usual * stretch, min(MAX_SHARED_INTERVAL, self._previews / MAX_PREVIEWS_PER_SECOND))

    @contextmanager
    def previewing(self) -> Iterator[None]:
        """An answer has a preview until the block ends."""
        self._previews += 1
        try:
            yield
        finally:
            self._previews -= 1

    async def pause(self, seconds: float) -> None:
        """Wait `seconds` before the next preview of an answer, or up to twice as long while other questions start."""
        due_at = self._clock.monotonic() + seconds
        await self._clock.sleep(seconds)
        lateness = max(0.0, self._clock.monotonic() - due_at)
        self._lateness += (lateness - self._lateness) * LATENESS_WEIGHT
        if any(self._clock.monotonic() - time < MAX_START_SECONDS for time in self._starting.values()):
            await wait_for_event(self._all_started, seconds, self._clock)

    def question_claimed(self, turn_id: int) -> None:
        """A question starts; `question_started` must follow."""
        self._starting[turn_id] = self._clock.monotonic()
        self._all_started.clear()

    def question_started(self, turn_id: int) -> None:
        """The model was asked, or will not be."""
        self._starting.pop(turn_id, None)
        if not self._starting:
            self._all_started.set()
