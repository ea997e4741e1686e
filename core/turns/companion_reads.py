"""What one of the two turns of a comparison has read of a file, for the other one: nothing is read twice.

In another process, the other turn reads the file itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from core.bounded_dict import BoundedDict
from core.store.incoming_codec import compared_model
from core.store.turns import Turn

T = TypeVar("T")

MAX_RESULTS = 100


class CompanionReads:
    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._results: BoundedDict[str, Any] = BoundedDict(MAX_RESULTS)
        """What the other turn has not taken yet."""

    async def share(self, turn: Turn, file_id: str, read: Callable[[], Awaitable[T]]) -> T:
        """The result of `read`, or what it was for the turn that answers the same question. Raises what `read` does."""
        if not compared_model(turn.incoming):
            return await read()
        key = f"{turn.conversation_id}:{turn.seq}:{file_id}"
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key in self._results:
                result: T = self._results.pop(key)
                return result
            result = self._results[key] = await read()
            return result
