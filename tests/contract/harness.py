"""What the contract suite needs of a platform: people who use it, a view of what they see, and scripted trouble.

One subclass of `PlatformHarness` per platform, in `platforms/`. What a platform cannot do it declares in `lacks`, with
the reason; tests that are marked with `needs` are skipped.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import pytest

from core.errors import DeliveryFailure
from core.port import Adapter, Incoming, Place
from tests.waiting import wait_until


class Ability(StrEnum):
    """What some platforms cannot do. Abilities that the port knows are read from `Capabilities` instead."""

    ACCOUNT_WIDE_LIMITS = "account-wide rate limits"
    ACKNOWLEDGEMENTS = "acknowledgements"
    BUTTONS = "buttons"
    DELETE = "deleted messages"
    EDIT = "edited messages"
    EVENT_QUEUE = "events that wait until they are stored"
    INTERACTION_TOKENS = "interaction tokens"
    LOST_CONNECTIONS = "connections"
    MESSAGE_IDS = "message IDs"
    REDELIVERY = "events that are delivered twice"
    REFUSALS = "refused requests"
    REPLIES = "replies"
    SIZE_LIMIT = "a size limit"
    THREADS = "threads"
    TYPING = "a typing indicator"


def needs(ability: Ability) -> pytest.MarkDecorator:
    """Skips a test for the platforms that lack `ability`."""
    return pytest.mark.needs(ability)


class Operation(StrEnum):
    """The requests of an adapter that a platform can refuse."""

    SEND = "send"
    EDIT = "edit"
    DELETE = "delete"
    TYPING = "typing"
    DRAFT = "draft"
    FETCH = "fetch"
    SEND_FILE = "send file"


@dataclass(frozen=True, slots=True)
class VisibleMessage:
    """A message of the bot, as a person sees it."""

    text: str
    message_id: str = ""
    reply_to: str | None = None
    actions: tuple[str, ...] = ()
    """Of its buttons and menu items."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Names and contents."""


class ContractInbox:
    """Stores each event key once, as the core does. Raises `failures` first, and waits while `may_store` is not set."""

    def __init__(self) -> None:
        self.stored: dict[str, Incoming] = {}
        self.received_keys: list[str] = []
        """Of all calls, in order, also of those that failed."""
        self.failures: deque[Exception] = deque()
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def __call__(self, incoming: Incoming) -> None:
        self.received_keys.append(incoming.key)
        await self.may_store.wait()
        if self.failures:
            raise self.failures.popleft()
        self.stored.setdefault(incoming.key, incoming)

    def find(self, text: str) -> list[Incoming]:
        return [incoming for incoming in self.stored.values() if incoming.text == text]

    async def wait_for(self, text: str) -> Incoming:
        await wait_until(lambda: bool(self.find(text)))
        return self.find(text)[0]


class PlatformHarness(ABC):
    """Ann and Bob are in `room` with the bot; Ann is alone with it in `private_place` (which may be the same place).

    All events come from Ann.
    """

    name: ClassVar[str]
    lacks: ClassVar[Mapping[Ability, str]] = {}
    refusable: ClassVar[tuple[DeliveryFailure, ...]] = ()
    """The failures that `refuse_next` can produce."""
    size_margin: ClassVar[int] = 0
    """How far the dialect stays below the limit of the platform."""
    room: Place
    private_place: Place

    def __init__(self) -> None:
        self.inbox = ContractInbox()

    @asynccontextmanager
    async def run(self, adapter: Adapter, *, stop_seconds: float = 5.0) -> AsyncIterator["asyncio.Task[None]"]:
        """Run `adapter`, connected, until the block ends; it must end within `stop_seconds`."""
        previous_count = self.connection_count()
        task = asyncio.create_task(adapter.run(self.inbox))
        try:
            await wait_until(lambda: task.done() or self.connection_count() > previous_count)
            yield task
            if task.done():
                await task
                raise AssertionError("run has returned")
        finally:
            task.cancel()
            _, unfinished = await asyncio.wait({task}, timeout=stop_seconds)
        assert not unfinished, f"run did not end within {stop_seconds} s"
        assert task.cancelled()

    # The adapter

    @abstractmethod
    async def start(self) -> None:
        """Start the platform, with its people and places."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def create_adapter(self) -> Adapter:
        """An adapter for the bot's account. All of them share what a process stores."""

    @abstractmethod
    def connection_count(self) -> int:
        """How often the bot has connected so far."""

    @abstractmethod
    def open_connections(self) -> int:
        """Connections that are open now."""

    # People

    @abstractmethod
    async def write(self, place: Place, text: str) -> None:
        """Ann writes to the bot."""

    @abstractmethod
    async def use_command(self, place: Place, command: str, argument: str) -> None: ...

    @abstractmethod
    async def press(self, place: Place, message_id: str, action: str) -> None:
        """Ann presses a button, or selects a menu item, of a message of the bot."""

    @abstractmethod
    async def send_file(self, name: str, content: bytes) -> None:
        """Ann sends a file in `private_place`."""

    @abstractmethod
    def remove_files(self) -> None:
        """All files that people have sent no longer exist."""

    @abstractmethod
    def messages(self, place: Place, *, to_bob: bool = False) -> list[VisibleMessage]:
        """The bot's messages, oldest first, as Ann sees them, or Bob."""

    async def open_thread(self, title: str, first_text: str = "") -> Place:
        """Ann opens a thread in `room`. With `first_text`, it begins with this message of hers, which is not for the
        bot, if the platform has such messages.
        """
        raise NotImplementedError

    async def remove_thread(self, thread: Place) -> None:
        raise NotImplementedError

    async def forbid_files(self, place: Place) -> None:
        """From now on, the bot may write but not send files there."""
        raise NotImplementedError

    def is_typing(self, place: Place) -> bool:
        raise NotImplementedError

    def draft(self) -> str | None:
        """The text of the draft in `private_place`; None if there is none."""
        raise NotImplementedError

    # The platform's behaviour

    @abstractmethod
    async def deliver_malformed_event(self) -> None:
        """An event of a known type without what it should have."""

    async def redeliver(self, place: Place) -> None:
        """Deliver the place's last event again."""
        raise NotImplementedError

    def is_acknowledged(self) -> bool:
        """Whether the platform regards all events as delivered."""
        raise NotImplementedError

    def refuse_next(
        self,
        operation: Operation,
        failure: DeliveryFailure,
        *,
        retry_after: float = 7.0,
        account_wide: bool = False,
    ) -> None:
        """The next request is refused with the most common reason for `failure`."""
        raise NotImplementedError

    def lose_next_reply(self, operation: Operation) -> None:
        """The next request has its effect, but the connection is lost before the bot learns of it."""
        raise NotImplementedError

    async def drop_connections(self) -> None:
        """All connections end; new ones are accepted."""
        raise NotImplementedError

    async def go_offline(self) -> None:
        """All connections end; new ones are refused."""
        raise NotImplementedError
