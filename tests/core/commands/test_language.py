"""/language, and the language of the replies after it."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.i18n.translation import LANGUAGES
from core.port import EventKind, Incoming, Place, Sender
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import running_engine

pytestmark = pytest.mark.slow


async def test_language_is_chosen_and_left_to_the_app_again(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert await chat.command("language") == "Language: **English**, your app's language. Choose another:"
        assert [item.label for item in chat.parts[-1].menu] == ["Language of your app", *LANGUAGES.values()]
        assert [item.label for item in chat.parts[-1].menu if item.is_selected] == ["Language of your app"]
        assert await chat.command("language", "German") == "Sprache: **Deutsch**"
        assert (await chat.command("language")).startswith("Sprache: **Deutsch**.")
        assert [item.label for item in chat.parts[-1].menu if item.is_selected] == ["Deutsch"]
        assert await chat.answer_to_press(chat.actions["Español"]) == "Idioma: **Español**"
        assert await chat.command("language", "AUTO") == "Language: **English**, your app's language."


async def test_unknown_language(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        text = await chat.command("language", "Elvish")
        assert text == "I don't speak “Elvish”. See /language for the languages that I speak."


async def test_anonymous_administrator_has_no_language(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        sender = Sender("fake", "9", "Group", is_anonymous=True)
        place = Place("fake", "1", "-7")
        await chat.inbox(Incoming(EventKind.COMMAND, "e1", place, sender, "de", command="language"))
        await chat.wait_for_text("You are writing as the group")
