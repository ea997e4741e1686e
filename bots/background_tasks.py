"""Tasks that an adapter starts and does not wait for until it stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, seconds: float) -> None:
        """Wait up to `seconds` for the tasks to finish; cancel those that did not, also if this is cancelled."""
        if not self._tasks:
            return
        try:
            await asyncio.wait(self._tasks, timeout=seconds)
        finally:
            late = [task for task in self._tasks if not task.done()]
            for task in late:
                task.cancel()
        if late:
            await asyncio.wait(late, timeout=seconds)
