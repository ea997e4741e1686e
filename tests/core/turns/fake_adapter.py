"""An adapter in memory, and the core running with it."""

import asyncio
import itertools
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, select

from bots.terminal.dialect import TerminalDialect
from core.app import open_services
from core.conversation.ledger import key_id_of
from core.conversation.model_registry import ModelRegistry
from core.metrics import NO_METRICS, Metrics
from core.port import (
    AccountKey,
    Attachment,
    Capabilities,
    EventKind,
    File,
    Inbox,
    Incoming,
    Part,
    Place,
    PreviewMode,
    RateLimit,
    Sender,
    UploadLimits,
)
from core.services import Services, build_services
from core.settings import Settings
from core.store.schema import turns
from core.timings import Timings
from core.tracing import NO_TRACER, Tracer
from core.turns.engine import MAX_ATTEMPTS, Engine
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

UNLIMITED: RateLimit = ()
TYPING = Capabilities(UNLIMITED, preview_mode=PreviewMode.OFF, deduplicates_sends=True)
EDITING = Capabilities(UNLIMITED, preview_mode=PreviewMode.EDIT, preview_interval=0.1, deduplicates_sends=True)


class ModelService(Protocol):
    """A stand-in or a real server."""

    @property
    def base_url(self) -> str: ...

    @property
    def api_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AdapterCall:
    method: str
    started_at: float
    """By the monotonic clock."""
    reply_to: str | None = None
    ephemeral: bool = False


