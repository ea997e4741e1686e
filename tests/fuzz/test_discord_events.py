"""Mutated gateway events and interactions, through discord.py's parsers to the core's answer.

FUZZ_EVENTS is the number of events, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from bots.discord.commands import MESSAGE_COMMANDS, commands_payload
from bots.discord.event_intake import EventIntake
from bots.discord.forms import Forms
from bots.discord.gateway_client import GatewayClient
from bots.discord.http_client import HttpClient
from bots.discord.identify_limiter import IdentifyLimiter
from bots.discord.interaction_responder import InteractionResponder
from bots.discord.modals import FIELD_CUSTOM_ID, MODAL_NAMES
from bots.discord.payloads import CUSTOM_ID_PREFIX, MENU_CUSTOM_ID, action_rows
from bots.discord.receiving import EventReceiver
from bots.discord.shard_allocator import Shard
from bots.discord.translate import PLATFORM, channel_id
from bots.sandbox.discord import DiscordStandIn, Message
from bots.sandbox.discord.state import next_snowflake
from bots.sandbox.stand_in import Json
from core.commands.declarations import COMMANDS
from core.commands.models import AutocompleteChoice
from core.port import Button, MenuItem, Part, Place, Sender
from tests.bots.discord.conftest import FAST_TIMINGS
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.checked_core import CheckedAdapter, CheckedCore, choose_evenly, running_checked_core
from tests.fuzz.mutations import JsonMutator

EVENTS = case_count("FUZZ_EVENTS", 60)
EVENTS_PER_CORE = 300
TASK_NAMES = ("discord.py: ", "discord-ui-")
COMMAND_USES: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("help", "models", "stop", "retry", "new", "context", "usage", "memory")},
    "ask": {"prompt": "why?"},
    "model": {"name": "llama"},
    "system": {"text": "be brief"},
}


class RecordingHttp:
    """Accepts every request of the adapter."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def call(self, _method: str, path: str, *_: Any, **__: Any) -> Json:
        self.paths.append(path)
        return {"id": str(next_snowflake())}


class Chats:
    """A guild in which Ada and Bob write. The stand-in is not started: it only makes the events."""

    def __init__(self) -> None:
        self.server = server = DiscordStandIn()
        self.ada, self.bob, owner = (server.create_user(name) for name in ("Ada", "Bob", "Olga"))
        self.guild = server.create_guild("Home", owner, self.ada, self.bob)
        self.channel = server.create_channel(self.guild, "general")
        self.thread = server.create_thread(self.channel, "aside")
        self.dm, self.adas_dm = server.open_dm(self.bob), server.open_dm(self.ada)
        server.commands = [{"id": str(next_snowflake()), **command} for command in commands_payload(COMMANDS, {})]
        self.account = str(server.bot.id)
        self.places = (
            Place(PLATFORM, self.account, str(self.adas_dm.id), is_private=True),
            Place(PLATFORM, self.account, str(self.channel.id), server=str(self.guild.id)),
        )

    async def valid_events(self, core: CheckedCore) -> list[tuple[str, Json]]:
        """Events that Bob causes."""
        server, bob = self.server, self.bob
        await server.dispatch_pending()
        for channel in (self.dm, self.channel, self.thread):
            await server.send_message(bob, channel, f"{server.mention} hello")
        await server.send_file(bob, self.dm, "a.txt", b"text", text="read", media_type="text/plain")
        edited = await server.send_message(bob, self.dm, "hello")
        await server.edit_message(bob, edited, "hello again")
        answer = await server.send_message(server.bot, self.channel, "An answer.")
        await server.send_message(bob, self.channel, "go on", reply_to=answer)
        for channel in (self.dm, self.channel):
            for name, options in COMMAND_USES.items():
                await server.use_command(bob, channel, name, **options)
            for action in core.actions:
                await self._press(channel, answer, action)
        for name in MESSAGE_COMMANDS:
            opened = await server.use_message_command(bob, answer, name)
            for form in MODAL_NAMES:
                await server.send_submission(opened, f"{form}:{opened.id}", FIELD_CUSTOM_ID, "go on")
        return list(server.gateway.dispatches)

    async def _press(self, channel: Any, answer: Message, action: str) -> None:
        """A press on Ada's answer, as if it had had this button."""
        pressed = Message(answer.id, channel, self.server.bot, "An answer.")
        pressed.components = action_rows(Part("", buttons=(Button("Press", action),), menu=(MenuItem("Item", action),)))
        await self.server.press_button(self.bob, pressed, CUSTOM_ID_PREFIX + action)
        await self.server.select_options(self.bob, pressed, MENU_CUSTOM_ID, [action])

    def interesting_values(self, core: CheckedCore) -> list[object]:
        ids = (self.bob, self.guild, self.channel, self.thread, self.dm, self.adas_dm, self.server.bot)
        return [
            *(str(each.id) for each in ids),
            *(CUSTOM_ID_PREFIX + action for action in core.actions),
            *(
                *range(-1, 25),
                "8",
                "2147483647",
                "-1",
                "1" * 25,
                MENU_CUSTOM_ID,
                "2020-01-01T00:00:00+00:00",
                "yesterday",
            ),
            *(self.bob.json(), self.server.bot.json(), self.channel.json(), self.thread.json(), self.dm.json()),
        ]


