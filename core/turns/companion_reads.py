"""What one of the two turns of a comparison has read of a file, for the other one: nothing is read twice.

In another process, or after one of them has ended, the other turn reads the file itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from core.store.incoming_codec import compared_model
from core.store.turns import Turn

T = TypeVar("T")


class CompanionReads:
    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._results: defaultdict[tuple[int, int | None], dict[str, Any]] = defaultdict(dict)
        """What the other turn of a question has not taken yet, by file."""

    async def share(self, turn: Turn, file_id: str, read: Callable[[], Awaitable[T]]) -> T:
        """Call `read`, unless the other turn of the comparison has just read the same file: then take its result, once.

        Raises what `read` does, which the other turn does not get.
        """
        if not compared_model(turn.incoming):
            return await read()
        question = _question(turn)
        async with self._locks.setdefault(f"{question}:{file_id}", asyncio.Lock()):
            if file_id in self._results[question]:
                result: T = self._results[question].pop(file_id)
                return result
            result = await read()
            self._results[question][file_id] = result
            return result

    def discard(self, turn: Turn) -> None:
        """Forget what was read for the turn's question, because the turn has ended."""
        self._results.pop(_question(turn), None)


def _question(turn: Turn) -> tuple[int, int | None]:
    return turn.conversation_id, turn.seq
