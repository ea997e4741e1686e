"""Several answers to one question: which is shown and in the history, and what the buttons under it offer."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, update

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action, short_digest
from core.store.answer_parts import take_over_parts
from core.store.schema import answer_parts, messages
from core.store.turns import find_turn_of_message
from core.texts import answers as texts
from core.texts.models import MODEL_RETIRED
from core.turns.variants import MAX_CHOICES
from tests.core.turns.fake_adapter import FakeAdapter, UploadingAdapter, running_engine

GEMMA = "google/gemma-2-9b-it"


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


def move_messages(connection: Connection, from_turn: int, to_turn: int) -> None:
    connection.execute(delete(answer_parts).where(answer_parts.c.turn_id == to_turn))
    connection.execute(update(answer_parts).where(answer_parts.c.turn_id == from_turn).values(turn_id=to_turn))


@pytest.mark.slow
async def test_press_sends_no_second_message_while_another_changes_the_first(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with running_engine(tmp_path, model) as chat:
        message = await ask_twice(chat, model)
        await chat.ask("something else", user="9")
        await chat.wait_for_states(*["done"] * 3)
        texts_before = chat.texts
        # As another press does, whose turn shows no answer to the question yet.
        chat.store.after_next_read(find_turn_of_message, lambda: chat.store.write(move_messages, 2, 3))
        await chat.press(encode_action(ButtonAction.SHOW_VARIANT, 1), message)
        await chat.wait_for_states(*["done"] * 4)
        assert chat.texts == texts_before


def delete_messages(connection: Connection) -> None:
    connection.execute(delete(messages))


def history_of(model: ModelStandIn) -> list[str]:
    """The texts of the last request, without the instructions."""
    return [message["content"] for message in model.requests[-1].body["messages"] if message["role"] != "system"]


async def ask_twice(chat: FakeAdapter, model: ModelStandIn) -> str:
    """Ask a question and press Retry; return the message that shows the second answer."""
    numbers = itertools.count(1)
    model.answer = lambda _body: f"answer {next(numbers)}"
    await chat.ask("hello")
    (message,) = chat.messages
    await chat.press(encode_action(ButtonAction.RETRY, 1), message)
    await chat.wait_for_text("answer 2")
    await chat.wait_for_states("done", "done")
    return message


@pytest.mark.slow
async def test_pager_names_the_model_and_turns_to_the_other_answer(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = UploadingAdapter()
    async with running_engine(tmp_path, model, adapter) as chat:
        message = await ask_twice(chat, model)
        name = chat.models.display_name(chat.services.settings.default_model)
        more = [texts.RETRY_BUTTON, texts.OTHER_MODEL_BUTTON]
        assert adapter.buttons[message] == [f"2/2 · {name}", "▶", *more]
        await chat.press(encode_action(ButtonAction.SHOW_VARIANT, 1), message)
        await chat.wait_for_text("answer 1")
        await chat.wait_for_states(*["done"] * 3)
        assert adapter.buttons[message][0] == f"1/2 · {name}"
        assert chat.texts == ["answer 1"]
        await chat.ask("and then?")
        assert history_of(model) == ["hello", "answer 1", "and then?"]


@pytest.mark.slow
async def test_other_models_are_offered_and_one_answers(tmp_path: Path, model: ModelStandIn) -> None:
    adapter = UploadingAdapter()
    async with running_engine(tmp_path, model, adapter, fallbacks=(GEMMA,)) as chat:
        message = await ask_twice(chat, model)
        shown = adapter.buttons[message]
        await chat.press(encode_action(ButtonAction.CHOOSE_RETRY_MODEL, 2), message)
        await chat.wait_for_text(texts.CHOOSE_RETRY_MODEL)
        await chat.wait_for_states(*["done"] * 3)
        *names, back = adapter.buttons[message]
        default = chat.models.display_name(chat.services.settings.default_model)
        assert back == texts.BACK_BUTTON
        assert names[0] == chat.models.display_name(GEMMA)
        assert default not in names, "it has answered"
        assert len(names) <= MAX_CHOICES
        await chat.press(adapter.button_actions[message][-1], message)
        await chat.wait_until(lambda: adapter.buttons[message] == shown)
        await chat.press(encode_action(ButtonAction.RETRY_WITH, f"2:{short_digest(GEMMA)}"), message)
        await chat.wait_for_text("answer 3")
        await chat.wait_for_states(*["done"] * 5)
        assert model.requests[-1].body["model"] == GEMMA
        assert adapter.buttons[message][1] == f"3/3 · {names[0]}"
        await chat.press(encode_action(ButtonAction.CHOOSE_RETRY_MODEL, 5), message)
        await chat.wait_for_text(texts.CHOOSE_RETRY_MODEL)
        assert adapter.buttons[message][0] == default, "the chat's model"


@pytest.mark.slow
async def test_only_model_has_no_substitute(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        message = await ask_twice(chat, model)
        default = chat.models.get(chat.services.settings.default_model)
        assert default is not None
        chat.models.set_models([default])
        await chat.press(encode_action(ButtonAction.CHOOSE_RETRY_MODEL, 2), message)
        await chat.wait_for_text(texts.NO_OTHER_MODEL)


@pytest.mark.slow
@pytest.mark.parametrize("is_offered", [True, False])
async def test_model_of_a_compared_answer_is_chosen_while_it_is_offered(
    tmp_path: Path, model: ModelStandIn, is_offered: bool
) -> None:
    model.answer = lambda body: str(body["model"])
    async with running_engine(tmp_path, model) as chat:
        await chat.say("/compare phi-4 gemma-2-9b-it hello")
        await chat.wait_for_states("done", "done")
        if not is_offered:
            default = chat.models.get(chat.services.settings.default_model)
            assert default is not None
            chat.models.set_models([default])
        await chat.press(encode_action(ButtonAction.USE_MODEL, 2), list(chat.messages)[-1])
        await chat.wait_for_states("done", "done", "done")
        assert (MODEL_RETIRED in chat.texts) is not is_offered
        await chat.ask("and now?")
        assert (model.requests[-1].body["model"] == GEMMA) is is_offered
        if is_offered:  # else the first answer stays in the history, whichever model was quicker
            assert history_of(model) == ["hello", GEMMA, "and now?"]


@pytest.mark.slow
@pytest.mark.parametrize("action", [ButtonAction.SHOW_VARIANT, ButtonAction.CHOOSE_RETRY_MODEL, ButtonAction.USE_MODEL])
async def test_answer_that_was_deleted_is_not_shown(tmp_path: Path, model: ModelStandIn, action: ButtonAction) -> None:
    async with running_engine(tmp_path, model) as chat:
        message = await ask_twice(chat, model)
        await chat.store.write(delete_messages)
        await chat.press(encode_action(action, 1), message)
        await chat.wait_for_text(texts.ANSWER_NOT_STORED)
