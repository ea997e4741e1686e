"""What is suggested for what somebody types in another chat."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.port import EventKind, Incoming, Place, Sender
from core.suggestions import Suggestions
from core.texts import suggestions as texts
from core.turns.suggestions import MAX_ANSWERS, MAX_DESCRIPTION_CHARS, MAX_TITLE_CHARS
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow

ANN = Sender("fake", "5", "Ann")
FOREIGN = Place("fake", "1", "5", thread="inline", is_foreign=True)
API_KEY = "sk-" + "a1b2" * 8


async def suggest(chat: FakeAdapter, text: str, sender: Sender = ANN) -> Suggestions:
    query = Incoming(EventKind.PROMPT, "q", replace(FOREIGN, chat=sender.user), sender, text)
    suggestions = await chat.engine.inbox.suggest(query)
    assert suggestions is not None
    return suggestions


async def test_question_is_suggested_before_the_last_answers(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        for number in range(MAX_ANSWERS + 1):
            await chat.ask(f"repeat: whale {number}")
            await chat.wait_for_states(*["done"] * (number + 1))
        question, *answers = (await suggest(chat, " whale ")).items
        assert (question.description, question.ask_label) == ("whale", texts.ASK_BUTTON)
        assert question.part.text.strip().startswith("**whale**")
        assert [answer.description for answer in answers] == ["whale 3", "whale 2", "whale 1"]
        assert [answer.title for answer in answers] == [f"repeat: whale {number}" for number in (3, 2, 1)]
        assert {answer.ask_token for answer in answers} == {""}
        assert await chat.engine.inbox.find_question(question.ask_token, ANN) == "whale"
        eve = replace(ANN, user="6")
        assert await chat.engine.inbox.find_question(question.ask_token, eve) is None
        assert [item.description for item in (await suggest(chat, "whale", eve)).items] == ["whale"]
        assert [item.title for item in (await suggest(chat, "whale 2")).items[1:]] == ["repeat: whale 2"]


@pytest.mark.parametrize("text", ["", "  ", API_KEY])
async def test_without_a_question_the_private_chat_is_offered(tmp_path: Path, model: ModelStandIn, text: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await suggest(chat, text) == Suggestions((), texts.OPEN_CHAT)
        assert (await suggest(chat, "whale")).hint == ""


@pytest.mark.parametrize("access", ["open", "pairing"])
async def test_strangers_get_no_suggestions(tmp_path: Path, model: ModelStandIn, access: str) -> None:
    async with running_engine(tmp_path, model, access=access) as chat:
        query = Incoming(EventKind.PROMPT, "q", FOREIGN, ANN, "whale")
        assert (await chat.engine.inbox.suggest(query) is None) is (access != "open")


async def test_long_texts_are_shortened(tmp_path: Path, model: ModelStandIn) -> None:
    model.answer = lambda _body: "word " * MAX_DESCRIPTION_CHARS
    async with running_engine(tmp_path, model) as chat:
        for number, length in enumerate((MAX_TITLE_CHARS, MAX_TITLE_CHARS + 1), 1):
            await chat.ask("q" * length)
            await chat.wait_for_states(*["done"] * number)
        longer, longest = (await suggest(chat, "")).items
        assert longest.title == "q" * MAX_TITLE_CHARS
        assert longer.title == "q" * MAX_TITLE_CHARS + "…"
        assert len(longer.description) == MAX_DESCRIPTION_CHARS + 1
