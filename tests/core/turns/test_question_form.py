"""Questions without a message of their own can be edited in a form; answers to others offer none."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.port import EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.store.schema import messages
from core.texts import answers as texts
from core.turns.question_form import editable_question
from tests.core.turns.fake_adapter import TYPING, UploadingAdapter, running_engine

pytestmark = pytest.mark.slow

PLACE, GROUP = Place("fake", "1", "5", is_private=True), Place("fake", "1", "-7")
ASK = Incoming(EventKind.COMMAND, "k1", PLACE, Sender("fake", "5", "Ann"), "repeat: one", command="ask")
QUOTE = Quote(QuoteKind.REPLY, "The deadline is Friday.", "Bob", message_id="m0")
FORMS = replace(TYPING, has_forms=True)


@pytest.mark.parametrize(
    ("event", "capabilities", "offered"),
    [
        (ASK, FORMS, [texts.EDIT_QUESTION_BUTTON]),
        (replace(ASK, command="new"), FORMS, [texts.EDIT_QUESTION_BUTTON]),
        (replace(ASK, message_id="m1"), FORMS, []),
        (replace(ASK, kind=EventKind.PROMPT, command=""), FORMS, []),
        (ASK, TYPING, []),
        (ASK, replace(TYPING, has_ephemeral_messages=True), [texts.MODEL_BUTTON]),
    ],
    ids=["ask", "new", "with a message", "message", "no forms", "ephemeral messages"],
)
async def test_question_without_a_message_can_be_edited(
    tmp_path: Path, model: ModelStandIn, event: Incoming, capabilities: object, offered: list[str]
) -> None:
    adapter = UploadingAdapter(capabilities)  # type: ignore[arg-type]
    async with running_engine(tmp_path, model, adapter) as chat:
        await chat.inbox(event)
        await chat.wait_for_states("done")
        (labels,) = adapter.buttons.values()
        assert labels == [texts.RETRY_BUTTON, *offered]
        (message,) = chat.messages
        await chat.press(encode_action(ButtonAction.RETRY, 1), message)
        await chat.wait_for_states("done", "done")
        assert adapter.buttons[message][4:] == offered, "behind the pager"


def delete_messages(connection: Connection) -> None:
    connection.execute(delete(messages))


async def test_form_contains_the_question_for_who_asked_it(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, UploadingAdapter(FORMS)) as chat:
        asked = replace(ASK, place=GROUP, quotes=(QUOTE,))
        await chat.inbox(asked)
        await chat.wait_for_states("done")

        async def form(
            action: ButtonAction = ButtonAction.EDIT_QUESTION, *, turn: int = 1, user: str = "5"
        ) -> str | None:
            sender = Sender("fake", user, "")
            press = replace(asked, kind=EventKind.BUTTON, text=encode_action(action, turn), command="", sender=sender)
            return await editable_question(chat.services, chat, press)

        assert await form() == "repeat: one"
        assert await form(user="6") is None
        assert await form(turn=2) is None
        assert await form(ButtonAction.RETRY) is None
        await chat.store.write(delete_messages)
        assert await form() is None


@pytest.mark.parametrize(
    ("place", "form_text", "is_ephemeral"),
    [(GROUP, "", True), (GROUP, "repeat: two", False), (PLACE, "", False)],
    ids=["press", "form, whose question everybody sees", "private chat"],
)
async def test_refused_press_is_shown_like_what_it_refuses(
    tmp_path: Path, model: ModelStandIn, place: Place, form_text: str, is_ephemeral: bool
) -> None:
    async with running_engine(tmp_path, model, UploadingAdapter(FORMS)) as chat:
        await chat.inbox(replace(ASK, place=place))
        await chat.wait_for_states("done")
        action = encode_action(ButtonAction.EDIT_QUESTION, 1)
        bob = Sender("fake", "6", "Bob")
        await chat.inbox(Incoming(EventKind.BUTTON, "k2", place, bob, action, form_text=form_text))
        await chat.wait_for_states("done", "done")
        assert [call.ephemeral for call in chat.calls if call.method == "send"] == [False, is_ephemeral]
