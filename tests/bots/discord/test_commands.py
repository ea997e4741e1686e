"""The commands as Discord shows them, in all languages, and their IDs."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import structlog

from bots.discord.adapter import DiscordAdapter
from bots.discord.commands import LOCALES, CommandSync
from bots.discord.http_client import HttpClient
from bots.discord.localised_names import COMMAND_NAMES
from bots.discord.timings import DiscordTimings
from bots.sandbox.discord import ScriptedReply
from bots.sandbox.discord.enums import CommandType
from bots.sandbox.stand_in import Json
from core.commands.declarations import COMMANDS
from core.markdown.document import Document, Paragraph, Text
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness
from tests.clock import FakeClock
from tests.state_store import MemoryState
from tests.waiting import wait_until

ALL_LOCALES = {locale for locales in LOCALES.values() for locale in locales}
COMMANDS_PATH = r"/applications/\d+/commands"
LETTERS_ONLY = re.compile(r"[-_\w]{1,32}")
"""Discord allows no other names; the API refuses even the apostrophe that its documentation allows."""


async def registered_commands(harness: AdapterHarness) -> dict[str, Json]:
    await harness.start()
    await harness.commands_synced()
    return {command["name"]: command for command in harness.discord.commands}


def shown_help(adapter: DiscordAdapter) -> str:
    """How the adapter writes the name of a command in the bot's own text."""
    return adapter.dialect.render(Document((Paragraph((Text("See /help."),)),))).text


async def test_discord_accepts_all_commands_in_all_languages(harness: AdapterHarness) -> None:
    """The stand-in checks names, lengths and that names are unique in each language."""
    for command in (await registered_commands(harness)).values():
        described = [command, *command.get("options", [])] if command["type"] == CommandType.CHAT_INPUT else []
        texts = [each["description_localizations"] for each in described]
        assert all(text.keys() == ALL_LOCALES for text in [command["name_localizations"], *texts]), command["name"]


def test_every_command_has_a_name_to_translate() -> None:
    assert [f"/{command.name}" for command in COMMANDS if f"/{command.name}" not in COMMAND_NAMES] == []


async def test_names_of_commands_are_translated(harness: AdapterHarness) -> None:
    commands = await registered_commands(harness)
    slash = [command for command in commands.values() if command["type"] == CommandType.CHAT_INPUT]
    defaults = {command["name"] for command in slash}
    for locale in ALL_LOCALES:
        names = {command["name"]: command["name_localizations"][locale] for command in slash}
        assert len(set(names.values())) == len(names), locale
        for default, name in names.items():
            assert LETTERS_ONLY.fullmatch(name), (locale, name)
            assert name == name.lower()
            assert name == default or name not in defaults, f"{locale}: {name} would be two commands"
    assert commands["model"]["name_localizations"]["de"] == "modell"
    new, memory = commands["new"]["name_localizations"], commands["memory"]["name_localizations"]
    assert (new["pt-BR"], new["es-ES"]) == ("nova", "nueva"), "as the texts say: nova conversa, conversación nueva"
    assert memory["uk"] == "нотатки", "Discord allows no apostrophe, as in пам’ять"
    [command] = commands["help"]["options"]
    choices = {choice["value"]: choice for choice in command["choices"]}
    assert choices["model"]["name"] == "model"
    assert choices["model"]["name_localizations"]["de"] == "modell"


async def test_names_of_options_and_choices_are_translated(harness: AdapterHarness) -> None:
    commands = await registered_commands(harness)
    options = [option for command in commands.values() for option in command.get("options", [])]
    assert all(option["name_localizations"].keys() == ALL_LOCALES for option in options)
    for command in commands.values():
        for locale in ALL_LOCALES:
            names = [option["name_localizations"][locale] for option in command.get("options", [])]
            assert len(set(names)) == len(names), (command["name"], locale)
    _name, scope = commands["model"]["options"]
    assert scope["name_localizations"]["de"] == "bereich"
    assert {choice["value"]: choice["name_localizations"]["de"] for choice in scope["choices"]}["here"] == "hier"
    [language] = commands["language"]["options"]
    assert not any(choice["name_localizations"] for choice in language["choices"])


async def test_own_texts_mention_registered_commands(harness: AdapterHarness) -> None:
    adapter = harness.build()
    assert shown_help(adapter) == "See /help.", "nothing is known yet"
    harness.run(adapter)
    await harness.commands_synced()
    help_id = next(command["id"] for command in harness.discord.commands if command["name"] == "help")
    assert shown_help(adapter) == f"See </help:{help_id}>."


async def test_ids_survive_a_restart_that_registers_nothing(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    await harness.commands_synced()
    mentioned = shown_help(adapter)
    assert "</help:" in mentioned
    restarted = await harness.restart()
    await wait_until(lambda: shown_help(restarted) == mentioned)
    assert len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 1


async def test_state_of_an_earlier_version_is_registered_again(harness: AdapterHarness) -> None:
    """It had only the digest."""
    harness.state.values[f"discord.commands.{harness.account}"] = "5d41402abc4b2a76b9719d911017c592"
    adapter = await harness.start()
    await harness.commands_synced()
    assert "</help:" in shown_help(adapter)


class CountingState(MemoryState):
    load_count = 0

    async def load_state(self, name: str) -> str | None:
        self.load_count += 1
        return await super().load_state(name)


async def test_nothing_waits_for_commands_that_discord_refuses_for_good(harness: AdapterHarness) -> None:
    clock, harness.state = FakeClock(), (state := CountingState())
    harness.discord.script.add(f"PUT {COMMANDS_PATH}", ScriptedReply.error(403))
    with structlog.testing.capture_logs() as logs:
        await harness.start(timings=replace(FAST_TIMINGS, clock=clock))
        await wait_until(lambda: "discord.commands_not_synced" in {entry["event"] for entry in logs})
    load_count = state.load_count
    await clock.advance(1)
    assert state.load_count == load_count
    assert len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 1


async def test_process_beside_one_of_another_version_reads_the_database_rarely() -> None:
    clock, state = FakeClock(), CountingState()
    state.values["discord.commands.1"] = '{"digest": "other", "ids": {"help": "5"}}'
    ids: list[Mapping[str, str]] = []
    http = cast("HttpClient", None)  # it registers nothing
    sync = CommandSync(http, state, "1", COMMANDS, DiscordTimings(clock=clock), ids.append)
    sync.start()
    for _ in range(20):
        await clock.wait_for_timer()
        await clock.advance(clock.pending()[0])
    await sync.stop()
    assert ids[0] == {"help": "5"}
    assert clock.now > 3000
