"""What a press of Stop stops, and who sees an answer that is sent again."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.texts import answers as texts
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, running_engine

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


async def test_answer_in_a_group_is_sent_again_to_everyone(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("repeat: hello", group="-7")
        await chat.press(encode_action(ButtonAction.SEND_AGAIN, 1), "m", group="-7")
        await chat.wait_until(lambda: chat.texts == ["hello", "hello"])
        assert [call.ephemeral for call in chat.calls if call.method == "send"] == [False, False]
        await chat.press(encode_action(ButtonAction.SEND_AGAIN, 1), "m", group="-7", user="6")
        await chat.wait_for_text(texts.NOT_YOUR_ANSWER)
        assert chat.calls[-1].ephemeral
