"""A place without limits, so that long conversations take no time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from bots.terminal.dialect import TerminalDialect
from core.app import open_services
from core.conversation.ledger import key_id_of
from core.conversation.model_registry import ModelRegistry
from core.port import AccountKey, Capabilities, EventKind, Inbox, Incoming, Part, Place, PreviewMode, RateLimit, Sender
from core.settings import Settings
from core.store.database import Store
from core.timings import Timings
from core.turns.engine import MAX_ATTEMPTS, Engine

__all__ = ["FakeAdapter", "running_engine"]

UNLIMITED = RateLimit(burst=1_000_000, rate=1_000_000)


class ModelService(Protocol):
    """What answers: a stand-in or a real engine."""

    @property
    def base_url(self) -> str: ...

    @property
    def api_key(self) -> str: ...


class FakeAdapter:
    """An adapter that keeps what it is told to show: see `core.port.Chat`."""

    platform = "quick"
    account = "1"
    account_rate_limit = UNLIMITED

    def __init__(self) -> None:
        self.dialect = TerminalDialect()
        self.messages: dict[str, str] = {}
        self.inbox: Inbox | None = None
        self.engine: Engine | None = None
        self.store: Store
        self.models: ModelRegistry
        self.bot_account = ""
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(UNLIMITED, preview_mode=PreviewMode.OFF, deduplicates_sends=True)

    async def run(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        message = f"{next(self._numbers)}"
        self.messages[message] = part.text
        self._changed.set()
        return message

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self.messages[message_id] = part.text
        self._changed.set()

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        del self.messages[message_id]

    async def show_typing(self, place: Place) -> None:
        return

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something shown makes it so."""
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ask(self, text: str, *, user: str = "5") -> str:
        """Say `text` and wait for what is said to it."""
        before = len(self.messages)
        await self.say(text, user=user)
        await self.wait_until(lambda: len(self.messages) > before)
        return list(self.messages.values())[-1]

    async def press(self, action: str, message: str, *, user: str = "5", kind: EventKind = EventKind.BUTTON) -> None:
        """Press a button on a message."""
        assert self.inbox is not None
        place = Place(self.platform, self.account, user, is_private=True)
        sender = Sender(self.platform, user, "Ann")
        key = f"e{next(self._numbers)}"
        await self.inbox(Incoming(kind, key, place, sender, action, message_id=message))

    async def say(
        self,
        text: str,
        *,
        user: str = "5",
        message: str | None = None,
        group: str = "",
        interaction_token: str | None = None,
    ) -> None:
        kind, command = (
            (EventKind.COMMAND, text[1:].partition(" ")[0])
            if text[0] == "/"
            else (
                EventKind.PROMPT,
                "",
            )
        )
        place = Place(self.platform, self.account, group or user, is_private=not group)
        argument = text.partition(" ")[2] if command else text
        incoming = Incoming(
            kind,
            f"e{next(self._numbers)}",
            place,
            Sender(self.platform, user, "Ann"),
            argument,
            command=command,
            message_id=message,
            interaction_token=interaction_token,
        )
        assert self.inbox is not None
        await self.inbox(incoming)


@asynccontextmanager
async def running_engine(
    folder: Path,
    model: ModelService,
    adapter: FakeAdapter | None = None,
    *,
    timings: Timings = Timings(),
    max_attempts: int = MAX_ATTEMPTS,
    **settings: object,
) -> AsyncIterator[FakeAdapter]:
    """The core with `model`, without a platform."""
    values = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": f"sqlite:///{folder / 'parley.sqlite3'}",
        "access": "open",
        "messages_a_minute": 1_000_000,
        **settings,
    }
    adapter = adapter or FakeAdapter()
    adapter.bot_account = key_id_of(model.api_key)
    async with open_services(Settings(**values), timings=timings) as services:  # type: ignore[arg-type]
        engine = Engine(
            services.settings,
            services.store,
            services.api,
            services.models,
            {AccountKey(adapter.platform, adapter.account): adapter},
            timings=timings,
            max_attempts=max_attempts,
        )
        adapter.inbox, adapter.engine, adapter.store = engine.inbox, engine, services.store
        adapter.models = services.models
        task = asyncio.create_task(engine.run())
        try:
            yield adapter
        finally:
            await engine.close(5)
            task.cancel()
            await asyncio.wait({task})
