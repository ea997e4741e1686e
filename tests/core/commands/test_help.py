"""/help, and the reply to unknown commands."""

import re
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.commands.declarations import COMMANDS, Command, closest_command
from core.port import Attachment, Dialect, RichMode
from tests.core.turns.fake_adapter import FakeAdapter, running_engine


class RichAdapter(FakeAdapter):
    def answer_dialect(self, _mode: RichMode | None) -> Dialect:
        return self.dialect


class FileReadingAdapter(FakeAdapter):
    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        raise NotImplementedError


async def test_all_commands_are_listed_with_arguments(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        lines = (await chat.ask("/help")).splitlines()
    names = [line.split()[1].strip(":") for line in lines if line.startswith("- /")]
    assert names == [f"/{command.name}" for command in COMMANDS if not command.needs_threads], "here are no threads"
    assert "- /ask `PROMPT [FILE]`: Ask the model" in lines
    assert "- /model `[NAME] [here|me|chat|server]`: Show or change the model" in lines
    assert "- /help `[COMMAND]`: Show all commands, or explain one" in lines
    assert "- /usage: Show the tokens used today" in lines
    assert not any("Send a file" in line for line in lines), "this platform has no files"


async def test_files_are_mentioned_where_they_are_read(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FileReadingAdapter()) as chat:
        reply = await chat.ask("/help")
    assert "Send a file (PDF, Word, Excel, PowerPoint, EPUB, HTML, text or source code) or a picture" in reply


async def test_one_command_is_explained(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for text in ("/help model", "/help /Model"):
            explanation = await chat.ask(text)
            assert explanation.startswith("/model `[NAME] [here|me|chat|server]`\n\nShow or change the model.")
            assert "- `name`: A model's name, or part of it" in explanation
            assert explanation.endswith("Example: `/model llama-3.3 me`")
        assert await chat.ask("/help modle") == "Unknown command. Did you mean /model?"


@pytest.mark.parametrize("has_rich_messages", [False, True])
async def test_every_setting_is_named(tmp_path: Path, model: ModelStandIn, has_rich_messages: bool) -> None:
    adapter = RichAdapter() if has_rich_messages else FakeAdapter()
    async with running_engine(tmp_path, model, adapter) as chat:
        page, explanation = await chat.ask("/help"), await chat.ask("/help settings")
        (choices,) = re.findall(r"^- /settings `\[([a-z|]+)\] \[VALUE\]`: ", page, re.MULTILINE)
        assert explanation.startswith(f"/settings `[{choices}] [VALUE]`\n")
        for name in choices.split("|"):
            assert re.search(rf"`(/settings )?{name}`", explanation), name
            assert "Unknown setting" not in await chat.ask(f"/settings {name}")
        offered = await chat.ask("/settings nonsense")
        assert set(choices.split("|")) == {*re.findall(r"[a-z]+", offered.partition("Choose ")[2]), "reset"} - {"or"}


async def test_closest_command_is_suggested(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/halp") == "Unknown command. Did you mean /help?"
        assert await chat.ask("/xyzzy") == "Unknown command. See /help."


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("setings", "settings"), ("MODEL", "model"), ("remembre", "remember"), ("", None), ("\n*", None)],
)
def test_closest_command(typed: str, meant: str | None) -> None:
    assert closest_command(typed) == meant


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_declaration_fits_every_platform(command: Command) -> None:
    assert command.description[0].isupper()
    assert not command.description.endswith(".")
    assert len(command.description) <= 100, "Discord shows no more"
    assert all(len(argument.description) <= 100 for argument in command.arguments)
    assert all(len(argument.choices) <= 25 for argument in command.arguments), "Discord offers no more"
    assert command.example.startswith(f"/{command.name} ") or not command.example
