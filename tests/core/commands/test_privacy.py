"""/privacy and its buttons."""

import json
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow
ONLY_IN_PRIVATE = "To export or delete your data, send /privacy in a private chat with me."


async def test_data_is_exported_and_deleted(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("repeat: one")
        await chat.wait_for_states("done")
        assert "Your questions go to the model service `127.0.0.1`" in await chat.command("privacy")
        assert ONLY_IN_PRIVATE not in chat.parts[-1].text
        page = chat.actions
        assert list(page) == ["Export my data", "Delete my data"]
        assert [button.is_destructive for button in chat.parts[-1].buttons] == [False, True]
        await chat.answer_to_press(page["Export my data"])
        assert "repeat: one" in json.dumps(json.loads(chat.names["my-data.json"].content))
        assert (await chat.answer_to_press(page["Delete my data"])).startswith("Delete everything that I store")
        assert list(chat.actions) == ["Delete everything", "Back"]
        delete, back = chat.actions.values()
        assert "What I store about you" in await chat.answer_to_press(back)
        assert (await chat.answer_to_press(delete)).startswith("I have deleted your data.")
        assert chat.actions == {}
        await chat.command("export")
        assert chat.parts[-1].text == "This conversation has no messages yet."


async def test_group_shows_only_the_page(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert (await chat.command("privacy", server="8")).endswith(f"\n\n{ONLY_IN_PRIVATE}")
        assert chat.actions == {}


async def test_data_may_be_too_large_for_a_file(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter(max_bytes=10)
    async with running_engine(tmp_path, model, chat):
        await chat.command("privacy")
        text = await chat.answer_to_press(chat.actions["Export my data"])
        assert text == "Your data is too large for a file here. Ask my operator for it."


async def test_platform_without_files(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("/privacy")
        await chat.press(encode_action(ButtonAction.EXPORT_DATA, ""), list(chat.messages)[-1])
        await chat.wait_for_text("I can't send files here.")
