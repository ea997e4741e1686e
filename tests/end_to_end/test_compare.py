"""/compare: two models answer side by side, and one tap makes either the chat's model."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bots.sandbox.model.faults import http_error
from core.buttons import ButtonAction, encode_action
from core.texts import answers as texts
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons, conversation
from tests.end_to_end.harness import Harness

FIRST, SECOND = "phi-4", "Mistral-Large-Instruct-2411"


def answer_by_model(harness: Harness) -> None:
    """Each model answers with its name."""
    harness.model.answer = lambda body: f"I am {body['model'].rpartition('/')[2]}"


async def compare(chat: ChatWithButtons, question: str = "") -> None:
    """Ask both models, and wait for both answers."""
    count = len(chat.answers)
    if chat.is_telegram:
        await chat.write(f"/compare {FIRST} {SECOND} {question}")
    else:
        options = {"first": FIRST, "second": SECOND} | ({"question": question} if question else {})
        await chat.server.use_command(chat.person, chat.chat, "compare", **options)
    await chat.server.wait_for(lambda: len(chat.answers) == count + 2, 30)
    await chat.harness.wait_until_stored(NO_OPEN_TURN)


def message_of(chat: ChatWithButtons, model: str) -> object:
    messages = chat.server.messages(chat.chat)
    return next(m for m in reversed(messages) if m.from_bot and f"Use {model}" in chat.buttons(m))


@PLATFORMS
async def test_two_models_answer_side_by_side(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await compare(chat, "Who are you?")
    assert [conversation_of(request) for request in harness.model.requests] == [["Who are you?"], ["Who are you?"]]
    for model in FIRST, SECOND:
        assert any(re.fullmatch(rf"\W*{model}\W+I am {model}", answer) for answer in chat.answers)
        assert list(chat.buttons(message_of(chat, model))) == [f"Use {model}"]


def conversation_of(request: object) -> list[str]:
    return [m["content"] for m in request.body["messages"] if m["role"] != "system"]  # type: ignore[attr-defined]


@PLATFORMS
async def test_two_models_answer_after_the_answer_that_is_being_written(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    harness.model.tokens_per_second = 5
    chat = ChatWithButtons(harness, platform)
    await chat.write("Who was that?")
    await harness.model.wait_for(lambda: harness.model.requests)
    harness.model.tokens_per_second = 2000
    if chat.is_telegram:
        await chat.write(f"/compare {FIRST} {SECOND} Who are you?")
    else:
        options = {"first": FIRST, "second": SECOND, "question": "Who are you?"}
        await chat.server.use_command(chat.person, chat.chat, "compare", **options)
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns) > 1")
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert len(harness.model.requests) == 3
    for model in FIRST, SECOND:
        assert any(re.fullmatch(rf"\W*{model}\W+I am {model}", answer) for answer in chat.answers)


@PLATFORMS
async def test_chosen_model_answers_from_then_on(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await compare(chat, "Who are you?")
    for model in FIRST, SECOND:
        message = message_of(chat, model)
        await chat.server.press_button(chat.person, message, chat.buttons(message)[f"Use {model}"])
        await chat.wait_for(f"Model: .*{model}.*")
        await chat.ask("and then?", f"I am {model}")
        assert conversation(harness)[:2] == ["Who are you?", f"I am {model}"]


@PLATFORMS
async def test_one_of_the_answers_is_in_the_history_without_a_choice(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await compare(chat, "Who are you?")
    await chat.ask("and then?", "I am .*")
    question, answer, *others = conversation(harness)
    assert (question, others) == ("Who are you?", ["and then?"])
    assert answer in (f"I am {FIRST}", f"I am {SECOND}")


@PLATFORMS
async def test_last_question_is_compared(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("Who are you?", "I am .*")
    await compare(chat)
    assert [conversation_of(request) for request in harness.model.requests] == [["Who are you?"]] * 3
    await chat.ask("and then?", "I am .*")
    assert conversation(harness) == ["Who are you?", "I am Llama-3.3-70B-Instruct", "and then?"]
    message = message_of(chat, SECOND)
    await chat.server.press_button(chat.person, message, chat.buttons(message)[f"Use {SECOND}"])
    await chat.wait_for(f"Model: .*{SECOND}.*")
    await chat.ask("what else?", f"I am {SECOND}")
    assert conversation(harness)[:3] == ["Who are you?", f"I am {SECOND}", "and then?"]


@PLATFORMS
async def test_failed_answer_is_asked_again_of_the_same_model(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    harness.model.fail_next(http_error(400, "Invalid request"))
    await compare(chat, "Who are you?")
    assert len(harness.model.requests) == 2, "no other model answers instead"
    failed = next(m for m in chat.server.messages(chat.chat) if m.from_bot and "Retry" in chat.buttons(m))
    model = str(harness.model.requests[0].body["model"]).rpartition("/")[2]
    await chat.server.press_button(chat.person, failed, chat.buttons(failed)["Retry"])
    await chat.server.wait_for(lambda: sum(f"I am {model}" in answer for answer in chat.answers) == 1, 30)
    await chat.harness.wait_until_stored(NO_OPEN_TURN)
    assert len(chat.answers) == 2


@PLATFORMS
async def test_unclear_comparison_says_why(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    for first, second, reply in (
        ("deepseek", SECOND, "Several models match .*deepseek.*DeepSeek-R1.*"),
        (FIRST, FIRST, "Both names mean .*"),
        ("nonsense", SECOND, "No model matches .*"),
        (FIRST, SECOND, "There is no question to retry yet."),
    ):
        if chat.is_telegram:
            await chat.write(f"/compare {first} {second}")
        else:
            await chat.server.use_command(chat.person, chat.chat, "compare", first=first, second=second)
        await chat.wait_for(reply)
    assert len(chat.answers) == 4
    assert not harness.model.requests


@PLATFORMS
async def test_both_answers_count_towards_limits(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(person_messages=2)
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await compare(chat, "Who are you?")
    await chat.ask("and then?", "You.ve reached today.s limit of 2 questions.*")
    assert len(harness.model.requests) == 2


@PLATFORMS
async def test_redelivered_command_is_answered_once(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    await compare(chat, "Who are you?")
    if not chat.is_telegram:
        return  # Discord delivers an interaction once
    chat.server.redeliver_last_update(chat.chat)
    await chat.ask("and then?", "I am .*")
    assert len(harness.model.requests) == 3


@PLATFORMS
async def test_model_of_others_is_not_changed(harness: Harness, platform: str) -> None:
    answer_by_model(harness)
    chat, stranger = ChatWithButtons(harness, platform), ChatWithButtons(harness, platform, "Eve")
    await compare(chat, "Who are you?")
    await stranger.ask("hello", "I am Llama-3.3-70B-Instruct")
    for turn, reply in ((1, "This answer belongs to somebody else."), (1000, "This answer is too old.*")):
        await stranger.forge(encode_action(ButtonAction.USE_MODEL, turn))
        await stranger.wait_for(reply)
    for person in chat, stranger:
        await person.ask("and then?", "I am Llama-3.3-70B-Instruct")


async def test_model_whose_allowance_the_other_has_used_up_says_so(harness: Harness) -> None:
    await harness.stop()
    await harness.start(person_messages=1, turns_at_once=1)
    answer_by_model(harness)
    chat = ChatWithButtons(harness, "telegram")
    await compare(chat, "Who are you?")
    assert len(harness.model.requests) == 1
    assert sum("reached today" in answer for answer in chat.answers) == 1


@pytest.mark.parametrize("limits", [{"queue_length": 1}, {"open_turns": 1}, {"messages_a_minute": 1}], ids=str)
async def test_comparison_needs_room_for_both_or_gets_one_refusal(harness: Harness, limits: dict[str, int]) -> None:
    """With the smallest limits both are accepted; a queue with room for one takes none."""
    await harness.stop()
    await harness.start(**limits)
    answer_by_model(harness)
    chat = ChatWithButtons(harness, "telegram")
    await compare(chat, "Who are you?")
    assert len(harness.model.requests) == 2


@PLATFORMS
async def test_comparison_that_is_too_old_gets_one_notice_and_is_asked_once_more(
    harness: Harness, platform: str, tmp_path: Path
) -> None:
    harness.model.tokens_per_second = 0.01
    answer_by_model(harness)
    chat = ChatWithButtons(harness, platform)
    if chat.is_telegram:
        await chat.write(f"/compare {FIRST} {SECOND} Who are you?")
    else:
        options = {"first": FIRST, "second": SECOND, "question": "Who are you?"}
        await chat.server.use_command(chat.person, chat.chat, "compare", **options)
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    await harness.kill()
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        database.execute("UPDATE turns SET created_at = created_at - 86405")
        database.commit()
    harness.model.tokens_per_second = 2000
    await harness.start()
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert sum(texts.QUESTION_OUTDATED in answer for answer in chat.answers) == 1
    await chat.ask("/retry", "I am .*")
    harness.model.answer = lambda _body: "and then"
    await chat.ask("and then?", "and then")
    assert conversation(harness)[::2] == ["Who are you?", "and then?"]
