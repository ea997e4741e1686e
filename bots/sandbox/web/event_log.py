"""The events that a page needs to draw everything: the latest of each key, and who listens for new ones."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator

from bots.sandbox.stand_in import Json
from core.bounded_dict import BoundedDict
from core.clock import Clock

MAX_EVENTS_PER_TYPE = 1_000
MAX_UNREAD_EVENTS = 5_000


class SubscriberTooSlowError(Exception):
    """More events have come than a subscriber may leave unread."""


class EventLog:
    """Keeps the latest event of each key, and of each type the `max_events` that were set last."""

    def __init__(self, clock: Clock, max_events: int = MAX_EVENTS_PER_TYPE) -> None:
        self.epoch = secrets.token_hex(8)
        """Tells this log from those of earlier runs."""
        self._clock = clock
        self._max_events = max_events
        self._last_seq = 0
        self._events: dict[str, BoundedDict[str, Json]] = {}
        self._subscribers: set[asyncio.Queue[Json]] = set()

    def add(self, event_type: str, key: str | None, **fields: object) -> None:
        """Announce an event. With a key, it replaces the event with the same type and key."""
        self._last_seq += 1
        event: Json = {"type": event_type, "key": key, "seq": self._last_seq, "time": self._clock.time(), **fields}
        if key is not None:
            if event_type not in self._events:
                self._events[event_type] = BoundedDict(self._max_events)
            self._events[event_type][key] = event
        for queue in self._subscribers:
            if not queue.full():  # a full one ends with an error when it is read
                queue.put_nowait(event)

    def replay(self, epoch: str = "", since: int = 0) -> list[Json]:
        """The events after `since` in the order in which they were set; all of them for another epoch."""
        first = since + 1 if epoch == self.epoch else 0
        events = (event for by_key in self._events.values() for event in by_key.values() if event["seq"] >= first)
        return sorted(events, key=lambda event: int(event["seq"]))

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[list[Json]]]:
        """The events from now on, in batches.

        The iterator raises `SubscriberTooSlowError` when too many events wait.
        """
        queue: asyncio.Queue[Json] = asyncio.Queue(MAX_UNREAD_EVENTS)
        self._subscribers.add(queue)
        try:
            yield _batches(queue)
        finally:
            self._subscribers.discard(queue)


async def _batches(queue: asyncio.Queue[Json]) -> AsyncIterator[list[Json]]:
    while True:
        batch = [await queue.get()]
        if queue.full() or queue.qsize() >= MAX_UNREAD_EVENTS - 1:
            raise SubscriberTooSlowError
        while not queue.empty():
            batch.append(queue.get_nowait())
        yield batch
