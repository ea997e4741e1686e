"""What a press of Stop stops, and who sees an answer that is sent again."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.commands.request import CommandRequest
from core.delivery.draft_ids import encode_draft_id
from core.port import EventKind, Incoming, Place, Sender
from core.store.claims import CancelResult
from core.store.database import Store
from core.store.inbound import InboundLimits, accept_event
from core.texts import answers as texts
from core.turns.button_actions import stop_draft
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, running_engine
from tests.sqlite import sqlite_url

ANSWER = ("word " * 60).strip()


@pytest.mark.slow
async def test_stop_under_one_of_two_compared_answers_leaves_the_other(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second, model.answer = 20, lambda _body: ANSWER
    async with running_engine(tmp_path, model, FakeAdapter(EDITING)) as chat:
        await chat.say("/compare phi-4 Mistral-Large-Instruct-2411 hello")
        await chat.wait_until(lambda: sum("word" in text for text in chat.texts) == 2)
        await chat.press(encode_action(ButtonAction.STOP, 1), next(iter(chat.messages)))
        await model.wait_for(lambda: any(request.disconnected_at is not None for request in model.requests))
        model.tokens_per_second = 2000
        await chat.wait_for_states("stopped", "done", "done")
    assert sum(texts.STOPPED in text for text in chat.texts) == 1
    assert sum(ANSWER in text for text in chat.texts) == 1


@pytest.mark.slow
async def test_stop_command_stops_both_compared_answers(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second, model.answer = 20, lambda _body: ANSWER
    async with running_engine(tmp_path, model, FakeAdapter(EDITING)) as chat:
        await chat.say("/compare phi-4 Mistral-Large-Instruct-2411 hello")
        await chat.wait_until(lambda: sum("word" in text for text in chat.texts) == 2)
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "stopped", "done")
    assert all(texts.STOPPED in text for text in chat.texts[:2])


OWN_CHAT = Place("fake", "1", "5", is_private=True)


@pytest.mark.parametrize(
    ("place", "draft_turn", "is_stopped"),
    [
        (OWN_CHAT, 1, True),
        (OWN_CHAT, 2, False),
        (Place("fake", "1", "6", is_private=True), 1, False),
        (Place("fake", "1", "5", thread="9", is_private=True), 1, False),
    ],
    ids=["its own", "another turn's", "another chat", "another topic"],
)
async def test_stop_control_of_a_draft_stops_the_answer_in_its_place(
    tmp_path: Path, place: Place, draft_turn: int, *, is_stopped: bool
) -> None:
    stopped: list[int | None] = []

    async def cancel_turns(_conversation_id: int, *, target: int | None) -> CancelResult:
        stopped.append(target)
        return CancelResult([], 0)

    ann = Sender("fake", "5", "Ann")
    store = Store(sqlite_url(tmp_path))
    await store.open()
    question = Incoming(EventKind.PROMPT, "u1", OWN_CHAT, ann, "hello")
    accept = partial(accept_event, conversation_key="ann", person_key="fake:5", ordered=True, limits=InboundLimits())
    await store.write(accept, question)
    press = Incoming(EventKind.STOP, "u2", place, ann, str(encode_draft_id(draft_turn, 0)))
    request = SimpleNamespace(services=SimpleNamespace(store=store), incoming=press, cancel_turns=cancel_turns)
    assert await stop_draft(cast("CommandRequest", request)) is None
    await store.close()
    assert stopped == [1] * is_stopped


async def test_answer_in_a_group_is_sent_again_to_everyone(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: hello", group="-7")
        await chat.press(encode_action(ButtonAction.SEND_AGAIN, 1), "m", group="-7")
        await chat.wait_until(lambda: chat.texts == ["hello", "hello"])
        assert [call.ephemeral for call in chat.calls if call.method == "send"] == [False, False]
        await chat.press(encode_action(ButtonAction.SEND_AGAIN, 1), "m", group="-7", user="6")
        await chat.wait_for_text(texts.NOT_YOUR_ANSWER)
        assert chat.calls[-1].ephemeral
