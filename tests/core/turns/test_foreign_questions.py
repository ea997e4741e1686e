"""Questions from chats that the bot does not see: the message that a person placed is all there is."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import http_error, stall
from core.errors import PressRefusedError
from core.port import Capabilities, EventKind, Incoming, Part, Place, PreviewMode, Sender
from core.store.answer_parts import finish_delivery
from core.texts import answers as texts
from core.texts import commands
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter, running_engine

pytestmark = pytest.mark.slow

API_KEY = "io-v2-" + "eyJhbGciOiJSUzI1NiJ9." * 3 + "c2ln"
MESSAGE = "placed"
ANN = Sender("fake", "5", "Ann")


def _foreign_place(message: str) -> Place:
    return Place("fake", "1", "5", thread=f"inline-{message}", is_foreign=True)


class ForeignAdapter(FakeAdapter):
    """The person has placed a message, which every `send` changes."""

    def __init__(self) -> None:
        super().__init__(
            Capabilities(UNLIMITED, preview_mode=PreviewMode.OFF, deduplicates_sends=True, answers_in_one_message=True)
        )

    async def send(self, place: Place, part: Part, *, interaction_token: str | None = None, **_: object) -> str:
        assert interaction_token is not None
        await self._call("send")
        self._show(interaction_token, part)
        return interaction_token

    async def ask_in_foreign_chat(self, text: str, message: str = MESSAGE) -> None:
        place = _foreign_place(message)
        await self.inbox(Incoming(EventKind.PROMPT, message, place, ANN, text, interaction_token=message))

    async def press_in_foreign_chat(self, action: str) -> None:
        key = f"press {next(self._numbers)}"
        place = _foreign_place(MESSAGE)
        await self.inbox(
            Incoming(EventKind.BUTTON, key, place, ANN, action, message_id=MESSAGE, interaction_token=MESSAGE)
        )

    @property
    def text(self) -> str:
        return self.messages.get(MESSAGE, "").strip()


@pytest.mark.parametrize("secret_key", ["a passphrase", None], ids=["accepted", "refused"])
async def test_key_in_a_foreign_chat_is_warned_of(tmp_path: Path, model: ModelStandIn, secret_key: str | None) -> None:
    async with running_engine(tmp_path, model, ForeignAdapter(), secret_key=secret_key) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat(f"My key: {API_KEY}")
        await chat.wait_for_states("done")
        reason = commands.KEY_IN_GROUP if secret_key else commands.KEYS_DISABLED
        assert chat.text == f"{reason} {commands.KEY_EXPOSED}"
    assert not model.requests


async def test_abandoned_delivery_keeps_the_only_message(tmp_path: Path, model: ModelStandIn) -> None:
    chat = ForeignAdapter()
    async with running_engine(tmp_path, model, chat):
        chat.store.start_outage(finish_delivery)
        failed = asyncio.create_task(chat.store.wait_for_failures(finish_delivery))
        await chat.ask_in_foreign_chat("repeat: blue whales")
        await failed
        await chat.engine.close(0)
    answer = chat.text
    assert answer.endswith("blue whales")
    async with running_engine(tmp_path, model, chat, max_attempts=0):
        await chat.wait_for_states("failed")
    assert chat.text == answer


async def test_abandoned_delivery_of_nothing_can_be_retried(tmp_path: Path, model: ModelStandIn) -> None:
    dying, heir = ForeignAdapter(), ForeignAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying):
        await dying.ask_in_foreign_chat("repeat: blue whales")
        await dying.started["send"].wait()
        await dying.engine.close(0)
    async with running_engine(tmp_path, model, heir, max_attempts=0):
        await heir.wait_for_states("failed")
    assert texts.INTERNAL_ERROR in heir.text
    assert texts.DELIVERY_UNCERTAIN not in heir.text


async def test_press_is_told_that_too_many_questions_wait(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ForeignAdapter(), open_turns=1) as chat:
        assert isinstance(chat, ForeignAdapter)
        model.fail_next(http_error(400), times=None)
        await chat.ask_in_foreign_chat("a question")
        await chat.wait_for_states("failed")
        model.planned_faults.clear()
        model.fail_next(stall())
        await chat.say("a question in private")
        with pytest.raises(PressRefusedError, match=texts.QUEUE_FULL):
            await chat.press_in_foreign_chat("retry:1")


async def test_second_press_of_stop_is_told_that_it_is_stopping(tmp_path: Path, model: ModelStandIn) -> None:
    chat = ForeignAdapter()
    chat.close_gate("send")
    async with running_engine(tmp_path, model, chat):
        await chat.ask_in_foreign_chat("repeat: blue whales")
        await chat.started["send"].wait()
        await chat.press_in_foreign_chat("stop:1")
        with pytest.raises(PressRefusedError, match=texts.ALREADY_STOPPING):
            await chat.press_in_foreign_chat("stop:1")
        chat.gates["send"].set()


@pytest.mark.parametrize(
    ("action", "user", "place", "message"),
    [
        ("no action", "5", _foreign_place(MESSAGE), MESSAGE),
        ("files:1", "5", _foreign_place(MESSAGE), MESSAGE),
        ("retry:99", "5", _foreign_place(MESSAGE), MESSAGE),
        ("retry:1", "6", _foreign_place(MESSAGE), MESSAGE),
        ("retry:1", "5", _foreign_place("another"), "another"),
        ("retry:2", "5", _foreign_place(MESSAGE), MESSAGE),
    ],
    ids=["unknown", "other action", "unknown turn", "somebody else", "another message", "answer in private"],
)
async def test_press_on_something_else_has_no_effect(
    tmp_path: Path, model: ModelStandIn, action: str, user: str, place: Place, message: str
) -> None:
    async with running_engine(tmp_path, model, ForeignAdapter()) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat("repeat: blue whales")
        await chat.wait_for_states("done")
        await chat.say("repeat: in private", interaction_token="private")
        await chat.wait_for_states("done", "done")
        sender = Sender("fake", user, "Ann")
        press = Incoming(EventKind.BUTTON, "p", place, sender, action, message_id=message, interaction_token=message)
        with pytest.raises(PressRefusedError, match=texts.NOT_YOUR_PRESS):
            await chat.inbox(press)
        await chat.wait_for_states("done", "done")
    assert len(model.requests) == 2


async def test_press_counts_in_the_message_that_the_platform_has_created(tmp_path: Path, model: ModelStandIn) -> None:
    """Its place names no message, as in a chat to which the person was invited as a guest."""
    async with running_engine(tmp_path, model, ForeignAdapter()) as chat:
        assert isinstance(chat, ForeignAdapter)
        model.fail_next(http_error(400), times=None)
        await chat.ask_in_foreign_chat("repeat: blue whales")
        await chat.wait_for_states("failed")
        model.planned_faults.clear()
        place = Place("fake", "1", "5", is_foreign=True)
        press = Incoming(EventKind.BUTTON, "p", place, ANN, "retry:1", message_id=MESSAGE, interaction_token=MESSAGE)
        await chat.inbox(press)
        await chat.wait_for_states("failed", "done")
        assert chat.text.endswith("blue whales")


async def test_button_that_asks_is_told_that_it_comes_too_fast(tmp_path: Path, model: ModelStandIn) -> None:
    """It arrives as a question, not as a press."""
    async with running_engine(tmp_path, model, ForeignAdapter(), messages_a_minute=1) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat("repeat: one", "m1")
        await chat.ask_in_foreign_chat("repeat: two", "m2")
        with pytest.raises(PressRefusedError, match="too fast"):
            await chat.ask_in_foreign_chat("repeat: three", "m3")


@pytest.mark.parametrize(
    ("settings", "notice"),
    [({"messages_a_minute": 1}, "too fast"), ({"person_messages": 1}, "today's limit of 1 question")],
    ids=["too fast", "allowance"],
)
async def test_refusal_leaves_the_question(
    tmp_path: Path, model: ModelStandIn, settings: dict[str, Any], notice: str
) -> None:
    async with running_engine(tmp_path, model, ForeignAdapter(), **settings) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat("repeat: one", "m1")
        await chat.wait_for_states("done")
        await chat.ask_in_foreign_chat("repeat: two")
        await chat.wait_for_text(notice)
        assert chat.text.startswith("**repeat: two**\n\n")


async def test_refused_retry_leaves_the_question(tmp_path: Path, model: ModelStandIn) -> None:
    model.fail_next(http_error(400), times=None)
    async with running_engine(tmp_path, model, ForeignAdapter(), person_messages=1) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat("a question")
        await chat.wait_for_states("failed")
        await chat.press_in_foreign_chat("retry:1")
        await chat.wait_for_text("today's limit of 1 question")
        assert chat.text.startswith("**a question**\n\n")


async def test_notice_of_a_failure_leaves_the_question(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ForeignAdapter(), max_attempts=0) as chat:
        assert isinstance(chat, ForeignAdapter)
        await chat.ask_in_foreign_chat("a question")
        await chat.wait_for_text(texts.INTERNAL_ERROR)
        assert chat.text.startswith("**a question**\n\n")
