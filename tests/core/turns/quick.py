"""A place without limits, so that long conversations take no time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from bots.terminal.dialect import TerminalDialect
from core.app import services
from core.conversation.ledger import account_of
from core.conversation.models import Models
from core.port import Capabilities, Inbox, Incoming, Kind, Pace, Part, Place, Sender
from core.settings import Settings
from core.store.database import Store
from core.turns.engine import Engine

__all__ = ["Quick", "quick"]

PACE = Pace(burst=1_000_000, rate=1_000_000)


class Service(Protocol):
    """What answers: a stand-in or a real engine."""

    @property
    def base_url(self) -> str: ...

    @property
    def api_key(self) -> str: ...


class Quick:
    """An adapter that keeps what it is told to show: see `core.port.Chat`."""

    platform = "quick"
    account = "1"
    overall = PACE

    def __init__(self) -> None:
        self.dialect = TerminalDialect()
        self.shown: dict[str, str] = {}
        self.inbox: Inbox | None = None
        self.engine: Engine | None = None
        self.store: Store
        self.models: Models
        self.house = ""
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE, preview="off", keyed=True)

    async def run(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        message = f"{next(self._numbers)}"
        self.shown[message] = part.text
        self._changed.set()
        return message

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self.shown[message] = part.text
        self._changed.set()

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        del self.shown[message]

    async def typing(self, place: Place) -> None:
        return

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something shown makes it so."""
        async with asyncio.timeout(30):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def ask(self, text: str, *, user: str = "5") -> str:
        """Say `text` and wait for what is said to it."""
        before = len(self.shown)
        await self.say(text, user=user)
        await self.until(lambda: len(self.shown) > before)
        return list(self.shown.values())[-1]

    async def press(
        self, action: str, message: str, *, user: str = "5", kind: Kind = Kind.BUTTON
    ) -> None:
        """Press a button on a message."""
        assert self.inbox is not None
        place = Place(self.platform, self.account, user, private=True)
        sender = Sender(self.platform, user, "Ann")
        key = f"e{next(self._numbers)}"
        await self.inbox(Incoming(kind, key, place, sender, action, message=message))

    async def say(
        self, text: str, *, user: str = "5", message: str | None = None, group: str = "",
        ticket: str | None = None,
    ) -> None:  # fmt: skip
        kind, command = (Kind.COMMAND, text[1:].partition(" ")[0]) if text[0] == "/" else (
            Kind.PROMPT, "",
        )  # fmt: skip
        place = Place(self.platform, self.account, group or user, private=not group)
        said = text.partition(" ")[2] if command else text
        incoming = Incoming(
            kind, f"e{next(self._numbers)}", place, Sender(self.platform, user, "Ann"), said,
            command=command, message=message, ticket=ticket,
        )  # fmt: skip
        assert self.inbox is not None
        await self.inbox(incoming)


@asynccontextmanager
async def quick(
    folder: Path, model: Service, chat: Quick | None = None, **changed: object
) -> AsyncIterator[Quick]:
    """The core over `model`, without any platform."""
    given = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": f"sqlite:///{folder / 'parley.sqlite3'}",
        "access": "open",
        "messages_a_minute": 1_000_000,
        **changed,
    }
    chat = chat or Quick()
    chat.house = account_of(model.api_key)
    async with services(Settings(**given)) as with_:  # type: ignore[arg-type]
        engine = Engine(
            with_.settings, with_.store, with_.api, with_.models, {("quick", "1"): chat}
        )
        chat.inbox, chat.engine, chat.store = engine.inbox, engine, with_.store
        chat.models = with_.models
        task = asyncio.create_task(engine.run())
        try:
            yield chat
        finally:
            await engine.close(5)
            task.cancel()
            await asyncio.wait({task})
