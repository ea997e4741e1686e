"""Remembers forwarded messages in shared chats for the moment in which a comment on them may arrive."""

from core.bounded_dict import BoundedDict
from core.port import Incoming, Place
from core.timings import Timings

MAX_FORWARDS = 1000


class RecentForwards:
    """Kept in memory only: most of them are not for the bot."""

    def __init__(self, timings: Timings) -> None:
        self._clock = timings.clock
        self._lifetime = timings.batch_window
        self._forwards: BoundedDict[tuple[Place, str], tuple[float, Incoming]] = BoundedDict(MAX_FORWARDS)

    def add(self, forward: Incoming) -> None:
        self._remove_old()
        self._forwards[forward.place, forward.key] = self._clock.monotonic(), forward

    def find(self, comment: Incoming) -> list[Incoming]:
        """What the sender of `comment` forwarded to the same place just before."""
        self._remove_old()
        return [
            forward
            for _, forward in self._forwards.values()
            if (forward.place, forward.sender.user) == (comment.place, comment.sender.user)
        ]

    def remove(self, forward: Incoming) -> None:
        self._forwards.pop((forward.place, forward.key), None)

    def _remove_old(self) -> None:
        oldest = self._clock.monotonic() - self._lifetime
        while self._forwards and (first := next(iter(self._forwards.items())))[1][0] < oldest:
            del self._forwards[first[0]]
