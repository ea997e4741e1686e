"""Which answer is in the history after presses of the pager."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.store.answer_parts import take_over_parts
from core.store.schema import answer_parts
from tests.core.turns.fake_adapter import running_engine


def give_messages_to(connection: Connection, turn_id: int) -> None:
    connection.execute(update(answer_parts).values(turn_id=turn_id))


@pytest.mark.slow
async def test_press_that_comes_too_late_changes_neither_the_message_nor_the_history(
    tmp_path: Path, model: ModelStandIn
) -> None:
    numbers = itertools.count(1)
    model.answer = lambda _body: f"answer {next(numbers)}"
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("hello")
        (message,) = chat.messages
        for number in (2, 3):
            await chat.press(encode_action(ButtonAction.RETRY, number - 1), message)
            await chat.wait_for_text(f"answer {number}")
            await chat.wait_for_states(*["done"] * number)
        chat.store.start_outage(take_over_parts)
        await chat.press(encode_action(ButtonAction.SHOW_VARIANT, 1), message)
        await chat.store.wait_for_failures(take_over_parts)
        await chat.store.write(give_messages_to, 2)  # as another press does
        chat.store.end_outage()
        await chat.wait_for_states(*["done"] * 4)
        assert chat.texts == ["answer 3"]
        await chat.ask("and then?")
        contents = [message["content"] for message in model.requests[-1].body["messages"]]
    assert contents[1:] == ["hello", "answer 3", "and then?"]
