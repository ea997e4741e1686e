import asyncio
import types
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from telegram.ext._utils import networkloop

from bots.telegram.chat import TelegramChat
from core.errors import StoreError
from core.port import Incoming, Place
from tests.bots.telegram.server import TOKEN, BotApi

HERE = Place("telegram", "123456", "42", private=True)
GROUP = Place("telegram", "123456", "-1001")
TOPIC = Place("telegram", "123456", "-1002", thread="55")


class Inbox:
    """Keeps what comes, or fails as it is told to."""

    def __init__(self) -> None:
        self.kept: list[Incoming] = []
        self.failures: list[Exception] = []
        self.hold: asyncio.Event | None = None
        self.tries = 0
        self._changed = asyncio.Condition()

    async def __call__(self, incoming: Incoming) -> None:
        async with self._changed:
            self.tries += 1
            self._changed.notify_all()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        async with self._changed:
            self.kept.append(incoming)
            self._changed.notify_all()

    def refuse(self, times: int = 1) -> None:
        self.failures += [StoreError("The disk is full")] * times

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    async def receives(self, count: int = 1) -> list[Incoming]:
        await self.until(lambda: len(self.kept) >= count)
        return self.kept


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi() as server:
        yield server


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's pauses after a failed poll (1 s and more), fifty times as short."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 50)

    clock = types.SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr(networkloop, "asyncio", clock)


Serving = Callable[..., AbstractAsyncContextManager[TelegramChat]]


@pytest.fixture
def serving(api: BotApi, inbox: Inbox) -> Serving:
    """A chat that runs against `api` until the block ends, within the time it promises."""

    @asynccontextmanager
    async def serve(**options: Any) -> AsyncIterator[TelegramChat]:
        chat = TelegramChat(TOKEN, api_base=api.base, **options)
        task = asyncio.create_task(chat.run(inbox))
        try:
            await api.called("getUpdates")
            yield chat
        finally:
            task.cancel()
            async with asyncio.timeout(6):
                await asyncio.wait({task})
            left = {one.get_name() for one in asyncio.all_tasks() if not one.done()}
            assert "Updater:start_polling:polling_task" not in left
            if not task.cancelled() and (error := task.exception()):
                raise error

    return serve