class FakeAdapter:
    """An adapter without a platform: `messages` holds the text of every message by ID.

    Tests make its methods fail and hang: by `fail_next` and `errors`, and by `gates`, all by method name. "send_file" is
    `send` with a file.
    """

    platform = "fake"
    account = "1"
    account_rate_limit = UNLIMITED

    def __init__(self, capabilities: Capabilities = TYPING, *, first_number: int = 1) -> None:
        self.dialect = TerminalDialect()
        self.private_capabilities = self.group_capabilities = capabilities
        self.messages: dict[str, str] = {}
        self.managers: set[str] = set()
        """The people who manage all groups."""
        self.drafts: list[str] = []
        """The texts of all versions of all drafts."""
        self.calls: list[AdapterCall] = []
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        """Of all calls, by method."""
        self.errors: dict[str, Exception] = {}
        """Raised by every call."""
        self.gates: dict[str, asyncio.Event] = {}
        """Calls wait for them."""
        self.started: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.cancelled: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.inbox: Inbox
        self.engine: Engine
        self.store: FaultyStore
        self.services: Services
        self.models: ModelRegistry
        self.key_id = ""
        self._next_errors: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._numbers = itertools.count(first_number)
        self._changed = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:
        return self.private_capabilities if place.is_private else self.group_capabilities

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
        person: str = "",
        ephemeral: bool = False,
    ) -> str:
        method = "send" if part.file is None else "send_file"
        self.keys[method].append(key)
        await self._call(method, reply_to, ephemeral=ephemeral)
        message_id = f"{next(self._numbers)}"
        self._show_new(message_id, part)
        return message_id

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        await self._call("edit")
        self._show(message_id, part)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        await self._call("delete")
        self.messages.pop(message_id, None)
        self._changed.set()

    async def show_typing(self, place: Place) -> None:
        await self._call("show_typing")

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        await self._call("show_draft")
        self.drafts.append(part.text)
        self._changed.set()

    def _show_new(self, message_id: str, part: Part) -> None:
        self._show(message_id, part)

    def _show(self, message_id: str, part: Part) -> None:
        self.messages[message_id] = part.text
        self._changed.set()

    async def _call(self, method: str, reply_to: str | None = None, *, ephemeral: bool = False) -> None:
        self.calls.append(AdapterCall(method, time.monotonic(), reply_to, ephemeral))
        self.started[method].set()
        self._changed.set()
        try:
            if method in self.gates:
                await self.gates[method].wait()
        except asyncio.CancelledError:
            self.cancelled[method].set()
            raise
        if self._next_errors[method]:
            raise self._next_errors[method].popleft()
        if method in self.errors:
            raise self.errors[method]

    def fail_next(self, method: str, *errors: Exception) -> None:
        """Raise these errors, one per call."""
        self._next_errors[method].extend(errors)

    def close_gate(self, method: str) -> None:
        """Let calls of the method hang until `gates[method]` is set."""
        self.gates[method] = asyncio.Event()

    # What a person does and sees

    @property
    def texts(self) -> list[str]:
        return [text.strip() for text in self.messages.values()]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a call makes `condition` true."""
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def wait_for_text(self, text: str) -> None:
        """Wait until a message contains `text`."""
        await self.wait_until(lambda: any(text in message for message in self.messages.values()))

    async def wait_for_states(self, *states: str) -> None:
        """Wait until the turns, in the order of their events, are in these states."""

        async def are_reached() -> bool:
            return await self.store.read(turn_states) == list(states)

        await wait_until(are_reached, 30)

    async def ask(self, text: str, *, user: str = "5", group: str = "") -> str:
        """Send `text`, wait for a message, and return its text."""
        count = len(self.messages)
        await self.say(text, user=user, group=group)
        await self.wait_until(lambda: len(self.messages) > count)
        return list(self.messages.values())[-1]

    async def say(
        self,
        text: str,
        *,
        user: str = "5",
        message: str | None = None,
        group: str = "",
        interaction_token: str | None = None,
    ) -> None:
        """Send `text`, a prompt or a command."""
        command, argument = text[1:].partition(" ")[::2] if text.startswith("/") else ("", text)
        incoming = Incoming(
            EventKind.COMMAND if command else EventKind.PROMPT,
            f"e{next(self._numbers)}",
            Place(self.platform, self.account, group or user, is_private=not group),
            Sender(self.platform, user, "Ann", is_manager=user in self.managers),
            argument,
            command=command,
            message_id=message,
            interaction_token=interaction_token,
        )
        await self.inbox(incoming)

    async def press(
        self, action: str, message: str, *, user: str = "5", group: str = "", kind: EventKind = EventKind.BUTTON
    ) -> None:
        """Press a button of a message."""
        place = Place(self.platform, self.account, group or user, is_private=not group)
        sender = Sender(self.platform, user, "Ann", is_manager=user in self.managers)
        await self.inbox(Incoming(kind, f"e{next(self._numbers)}", place, sender, action, message_id=message))


class UploadingAdapter(FakeAdapter):
    """Also sends files. `messages` has their captions."""

    def __init__(
        self, capabilities: Capabilities = TYPING, *, max_bytes: int = 10_000_000, max_caption_size: int = 100
    ) -> None:
        super().__init__(capabilities)
        self.upload_limits = UploadLimits(max_bytes, max_caption_size)
        self.sent_files: dict[str, File] = {}
        """By message; also of deleted ones."""
        self.buttons: dict[str, list[str]] = {}
        """Labels, by message."""
        self.button_actions: dict[str, list[str]] = {}
        """What they do, by message."""
        self.shown_counts: list[int] = []
        """How many messages there were after each change."""

    @property
    def files(self) -> list[str]:
        """The contents of the files in the chat."""
        return [file.content.decode() for message_id, file in self.sent_files.items() if message_id in self.messages]

    def _show_new(self, message_id: str, part: Part) -> None:
        if part.file is not None:
            self.sent_files[message_id] = part.file
        super()._show_new(message_id, part)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        if self.sent_files.pop(message_id, None) is not None or part.file is not None:
            assert self.capabilities(place).edits_attach_files, "a file cannot become a text, nor a text a file"
        await super().edit(place, message_id, part, interaction_token=interaction_token)
        if part.file is not None:
            self.sent_files[message_id] = part.file

    def _show(self, message_id: str, part: Part) -> None:
        super()._show(message_id, part)
        self.buttons[message_id] = [button.label for button in part.buttons]
        self.button_actions[message_id] = [button.action for button in part.buttons]
        self.shown_counts.append(len(self.messages))


class FilesAdapter(FakeAdapter):
    """Downloads files: their content is their ID."""

    def __init__(self, capabilities: Capabilities = TYPING) -> None:
        super().__init__(capabilities)
        self.fetched: list[str] = []

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        self.fetched.append(attachment.name)
        await self._call("fetch")
        return attachment.file_id.encode()


def turn_states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.state).order_by(turns.c.id)))


@asynccontextmanager
async def running_engine(
    folder: Path,
    model: ModelService,
    adapter: FakeAdapter | None = None,
    *,
    timings: Timings = Timings(),
    max_attempts: int = MAX_ATTEMPTS,
    is_exclusive: bool = False,
    metrics: Metrics = NO_METRICS,
    tracer: Tracer = NO_TRACER,
    **settings: object,
) -> AsyncIterator[FakeAdapter]:
    """The core with `model`, without a platform. `is_exclusive`: no other process uses the database."""
    values = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": sqlite_url(folder),
        "access": "open",
        "messages_a_minute": 1_000_000,
        **settings,
    }
    adapter = adapter or FakeAdapter()
    adapter.key_id = key_id_of(model.api_key)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_services(Settings(**values), timings=timings))  # type: ignore[arg-type]
        if is_exclusive:
            await stack.enter_async_context(opened.store.exclusive())
        store = FaultyStore(opened.store)
        services = build_services(
            opened.settings,
            store.as_store(),
            opened.api,
            opened.models,
            opened.facts,
            opened.api_keys.vault,
            timings=timings,
            metrics=metrics,
            tracer=tracer,
        )
        adapters = {AccountKey(adapter.platform, adapter.account): adapter}
        engine = Engine(services, adapters, max_attempts=max_attempts)
        adapter.inbox, adapter.engine, adapter.store = engine.inbox, engine, store
        adapter.services, adapter.models = services, services.models
        task = asyncio.create_task(engine.run())
        try:
            yield adapter
        finally:
            await engine.close(5)
            task.cancel()
            await asyncio.wait({task})
