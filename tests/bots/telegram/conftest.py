import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import Chat, Limits, TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.timings import TelegramTimings
from core.errors import StoreError
from core.port import Incoming, Place
from tests.bots.telegram.payloads import ADA, BOT, FORUM, GROUP

TOKEN = "123456:AAsecret-Token_value"
FAST_TIMINGS = TelegramTimings(first_retry_delay=0.02, max_retry_delay=0.1)
PRIVATE_PLACE = Place("telegram", "123456", "42", is_private=True)
PRIVATE_TOPIC_PLACE = Place("telegram", "123456", "42", thread="9", is_private=True)
GROUP_PLACE = Place("telegram", "123456", "-1001")
TOPIC_PLACE = Place("telegram", "123456", "-1002", thread="55")


class FakeInbox:
    """Stores events; fails with `failures` first, and waits for `hold_until`."""

    def __init__(self) -> None:
        self.stored: list[Incoming] = []
        self.failures: list[Exception] = []
        self.hold_until: asyncio.Event | None = None
        self.attempts = 0
        self._changed = asyncio.Condition()

    async def __call__(self, incoming: Incoming) -> None:
        async with self._changed:
            self.attempts += 1
            self._changed.notify_all()
        if self.hold_until is not None:
            await self.hold_until.wait()
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
async def bot_api() -> AsyncIterator[TelegramStandIn]:
    """The stand-in with the bot and the chats of `payloads`."""
    server = TelegramStandIn(token=TOKEN, limits=Limits.off(), webhook_retry_delay=0.01)
    server.bot.username = BOT["username"]
    ada = server.create_user(ADA["first_name"], id=ADA["id"])
    server.open_private_chat(ada).topics[9] = "Private topic"
    for chat in (GROUP, FORUM):
        server.chats[chat["id"]] = Chat(
            chat["id"], chat["type"], chat["title"], itertools.count(2), [ada], is_forum=chat is FORUM
        )
    server.chats[FORUM["id"]].topics[55] = "Topic"
    await server.start()
    yield server
    await server.close()


def push_update(server: TelegramStandIn, **content: Any) -> int:
    """Queue an update with this content, valid or not; return its id."""
    [(kind, payload)] = content.items()
    server.updates.add(kind, payload, chat_id=ADA["id"])
    return server.updates.pending[-1].id


def is_confirmed(server: TelegramStandIn, update_id: int) -> bool:
    return all(pending.id != update_id for pending in server.updates.pending)


def params_of(server: TelegramStandIn, method: str) -> list[Json]:
    return [call.params for call in server.calls_to(method)]


async def wait_for_calls(server: TelegramStandIn, method: str, count: int = 1) -> list[Json]:
    await server.wait_for(lambda: len(server.calls_to(method)) >= count)
    return params_of(server, method)


@pytest.fixture
def inbox() -> FakeInbox:
    return FakeInbox()


RunAdapter = Callable[..., AbstractAsyncContextManager[TelegramAdapter]]


@pytest.fixture
def run_adapter(bot_api: TelegramStandIn, inbox: FakeInbox) -> RunAdapter:
    """Runs an adapter against `bot_api` until the block ends; it stops in time and leaves no task."""

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[TelegramAdapter]:
        options.setdefault("timings", FAST_TIMINGS)
        adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base, **options)
        poll_count = len(bot_api.calls_to("getUpdates"))
        task = asyncio.create_task(adapter.run(inbox))
        try:
            await wait_for_calls(bot_api, "getUpdates", poll_count + 1)
            yield adapter
        finally:
            task.cancel()
            async with asyncio.timeout(6):
                await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()):
                raise error

    return run
