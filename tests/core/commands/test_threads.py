"""/thread: where it works, and the title of the thread."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.errors import DeliveryError, DeliveryFailure
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
