"""What people are told once the model that they chose, or the operator's default, is no longer offered."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bots.sandbox.model import VISION_MODEL, ModelStandIn
from bots.sandbox.model.faults import http_error
from core.app import open_services
from core.buttons import ButtonAction, encode_action, short_digest
from core.port import Attachment, EventKind, Incoming, Place, Sender
from core.settings import Settings
from core.store.schema import conversations
from core.timings import Timings
from tests.core.turns.fake_adapter import FakeAdapter, FilesAdapter, running_engine, turn_states
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow

LLAMA, PHI, GEMMA = "meta-llama/Llama-3.3-70B-Instruct", "microsoft/phi-4", "google/gemma-2-9b-it"
TIMINGS = Timings(model_retry_delay=0.001, max_model_retry_delay=0.002)
PLACE, ANN = Place("fake", "1", "5", is_private=True), Sender("fake", "5", "Ann")
BROKEN_FILE = Attachment("file", "a.zip", 10, file_id="PK\x03\x04\0\0", is_document=True)
PICTURE = Attachment("photo", file_id="1", is_image=True)
NOTICE = "Llama-3.3-70B-Instruct is no longer available. phi-4 answers here from now on."


async def answer_with_default(folder: Path, model: ModelStandIn, chat: FakeAdapter, *, is_chosen: bool = False) -> None:
    """Have the default model answer in the chat; then the service drops it. `is_chosen`: the chat has chosen it."""
    async with running_engine(folder, model, chat):
        if is_chosen:
            await chat.ask(f"/model {LLAMA}")
        assert await chat.ask("repeat: one") == "one"
        await chat.wait_for_states("done", *["done"] * is_chosen)
    model.models.pop(LLAMA)
    settings = {"api_key": model.api_key, "base_url": model.base_url, "database_url": sqlite_url(folder)}
    async with open_services(Settings(**settings)) as services:  # type: ignore[arg-type]
        await services.models.fetch()


async def test_notice_is_given_once_though_a_substitute_answers(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    model.fault_hook = lambda body: http_error(503) if body["model"] == PHI else None
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI, GEMMA), timings=TIMINGS) as chat:
        told = await chat.ask("repeat: two")
        assert NOTICE in told
        assert "phi-4 is unavailable. Answered by gemma-2-9b-it." in told
        await chat.wait_for_states("done", "done")
        later = await chat.ask("repeat: three")
        assert "Answered by gemma-2-9b-it." in later
        assert NOTICE not in later


async def test_answer_of_a_chosen_model_names_no_successor(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        await chat.press(encode_action(ButtonAction.RETRY_WITH, f"1:{short_digest(GEMMA)}"), next(iter(chat.messages)))
        await chat.wait_for_states("done", "done")
        assert model.requests[-1].body["model"] == GEMMA
        assert "from now on" not in "".join(chat.texts)


async def test_notice_is_given_once_though_another_model_answers_first(tmp_path: Path, model: ModelStandIn) -> None:
    """By a Retry with that model, or a comparison."""
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        await chat.press(encode_action(ButtonAction.RETRY_WITH, f"1:{short_digest(GEMMA)}"), next(iter(chat.messages)))
        await chat.wait_for_states("done", "done")
        await chat.say("/compare gemma-2-9b-it phi-4 repeat: two")
        await chat.wait_for_states("done", "done", "done", "done")
        assert "from now on" not in "".join(chat.texts)
        assert NOTICE in await chat.ask("repeat: three")
        assert await chat.ask("repeat: four") == "four"


async def test_notice_is_given_though_an_answer_said_that_another_model_is_gone(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        model.models.pop(GEMMA)
        await chat.press(encode_action(ButtonAction.RETRY_WITH, f"1:{short_digest(GEMMA)}"), next(iter(chat.messages)))
        await chat.wait_for_states("done", "done")
        assert "gemma-2-9b-it is no longer available. Answered by phi-4." in "".join(chat.texts)
        assert NOTICE in await chat.ask("repeat: three")
        assert await chat.ask("repeat: four") == "four"


async def test_question_after_the_notice_reads_only_what_came_after_the_last_answer(
    tmp_path: Path, model: ModelStandIn
) -> None:
    def read_mark(connection: Connection) -> int | None:
        return connection.scalar(select(conversations.c.successor_named_by_turn))

    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        for number, states in enumerate((["done"] * 2, ["done"] * 3), 2):
            await chat.ask(f"repeat: {number}")
            await chat.wait_for_states(*states)
            assert await chat.store.read(read_mark) == number


async def test_compared_answers_name_no_successor(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        await chat.say("/compare gemma-2-9b-it phi-4 repeat: two")
        await chat.wait_until(lambda: sum("two" in text for text in chat.texts) == 2)
        assert "from now on" not in "".join(chat.texts)


@pytest.mark.parametrize("is_chosen", [False, True])
async def test_notice_waits_for_the_next_answer(tmp_path: Path, model: ModelStandIn, is_chosen: bool) -> None:
    """A file that cannot be read and a picture that the model cannot see get no answer."""
    chat = FilesAdapter()
    model.add_model(VISION_MODEL)
    await answer_with_default(tmp_path, model, chat, is_chosen=is_chosen)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as engine:
        states = await chat.store.read(turn_states)
        for key, file, state in ("k1", BROKEN_FILE, "done"), ("k2", PICTURE, "failed"):
            states.append(state)
            await chat.inbox(Incoming(EventKind.PROMPT, key, PLACE, ANN, "", attachments=(file,)))
            await chat.wait_for_states(*states)
        assert NOTICE not in "".join(chat.texts)
        assert NOTICE in await engine.ask("repeat: two")


async def test_notice_and_successor_outlive_an_interrupted_answer(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat, is_chosen=True)
    model.tokens_per_second = 1
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS):
        asked_before = len(model.requests)
        await chat.say(f"repeat: {'words ' * 50}")
        await model.wait_for(lambda: len(model.requests) > asked_before)
        await chat.engine.close(0)
    model.tokens_per_second = 100_000
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS):
        await chat.wait_for_text(NOTICE)
        await chat.wait_for_states("done", "done", "done")
        assert "from now on" not in await chat.ask("repeat: two")


async def test_choice_during_the_answer_of_the_successor_stays(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat, is_chosen=True)
    model.tokens_per_second = 1
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS):
        asked_before = len(model.requests)
        await chat.say(f"repeat: {'words ' * 50}")
        await model.wait_for(lambda: len(model.requests) > asked_before)
        await chat.ask(f"/model {GEMMA}")
        await chat.say("/stop")
        await chat.wait_for_states("done", "done", "stopped", "done", "done")
        model.tokens_per_second = 100_000
        await chat.ask("repeat: two")
        assert model.requests[-1].body["model"] == GEMMA


@pytest.mark.parametrize("is_chosen", [False, True])
async def test_notice_is_given_once_though_the_first_question_gets_no_answer(
    tmp_path: Path, model: ModelStandIn, is_chosen: bool
) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat, is_chosen=is_chosen)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        model.fail_next(http_error(400, "Invalid request"))
        assert "rejected this request" in await chat.ask("repeat: two")
        assert NOTICE in await chat.ask("repeat: three")
        assert await chat.ask("repeat: four") == "four"
    assert "".join(chat.texts).count(NOTICE) == 1


async def test_successor_of_a_chosen_model_is_asked_first_and_named_once(tmp_path: Path, model: ModelStandIn) -> None:
    settings = {"fallbacks": (PHI,), "successors": {LLAMA: GEMMA}, "timings": TIMINGS}
    async with running_engine(tmp_path, model, **settings) as chat:  # type: ignore[arg-type]
        await chat.ask(f"/model {LLAMA}")
        await chat.ask("repeat: one")
        model.models.pop(LLAMA)
        told = await chat.ask("repeat: two")
        assert told.endswith("Llama-3.3-70B-Instruct is no longer available. gemma-2-9b-it answers here from now on.")
        assert await chat.ask("repeat: three") == "three"
        assert model.requests[-1].body["model"] == GEMMA


async def test_choice_made_while_the_successor_answers_holds(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, successors={LLAMA: GEMMA}, timings=TIMINGS) as chat:
        await chat.ask(f"/model {LLAMA}")
        model.models.pop(LLAMA)
        model.tokens_per_second = 1
        await chat.say("repeat: one two three four five")
        await model.wait_for(lambda: model.requests and model.requests[-1].body["model"] == GEMMA)
        await chat.ask(f"/model {PHI}")
        model.tokens_per_second = 5000
        await chat.wait_for_text("five")
        assert "**phi-4**" in await chat.ask("/model")


async def test_note_of_a_substitute_does_not_name_it_as_the_successor(tmp_path: Path, model: ModelStandIn) -> None:
    model.fault_hook = lambda body: http_error(503) if body["model"] == GEMMA else None
    settings = {"fallbacks": (PHI,), "successors": {LLAMA: GEMMA}, "timings": TIMINGS}
    async with running_engine(tmp_path, model, **settings) as chat:  # type: ignore[arg-type]
        await chat.ask(f"/model {LLAMA}")
        model.models.pop(LLAMA)
        assert "is no longer available. Answered by phi-4." in await chat.ask("repeat: one")
        assert "gemma-2-9b-it answers here from now on." in await chat.ask("repeat: two")
