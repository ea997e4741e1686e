import asyncio
import types
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from telegram.ext._utils import networkloop

from bots.telegram.adapter import TelegramAdapter
from core.errors import StoreError
from core.port import Incoming, Place
from tests.bots.telegram.scripted_bot_api import TOKEN, ScriptedBotApi

PRIVATE_PLACE = Place("telegram", "123456", "42", is_private=True)
GROUP_PLACE = Place("telegram", "123456", "-1001")
TOPIC_PLACE = Place("telegram", "123456", "-1002", thread="55")


class FakeInbox:
    """Keeps what comes, or fails as it is told to."""

    def __init__(self) -> None:
        self.stored: list[Incoming] = []
        self.failures: list[Exception] = []
        self.wait_for: asyncio.Event | None = None
        self.attempts = 0
        self._changed = asyncio.Condition()

    async def __call__(self, incoming: Incoming) -> None:
        async with self._changed:
            self.attempts += 1
            self._changed.notify_all()
        if self.wait_for is not None:
            await self.wait_for.wait()
        if self.failures:
            raise self.failures.pop(0)
        async with self._changed:
            self.stored.append(incoming)
            self._changed.notify_all()

    def fail_next(self, times: int = 1) -> None:
        self.failures += [StoreError("The disk is full")] * times

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)

    async def wait_for_events(self, count: int = 1) -> list[Incoming]:
        await self.wait_until(lambda: len(self.stored) >= count)
        return self.stored


@pytest.fixture
async def api() -> AsyncIterator[ScriptedBotApi]:
    async with ScriptedBotApi() as server:
        yield server


@pytest.fixture
def inbox() -> FakeInbox:
    return FakeInbox()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's pauses after a failed poll (1 s and more), fifty times as short."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / 50)

    clock = types.SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr(networkloop, "asyncio", clock)


RunAdapter = Callable[..., AbstractAsyncContextManager[TelegramAdapter]]


@pytest.fixture
def serving(api: ScriptedBotApi, inbox: FakeInbox) -> RunAdapter:
    """A chat that runs against `api` until the block ends, within the time it promises."""

    @asynccontextmanager
    async def serve(**options: Any) -> AsyncIterator[TelegramAdapter]:
        chat = TelegramAdapter(TOKEN, api_base=api.base_url, **options)
        task = asyncio.create_task(chat.run(inbox))
        try:
            await api.wait_for_calls("getUpdates")
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
