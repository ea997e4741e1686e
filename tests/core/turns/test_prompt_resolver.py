"""What is asked after an edit, by buttons and forms, and at the start of a thread."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.conversation.quotes import render_prompt
from core.errors import DeliveryError, DeliveryFailure
from core.port import EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.texts import answers as texts
from core.texts.commands import EXAMPLE_QUESTIONS
from core.texts.models import MODEL_RETIRED
from core.turns.prompt_resolver import MAX_PROMPT_CHARS
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow

PRIVATE = Place("fake", "1", "5", is_private=True)
THREAD = Place("fake", "1", "-7", thread="9")
ANN = Sender("fake", "5", "Ann")
MESSAGE = Incoming(EventKind.PROMPT, "k1", PRIVATE, ANN, "repeat: one", message_id="m1")
QUOTE = Quote(QuoteKind.REPLY, "The deadline is Friday.", "Bob", message_id="m0")
START = Quote(QuoteKind.THREAD_START, "Holidays", "Bob")


def conversation(model: ModelStandIn) -> list[str]:
    """The texts of the last request, without the instructions."""
    return [message["content"] for message in model.requests[-1].body["messages"][1:]]


def edit(text: str, *, key: str = "k2", place: Place = PRIVATE) -> Incoming:
    return replace(MESSAGE, kind=EventKind.EDIT, key=key, text=text, place=place)


# Edits


@pytest.mark.parametrize("is_retried", [False, True])
async def test_edited_question_is_asked_again_in_its_place(
    tmp_path: Path, model: ModelStandIn, is_retried: bool
) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: zero")
        await chat.wait_for_states("done")
        await chat.inbox(replace(MESSAGE, quotes=(QUOTE,)))
        await chat.wait_for_text("one")
        await chat.wait_for_states(*["done"] * 2)
        if is_retried:
            await chat.press(encode_action(ButtonAction.RETRY, 2), list(chat.messages)[-1])
            await chat.wait_for_states(*["done"] * 3)
        await chat.inbox(replace(edit("repeat: two"), quotes=(QUOTE,)))
        await chat.wait_for_text("two")
        assert chat.texts == ["zero", "two"]
        assert conversation(model) == ["repeat: zero", "zero", render_prompt("repeat: two", [QUOTE])]
        await chat.ask("repeat: three")
        assert conversation(model)[2:] == [render_prompt("repeat: two", [QUOTE]), "two", "repeat: three"]


async def test_edit_without_a_change_asks_nothing(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(MESSAGE)
        await chat.wait_for_states("done")
        await chat.inbox(edit(" repeat: one "))
        await chat.wait_for_states("done", "merged")
        assert chat.texts == ["one"]
    assert len(model.requests) == 1


@pytest.mark.parametrize("command", ["new", "usage"])
async def test_question_of_an_ended_conversation_is_not_asked_again(
    tmp_path: Path, model: ModelStandIn, command: str
) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(MESSAGE)
        await chat.wait_for_states("done")
        await chat.ask(f"/{command}")
        await chat.wait_for_states("done", "done")
        await chat.inbox(edit("repeat: two"))
        await chat.wait_for_states("done", "done", "merged" if command == "new" else "done")
        assert ("two" in chat.texts) is (command == "usage")


async def test_edited_question_may_be_too_long(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(MESSAGE)
        await chat.wait_for_states("done")
        await chat.inbox(edit("x" * (MAX_PROMPT_CHARS + 1)))
        await chat.wait_for_text("A message can have at most")
        await chat.ask("repeat: three")
        assert conversation(model) == ["repeat: one", "one", "repeat: three"]


# Forms and buttons


async def ask_in_form(chat: FakeAdapter, turn: int, text: str) -> None:
    action = encode_action(ButtonAction.EDIT_QUESTION, turn)
    press = replace(MESSAGE, kind=EventKind.BUTTON, key=f"form {turn}", text=action, message_id="1", form_text=text)
    await chat.inbox(press)


async def test_question_of_a_form_keeps_its_quotes(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(replace(MESSAGE, quotes=(QUOTE,)))
        await chat.wait_for_states("done")
        await ask_in_form(chat, 1, " repeat: two ")
        await chat.wait_for_text("two")
        assert conversation(model) == [render_prompt("repeat: two", [QUOTE])]
        assert chat.texts == ["two"], "in place of the first answer"


@pytest.mark.parametrize(
    ("text", "reply"),
    [(" ", texts.QUESTION_NOT_EDITABLE), ("x" * (MAX_PROMPT_CHARS + 1), texts.prompt_too_long(MAX_PROMPT_CHARS))],
    ids=["empty", "too long"],
)
async def test_form_without_a_question_is_refused(tmp_path: Path, model: ModelStandIn, text: str, reply: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.inbox(MESSAGE)
        await chat.wait_for_states("done")
        await ask_in_form(chat, 1, text)
        await chat.wait_for_text(reply)
    assert len(model.requests) == 1


async def test_example_is_asked_by_a_button(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_messages=2) as chat:
        await chat.press(encode_action(ButtonAction.ASK_EXAMPLE, 1), "1")
        await chat.wait_for_states("done")
        assert conversation(model) == [EXAMPLE_QUESTIONS[1]]
        await chat.press(encode_action(ButtonAction.ASK_EXAMPLE, len(EXAMPLE_QUESTIONS)), "1")
        await chat.wait_for_text(texts.OUTDATED_BUTTON)
        await chat.press(encode_action(ButtonAction.RETRY_WITH, "1:0123456789ab"), "1")
        await chat.wait_for_text(MODEL_RETIRED)
        await chat.ask("repeat: two")
        await chat.wait_for_states(*["done"] * 4)
        await chat.press(encode_action(ButtonAction.ASK_EXAMPLE, 1), "1")
        await chat.wait_for_text("You've reached today's limit")


# Threads


class ThreadsAdapter(FakeAdapter):
    async def thread_start(self, place: Place, question_message: str | None) -> Quote | None:
        await self._call("thread_start")
        return START


@pytest.mark.parametrize("is_known", [True, False])
async def test_first_question_of_a_thread_comes_with_its_start(
    tmp_path: Path, model: ModelStandIn, is_known: bool
) -> None:
    adapter = ThreadsAdapter()
    if not is_known:
        adapter.errors["thread_start"] = DeliveryError("Missing access", DeliveryFailure.FORBIDDEN)
    start = [START] if is_known else []
    async with running_engine(tmp_path, model, adapter) as chat:
        await chat.inbox(replace(MESSAGE, place=THREAD))
        await chat.wait_for_states("done")
        assert conversation(model) == [render_prompt("repeat: one", start)]
        await chat.inbox(edit("repeat: two", place=THREAD))
        await chat.wait_for_states("done", "done")
        assert conversation(model) == [render_prompt("repeat: two", start)]
        await chat.inbox(replace(MESSAGE, place=THREAD, key="k3", text="repeat: three"))
        await chat.wait_for_states("done", "done", "done")
        assert conversation(model) == [render_prompt("repeat: two", start), "two", "repeat: three"]


async def test_question_outside_of_a_thread_has_no_start(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, ThreadsAdapter()) as chat:
        await chat.inbox(replace(MESSAGE, place=replace(THREAD, thread=None)))
        await chat.wait_for_states("done")
    assert conversation(model) == ["repeat: one"]
