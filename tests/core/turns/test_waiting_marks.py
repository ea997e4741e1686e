"""The mark of a question that waits for the answer to another one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.script import ScriptedAnswer
from core.errors import DeliveryError, DeliveryFailure
from core.port import Capabilities, EventKind, Incoming, Place, PreviewMode, RateWindow, Sender
from core.texts.answers import QUESTION_WAITS
from core.timings import Timings
from tests.core.turns.fake_adapter import TYPING, FakeAdapter, running_engine

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
ANN = Sender("fake", "5", "Ann")
QUICK = Timings(waiting_mark_delay=0.01, waiting_mark_timeout=10)


class MarkingAdapter(FakeAdapter):
    def __init__(self, capabilities: Capabilities = TYPING) -> None:
        super().__init__(capabilities)
        self.marks: list[tuple[str, bool]] = []
        """Every change of a mark: the message, and whether it has one now."""

    async def mark_waiting(self, place: Place, message_id: str, *, is_waiting: bool) -> None:
        self.marks.append((message_id, is_waiting))
        await self._call("mark_waiting")


def question(number: int, text: str = "", *, chat: str = "5") -> Incoming:
    place = replace(PLACE, chat=chat)
    sender = replace(ANN, user=chat)
    return Incoming(EventKind.PROMPT, f"k{number}", place, sender, text or f"text {number}", message_id=f"m{number}")


def hold_first_answer(model: ModelStandIn) -> asyncio.Event:
    """The model stops in the middle of the answer to the first question, until the event."""
    go_on = asyncio.Event()
    first = ScriptedAnswer("a slow answer", hold_until=go_on)
    model.answer = lambda body: first if "text 1" in body["messages"][-1]["content"] else ScriptedAnswer("quick")
    return go_on


async def ask_during_answer(chat: FakeAdapter, model: ModelStandIn, *numbers: int) -> asyncio.Event:
    """Ask the first question and others. The answer to the first goes on after the event."""
    go_on = hold_first_answer(model)
    for number in (1, *numbers):
        await chat.inbox(question(number))
    return go_on


async def test_waiting_question_is_marked_until_its_answer_starts(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = MarkingAdapter()
    async with running_engine(tmp_path, model, adapter, timings=QUICK) as chat:
        go_on = await ask_during_answer(chat, model, 2, 3)
        await chat.wait_until(lambda: bool(adapter.marks))
        assert adapter.marks == [("m2", True)]
        go_on.set()
        await chat.wait_for_text("quick")
        await chat.wait_until(lambda: len(adapter.marks) == 2)
        assert adapter.marks == [("m2", True), ("m2", False)], "one mark for one joined question"
        assert len(chat.texts) == 2
        assert model.requests[-1].body["messages"][-1]["content"] == "text 2\ntext 3"


async def test_each_waiting_question_is_marked(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = MarkingAdapter()
    async with running_engine(tmp_path, model, adapter, timings=QUICK) as chat:
        go_on = await ask_during_answer(chat, model, 2)
        await chat.inbox(question(3, "repeat: " + "long " * 300))
        await chat.wait_until(lambda: len(adapter.marks) == 2)
        assert sorted(adapter.marks) == [("m2", True), ("m3", True)]
        go_on.set()
        await chat.wait_for_states("done", "done", "done")
        await chat.wait_until(lambda: len(adapter.marks) == 4)
        assert adapter.marks[2:] == [("m2", False), ("m3", False)]


async def test_question_that_starts_at_once_is_not_marked(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = MarkingAdapter()
    async with running_engine(tmp_path, model, adapter, timings=replace(QUICK, waiting_mark_delay=0.0)) as chat:
        for number in (7, 8):
            await chat.inbox(question(number, "repeat: done", chat=str(number)))
        await chat.wait_for_states("done", "done")
        assert adapter.marks == []


async def test_no_mark_where_the_limits_are_used_up(tmp_path: Path, model: ModelStandIn) -> None:
    capabilities = Capabilities((RateWindow(1, 1000.0),), preview_mode=PreviewMode.OFF, deduplicates_sends=True)
    adapter = MarkingAdapter(capabilities)
    timings = replace(QUICK, waiting_mark_timeout=0.2)
    async with running_engine(tmp_path, model, adapter, timings=timings) as chat:
        await chat.inbox(question(0, "repeat: first"))
        await chat.wait_for_text("first")
        await chat.inbox(question(1))
        await chat.inbox(question(2))
        await model.wait_for(lambda: len(model.requests) >= 2)
    assert adapter.marks == []


async def test_refused_mark_disturbs_nothing(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = MarkingAdapter()
    adapter.errors["mark_waiting"] = DeliveryError("no", DeliveryFailure.FORBIDDEN)
    async with running_engine(tmp_path, model, adapter, timings=QUICK) as chat:
        go_on = await ask_during_answer(chat, model, 2)
        await chat.wait_until(lambda: bool(adapter.marks))
        go_on.set()
        await chat.wait_for_text("quick")
        await chat.wait_for_states("done", "done")
        assert adapter.marks == [("m2", True)], "what is not there is not removed"


@pytest.mark.parametrize(("language", "notice"), [("en", QUESTION_WAITS), ("de", "Deine Frage wartet")])
async def test_person_reads_once_that_questions_wait_where_there_are_no_marks(
    tmp_path: Path, model: ModelStandIn, language: str, notice: str
) -> None:
    adapter = MarkingAdapter()
    adapter.errors["mark_waiting"] = DeliveryError("no", DeliveryFailure.FORBIDDEN)
    async with running_engine(tmp_path, model, adapter, timings=QUICK) as chat:
        go_on = hold_first_answer(model)
        for number, text in enumerate(("text 1", "x" * 600, "y" * 600), 1):
            await chat.inbox(replace(question(number, text), sender=replace(ANN, language=language)))
        await chat.wait_until(lambda: len(adapter.marks) == 2)
        await chat.wait_until(lambda: any(call.method == "send" and call.ephemeral for call in adapter.calls))
        go_on.set()
        await chat.wait_for_states("done", "done", "done")
    (sent,) = (call for call in adapter.calls if call.method == "send" and call.ephemeral)
    assert sent.reply_to in ("m2", "m3"), "whichever is refused first"
    assert sum(notice in text for text in chat.texts) == 1


async def test_process_that_answers_removes_the_mark(tmp_path: Path, model: ModelStandIn) -> None:
    dying, heir = MarkingAdapter(), MarkingAdapter()
    async with running_engine(tmp_path, model, dying, timings=QUICK) as chat:
        await ask_during_answer(chat, model, 2)
        await chat.wait_until(lambda: bool(dying.marks))
        await chat.engine.close(0)
    model.answer = lambda _body: ScriptedAnswer("quick")
    async with running_engine(tmp_path, model, heir, timings=QUICK) as chat:
        await chat.wait_for_states("done", "done")
        await chat.wait_until(lambda: bool(heir.marks))
    assert heir.marks == [("m2", False)]


async def test_mark_of_dropped_question_is_removed(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = MarkingAdapter()
    async with running_engine(tmp_path, model, adapter, timings=QUICK) as chat:
        await ask_during_answer(chat, model, 2)
        await chat.wait_until(lambda: bool(adapter.marks))
        await chat.say("/stop")
        await chat.wait_until(lambda: len(adapter.marks) == 2)
        await chat.wait_for_states("stopped", "stopped", "done")
    assert adapter.marks == [("m2", True), ("m2", False)]


@pytest.mark.parametrize("is_timeout", [True, False])
async def test_mark_that_may_have_arrived_is_removed(tmp_path: Path, model: ModelStandIn, is_timeout: bool) -> None:
    adapter = MarkingAdapter()
    if is_timeout:
        adapter.close_gate("mark_waiting")
    else:
        adapter.fail_next("mark_waiting", DeliveryError("no response", DeliveryFailure.UNKNOWN))
    timings = replace(QUICK, waiting_mark_timeout=1) if is_timeout else QUICK
    async with running_engine(tmp_path, model, adapter, timings=timings) as chat:
        go_on = await ask_during_answer(chat, model, 2)
        await chat.wait_until(lambda: bool(adapter.marks))
        if is_timeout:
            await adapter.cancelled["mark_waiting"].wait()
            adapter.gates["mark_waiting"].set()
        go_on.set()
        await chat.wait_for_text("quick")
        await chat.wait_until(lambda: len(adapter.marks) == 2)
    assert adapter.marks == [("m2", True), ("m2", False)]
