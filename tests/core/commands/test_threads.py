"""/thread: where it works, and the title of the thread."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.conversation.transcript import CONTINUE_PROMPT
from core.errors import DeliveryError, DeliveryFailure
from core.port import EventKind, Incoming, Place, Sender
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import running_engine

pytestmark = pytest.mark.slow


async def test_thread_needs_a_channel_and_permission(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        assert await chat.command("thread", "Trip") == (
            "There are no threads here. Start a new conversation with /new."
        )
        assert await chat.command("thread", "Trip", server="8", thread="9") == (
            "This is a thread already, with its own conversation. Use /thread in its channel."
        )
        assert await chat.command("thread", "Trip", server="8", may_create_threads=False) == (
            "You're not allowed to create threads here."
        )
        assert chat.threads == []


@pytest.mark.parametrize(("server", "is_listed"), [("8", True), (None, False)])
async def test_help_lists_the_command_only_on_servers(
    tmp_path: Path, model: ModelStandIn, server: str | None, is_listed: bool
) -> None:
    """A group of Discord without a server has no threads."""
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        place = Place("fake", "1", "7", server=server)
        await chat.inbox(Incoming(EventKind.COMMAND, "h", place, Sender("fake", "5", "Ann"), "", command="help"))
        await chat.wait_for_states("done")
        assert ("/thread" in chat.parts[-1].text) is is_listed


@pytest.mark.parametrize(
    ("argument", "title"),
    [
        ("## My  trip\nto Rome", "My trip"),
        ("x" * 90, "x" * 90),
        ("x" * 91, "x" * 89 + "…"),
        ("a " + "x" * 86 + " bc", "a " + "x" * 86 + "…"),
        ("", "Conversation with Ann"),
    ],
)
async def test_title_is_the_first_line(tmp_path: Path, model: ModelStandIn, argument: str, title: str) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        text = await chat.command("thread", argument, server="8")
        assert chat.threads == [title]
        assert "has its own conversation, with " in text


async def test_thread_after_continue_bears_the_title_of_what_the_person_wrote(
    tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 2000
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        place = Place("fake", "1", "7", server="8")
        sender = Sender("fake", "5", "Ann", may_create_threads=True)
        await chat.inbox(Incoming(EventKind.PROMPT, "q", place, sender, "Where do herons nest?"))
        await chat.wait_for_states("done")
        action = encode_action(ButtonAction.CONTINUE, 1)
        await chat.inbox(Incoming(EventKind.BUTTON, "c", place, sender, action))
        await chat.wait_for_states("done", "done")
        await chat.inbox(Incoming(EventKind.COMMAND, "t", place, sender, "", command="thread"))
        await chat.wait_for_states("done", "done", "done")
        assert model.requests[-1].body["messages"][-1]["content"] == CONTINUE_PROMPT
    assert chat.threads == ["Where do herons nest?"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (DeliveryFailure.FORBIDDEN, "I'm not allowed to create threads here."),
        (DeliveryFailure.GONE, "I'm not allowed to create threads here."),
        (DeliveryFailure.TRANSIENT, "I couldn't create a thread. Try again in a minute."),
    ],
)
async def test_refused_thread(tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure, text: str) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        chat.fail_next("create_thread", DeliveryError("no", failure))
        assert (await chat.command("thread", "Trip", server="8")).startswith(text)
