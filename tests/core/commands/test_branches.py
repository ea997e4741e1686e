"""Continuing from an earlier answer by a platform's own control, as the adapter sends it to the core."""

import itertools
from pathlib import Path

from bots.sandbox.model import ModelStandIn
from core.commands.branches import CONTINUE_FROM_COMMAND
from core.port import EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.texts import answers as texts
from core.turns.prompt_resolver import MAX_PROMPT_CHARS
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

ANN = Sender("fake", "5", "Ann")
PLACE = Place("fake", "1", "5", is_private=True)
EVENT_NUMBERS = itertools.count(1)


async def continue_from(chat: FakeAdapter, message_id: str, *, sender: Sender = ANN, place: Place = PLACE) -> str:
    count = len(chat.messages)
    key = f"c{count}"
    await chat.inbox(Incoming(EventKind.COMMAND, key, place, sender, message_id, command=CONTINUE_FROM_COMMAND))
    await chat.wait_until(lambda: len(chat.messages) > count)
    return chat.texts[-1]


def message_of(chat: FakeAdapter, text: str) -> str:
    return next(message_id for message_id, shown in chat.messages.items() if shown.strip() == text)


def context(model: ModelStandIn) -> list[str]:
    messages = model.requests[-1].body["messages"]
    return [message["content"].split()[-1] for message in messages if message["role"] != "system"]


async def test_next_question_continues_from_the_chosen_answer(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for word in ("one", "two"):
            await chat.ask(f"repeat: {word}")
        assert await continue_from(chat, message_of(chat, "one")) == "Your next question continues from this answer."
        await chat.ask("repeat: three")
        assert context(model) == ["one", "one", "three"]
        await chat.ask("repeat: four")
        assert context(model) == ["one", "one", "three", "three", "four"]


async def test_another_person_does_not_use_the_chosen_answer(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, shared_settings="everyone") as chat:
        await chat.ask("/settings share on", group="friends")
        for word in ("one", "two"):
            await chat.ask(f"repeat: {word}", group="friends")
        await continue_from(chat, message_of(chat, "one"), place=Place("fake", "1", "friends"))
        await chat.ask("repeat: three", user="6", group="friends")
        assert context(model) == ["one", "one", "two", "two", "three"]
        await chat.ask("repeat: four", group="friends")
        assert context(model) == ["one", "one", "four"]


async def test_answer_of_another_conversation_is_refused(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        refusal = "This message is not an answer in your current conversation here."
        bob = Sender("fake", "6", "Bob")
        answer = message_of(chat, "one")
        assert await continue_from(chat, answer, sender=bob, place=Place("fake", "1", "6", is_private=True)) == refusal
        assert await continue_from(chat, "not a message") == refusal
        await chat.ask("/new")
        assert await continue_from(chat, answer) == refusal


async def send_reply(chat: FakeAdapter, answer: str, text: str, kind: EventKind = EventKind.PROMPT) -> None:
    """Send `text`, or change the message to it, as a reply to an answer."""
    quote = Quote(QuoteKind.REPLY, answer, message_id=message_of(chat, answer), is_own=True)
    key = f"r{next(EVENT_NUMBERS)}"
    await chat.inbox(Incoming(kind, key, PLACE, ANN, text, message_id="question", quotes=(quote,)))


async def reply_to(chat: FakeAdapter, answer: str, text: str) -> None:
    """Reply to an answer, and wait for the next message."""
    count = len(chat.messages)
    await send_reply(chat, answer, text)
    await chat.wait_until(lambda: len(chat.messages) > count)


async def test_edited_reply_that_was_refused_continues_from_the_answer(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for word in ("one", "two"):
            await chat.ask(f"repeat: {word}")
        await reply_to(chat, "one", "x" * MAX_PROMPT_CHARS)
        await chat.wait_for_states("done", "done", "done")
        count = len(model.requests)
        await send_reply(chat, "one", "repeat: three", EventKind.EDIT)
        await model.wait_for(lambda: len(model.requests) > count)
        assert context(model) == ["one", "one", "three"]


async def test_earlier_question_of_a_branch_is_asked_again_there(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for word in ("one", "two"):
            await chat.ask(f"repeat: {word}")
        await reply_to(chat, "one", "repeat: three")
        await chat.ask("repeat: four")
        count = len(model.requests)
        await chat.press("retry:3", message_of(chat, "three"))
        await model.wait_for(lambda: len(model.requests) > count)
        assert context(model) == ["one", "one", "three"]


async def test_abandoned_reply_is_retried_from_the_answer(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for word in ("one", "two"):
            await chat.ask(f"repeat: {word}")
    async with running_engine(tmp_path, model, chat, max_attempts=0):
        await reply_to(chat, "one", "repeat: three")
        assert texts.INTERNAL_ERROR in chat.texts[-1]
    async with running_engine(tmp_path, model, chat):
        count = len(model.requests)
        await chat.say("/retry")
        await model.wait_for(lambda: len(model.requests) > count)
        assert context(model) == ["one", "one", "three"]
