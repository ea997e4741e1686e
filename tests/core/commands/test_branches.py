"""Continuing from an earlier answer by a platform's own control, as the adapter sends it to the core."""

from pathlib import Path

from bots.sandbox.model import ModelStandIn
from core.commands.branches import CONTINUE_FROM_COMMAND
from core.port import EventKind, Incoming, Place, Sender
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

ANN = Sender("fake", "5", "Ann")
PLACE = Place("fake", "1", "5", is_private=True)


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


async def test_answer_of_another_conversation_is_refused(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: one")
        refusal = "This answer is not in your current conversation here."
        bob = Sender("fake", "6", "Bob")
        answer = message_of(chat, "one")
        assert await continue_from(chat, answer, sender=bob, place=Place("fake", "1", "6", is_private=True)) == refusal
        assert await continue_from(chat, "not a message") == refusal
        await chat.ask("/new")
        assert await continue_from(chat, answer) == refusal
