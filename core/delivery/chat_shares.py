"""Divides the limit of a chat among the processes of an account that write to it, without a request to each other.

Most chats are served by one process at a time, so it may use most of the limit. It leaves each of the other processes a
few requests, with which they can begin at once. For the length of the window, a process that begins has only these:
meanwhile the requests of the others leave the window. Then all that are active have equal parts. Example: two
processes, `RateWindow(count=20, seconds=60)`

                                first process      second process
    alone                       15 in a minute     5 at once, whenever it begins
    second one begins, 60 s     10 in a minute     5 in a minute
    later                       10 in a minute     10 in a minute

So the sum never exceeds the limit, as long as the processes know of each other.
"""

import math
from dataclasses import dataclass, field

from core.port import RateWindow
from core.store.rate_limits import MAX_IDLE_SECONDS, ChatActivity

MAX_AGE_SECONDS = 2 * MAX_IDLE_SECONDS
"""Longer than any window: what a process knows of a chat in which it has had no turn for this long is outdated."""


@dataclass(slots=True)
class ChatShare:
    """This process's share of the limit of one chat."""

    joined_at: float
    """Since when the others have known that this process writes here."""
    present_since: float
    """Since when it has had turns here without a pause. It does not know who wrote in a pause."""
    updated_at: float
    """When it last had a turn here."""
    _others_seen_at: float = -math.inf
    _seen_with: dict[int, float] = field(default_factory=dict)
    """By number of processes, including this one: when that many were last active here."""

    @classmethod
    def begin(cls, now: float) -> "ChatShare":
        return cls(now, now, now)

    def update(self, now: float, activity: ChatActivity, *, is_new: bool) -> None:
        """`is_new`: this process begins to write here, perhaps not for the first time."""
        if is_new:
            self.present_since = now
        self.updated_at = now
        self._others_seen_at = max(self._others_seen_at, now - activity.idle_seconds)
        self._seen_with[max(1, activity.processes)] = now
        self._seen_with = {n: time for n, time in self._seen_with.items() if time > now - MAX_AGE_SECONDS}

    def count(self, window: RateWindow, now: float, processes: int) -> int:
        """How many requests of `window` this process may send, if `processes` serve the account."""
        entry = entry_count(window, processes)
        if now - self._others_seen_at >= window.seconds:
            active = 1
        elif now - self.joined_at < window.seconds:
            return entry
        elif now - self.present_since < window.seconds:
            active = processes
        else:
            active = max((n for n, time in self._seen_with.items() if now - time < window.seconds), default=1)
        return max(1, (window.count - max(0, processes - active) * entry) // active)


def entry_count(window: RateWindow, processes: int) -> int:
    """How many requests a process may send at once in a chat where others write."""
    return max(1, window.count // (2 * processes))
