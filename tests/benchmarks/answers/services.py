"""A chat service as the benchmark uses it: people who ask, and what the bot's calls made visible to them when."""

import re
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.stand_in import ChatEventKind
from bots.sandbox.telegram import TelegramStandIn
from tests.end_to_end.harness import bot_texts, letters_only

MESSAGE_PATH = re.compile(r"/channels/(\d+)/messages(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class TextChange:
    """What one accepted call changed in a chat. `message_id` is "" for a draft, `text` None for a deleted message."""

    time: float
    chat_id: str
    message_id: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a chat of their own."""

    user: Any
    chat: Any

    @property
    def chat_id(self) -> str:
        return str(self.chat.id)


@dataclass(frozen=True, slots=True)
class CallCounts:
    calls: int
    refusals: int
    """Calls that were answered with 429."""


class ChatService(Protocol):
    """Times are by the monotonic clock."""

    name: str

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def environment(self) -> dict[str, str]: ...

    def connected_at(self) -> float | None:
        """When the bot first asked for events; None if it has not."""

    async def wait_until_connected(self, timeout: float) -> None: ...

    async def add_people(self, count: int) -> list[Person]: ...

    async def ask(self, person: Person, text: str) -> None: ...

    def events(self, person: Person) -> AsyncIterator[object]:
        """One item for each change of the bot's messages in a person's chat."""

    def message_letters(self, person: Person) -> str:
        """The letters of all messages of the bot."""

    def call_counts(self, since: float) -> CallCounts:
        """All calls of the bot, except those that ask for events."""

    def changes(self, since: float) -> Iterable[TextChange]: ...


async def _bot_events(events: AsyncIterator[Any]) -> AsyncIterator[object]:
    async for event in events:
        if event.kind in (ChatEventKind.SENT, ChatEventKind.EDITED) and event.message.from_bot:
            yield event


class TelegramService:
    """Private chats."""

    name = "telegram"

    def __init__(self) -> None:
        self.server = TelegramStandIn()
        self.server.calls = deque()
        self.start, self.close, self.environment = self.server.start, self.server.close, self.server.environment

    def connected_at(self) -> float | None:
        return next((call.time for call in self.server.calls if call.method.lower() == "getupdates"), None)

    async def wait_until_connected(self, timeout: float) -> None:
        await self.server.wait_for(self.connected_at, timeout)

    async def add_people(self, count: int) -> list[Person]:
        users = [self.server.create_user(f"P{number}") for number in range(count)]
        return [Person(user, self.server.open_private_chat(user)) for user in users]

    async def ask(self, person: Person, text: str) -> None:
        await self.server.send_message(person.user, person.chat, text)

    def events(self, person: Person) -> AsyncIterator[object]:
        return _bot_events(self.server.watch(person.chat))

    def message_letters(self, person: Person) -> str:
        return "".join(map(letters_only, bot_texts(self.server.messages(person.chat))))

    def call_counts(self, since: float) -> CallCounts:
        calls = [call for call in self.server.calls if call.time >= since and call.method.lower() != "getupdates"]
        return CallCounts(len(calls), sum(call.status == 429 for call in calls))

    def changes(self, since: float) -> Iterable[TextChange]:
        for call in self.server.calls:
            if call.time < since or call.status != 200:
                continue
            params = call.params
            chat_id, text = str(params.get("chat_id")), params.get("text", "")
            match call.method.lower():
                case "sendmessage":
                    yield TextChange(call.time, chat_id, str(call.result["message_id"]), text)
                case "editmessagetext":
                    yield TextChange(call.time, chat_id, str(params["message_id"]), text)
                case "deletemessage":
                    yield TextChange(call.time, chat_id, str(params["message_id"]), None)
                case "sendmessagedraft":
                    yield TextChange(call.time, chat_id, "", text)


class DiscordService:
    """Channels of a server, one for each person, who mentions the bot."""

    name = "discord"

    def __init__(self) -> None:
        self.server = DiscordStandIn()
        self.server.calls = deque()
        self.start, self.close, self.environment = self.server.start, self.server.close, self.server.environment
        self._guild = self.server.create_guild("Benchmark", self.server.create_user("Owner"))

    def connected_at(self) -> float | None:
        return next((float(identify["at"]) for identify in self.server.gateway.identifies), None)

    async def wait_until_connected(self, timeout: float) -> None:
        await self.server.wait_until_ready(timeout)

    async def add_people(self, count: int) -> list[Person]:
        users = [self.server.create_user(f"P{number}") for number in range(count)]
        self._guild.members += users
        people = [Person(user, self.server.create_channel(self._guild, f"channel-{user.id}")) for user in users]
        await self.server.dispatch_pending()
        return people

    async def ask(self, person: Person, text: str) -> None:
        await self.server.send_message(person.user, person.chat, f"{self.server.mention} {text}")

    def events(self, person: Person) -> AsyncIterator[object]:
        return _bot_events(self.server.watch(person.chat))

    def message_letters(self, person: Person) -> str:
        return "".join(map(letters_only, bot_texts(self.server.messages(person.chat))))

    def call_counts(self, since: float) -> CallCounts:
        calls = [call for call in self.server.calls if call.time >= since]
        return CallCounts(len(calls), sum(call.status == 429 for call in calls))

    def changes(self, since: float) -> Iterable[TextChange]:
        for call in self.server.calls:
            match = MESSAGE_PATH.fullmatch(call.path)
            if call.time < since or call.status not in (200, 204) or match is None or call.method == "GET":
                continue
            chat_id, message_id = match.groups()
            if call.method == "DELETE":
                yield TextChange(call.time, chat_id, message_id, None)
            elif "content" in call.body:
                yield TextChange(call.time, chat_id, message_id or call.result["id"], call.body["content"])


SERVICES: dict[str, type[TelegramService] | type[DiscordService]] = {
    "telegram": TelegramService,
    "discord": DiscordService,
}