@asynccontextmanager
async def running_client(chats: Chats, core: CheckedCore, http: RecordingHttp) -> AsyncIterator[GatewayClient]:
    """discord.py's client after it has received the guild, without a connection."""
    client_http = cast("HttpClient", http)
    responder = InteractionResponder(client_http, FAST_TIMINGS)
    commands = {command.name: command for command in COMMANDS}

    async def has_access(_incoming: object) -> bool:
        return True

    def autocomplete_models(query: str) -> list[AutocompleteChoice]:
        return [AutocompleteChoice(query, query)]

    async def read_language(_incoming: object) -> str:
        return "de"

    async def read_instructions(_incoming: object) -> str:
        return "Be brief."

    async def read_question(_incoming: object) -> str | None:
        return "Why?"

    intake = EventIntake(responder, has_access, read_language, FAST_TIMINGS, core.inbox)
    forms = Forms(intake, chats.account, read_instructions, read_question)
    receiver = EventReceiver(client_http, intake, forms, chats.account, commands, autocomplete_models, True)
    limiter = cast("IdentifyLimiter", None)
    client = GatewayClient(
        receiver, limiter, message_content=True, shard=Shard(0, 1), backfill=None, clock=FAST_TIMINGS.clock
    )
    await client._async_setup_hook()
    try:
        ready, guilds = chats.server._ready_payload()
        for event, data in [("READY", ready), *(("GUILD_CREATE", guild) for guild in guilds)]:
            await deliver(client, event, json.dumps(data))
        yield client
    finally:
        await client.clean_up()
        await asyncio.sleep(0)
        await client.close()


async def deliver(client: GatewayClient, event: str, text: str) -> None:
    """Returns when the client has handled the event."""
    client._connection.parsers[event](json.loads(text))
    while tasks := [task for task in asyncio.all_tasks() if task.get_name().startswith(TASK_NAMES)]:
        await asyncio.wait(tasks)


def check_requests(core: CheckedCore, http: RecordingHttp) -> None:
    """Requests answer the interaction, or say in its channel that the event was not stored."""
    channels = {channel_id(event.place) for event in core.received}
    for path in http.paths:
        _, kind, id_, *_ = path.split("/")
        assert kind in ("interactions", "webhooks") or id_ in channels, path


def kind_of(event: tuple[str, Json]) -> object:
    name, data = event
    return name, data.get("type") if name == "INTERACTION_CREATE" else None


async def run_block(
    chats: Chats, core: CheckedCore, numbers: list[int], random_source: random.Random, run: Run
) -> None:
    """Stops early when an event has changed what the checks are about."""
    http = RecordingHttp()
    events = await chats.valid_events(core)
    mutator = JsonMutator(random_source, chats.interesting_values(core), is_parsable=True)
    async with running_client(chats, core, http) as client:
        while numbers and not core.is_changed:
            event, data = choose_evenly(random_source, events, kind_of)
            if event.startswith(("GUILD", "CHANNEL", "THREAD")) and random_source.random() < 0.8:
                continue  # they change for all later events where people are
            number = numbers.pop()
            content = {**data, "id": str(next_snowflake())} if "author" in data or "token" in data else data
            if random_source.random() < 0.9:
                content = mutator.mutate(content)
            text = mutator.encode(content)
            http.paths.clear()
            with run.case(number, (event, text)):
                await core.check(partial(deliver, client, event, text))
                check_requests(core, http)


def is_of_library(context: dict[str, Any]) -> bool:
    """Whether the library could not read the buttons of the pressed message. Its task ends, and asyncio logs it."""
    return "future" in context and context["future"].get_name().startswith("discord-ui-")


@pytest.mark.slow
@pytest.mark.timeout(time_limit(EVENTS))
async def test_mutated_events_act_only_as_their_sender_may(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    random_source = random.Random(SEED)
    numbers = list(range(EVENTS, 0, -1))
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    with Run("events") as run:
        while numbers:
            chats = Chats()
            adapter, ada = CheckedAdapter(PLATFORM, chats.account), Sender(PLATFORM, str(chats.ada.id), "Ada")
            async with running_checked_core(tmp_path / f"{len(numbers)}", adapter, ada, *chats.places) as core:
                block = numbers[-EVENTS_PER_CORE:]
                rest = numbers[: -len(block)]
                await run_block(chats, core, block, random_source, run)
                numbers = rest + block
    unhandled = [context for context in unhandled if not is_of_library(context)]
    assert not unhandled, f"FUZZ_SEED={SEED}"
    assert "dynamic item callback" not in caplog.text, "the library logs texts"
