"""The `StateStore` of adapters, in memory."""

import asyncio
from collections.abc import Callable


class MemoryState:
    """Outlives an adapter."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.saved = asyncio.Event()

    async def load_state(self, name: str) -> str | None:
        return self.values.get(name)

    async def save_state(self, name: str, value: str) -> None:
        self.values[name] = value
        self.saved.set()

    async def update_state(self, name: str, change: Callable[[str], str]) -> str:
        value = self.values.get(name, "")
        await self.save_state(name, change(value))
        return value
