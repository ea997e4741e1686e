"""Retry keeps the earlier answers: a pager shows one of them, and the models see the one that is shown."""

import asyncio

import pytest

from bots.sandbox.model.faults import http_error
from bots.sandbox.stand_in import ScriptedReply
from core.buttons import ButtonAction, encode_action
from tests.end_to_end.chat_with_buttons import (
    DEFAULT,
    NO_OPEN_TURN,
    PLATFORMS,
    ChatWithButtons,
    answer_by_count,
    conversation,
)
from tests.end_to_end.harness import Harness


@PLATFORMS
async def test_retry_keeps_both_answers_with_a_pager(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    assert chat.answer_buttons() == ["Retry"]
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    assert chat.answer_buttons() == [f"2/2 · {DEFAULT}", "▶", "Retry", "Other model"]
    await chat.press("▶")
    await chat.wait_for("answer 1")
    assert f"1/2 · {DEFAULT}" in chat.buttons()
    await chat.press("Retry")
    await chat.wait_for("answer 3")
    assert set(chat.answer_buttons()[:3]) == {"◀", f"3/3 · {DEFAULT}", "▶"}
    await chat.press("◀")
    await chat.wait_for("answer 2")
    assert len(chat.answers) == 1, "all take turns in one message"


@PLATFORMS
async def test_two_presses_at_once_change_the_same_message(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    may_edit = asyncio.Event()
    edit = "editMessageText" if chat.is_telegram else "PATCH /channels/.*/messages/.*"
    chat.server.script.add(edit, ScriptedReply(None, hold_until=may_edit))
    await chat.press("▶")
    await chat.press("▶")
    await harness.wait_until_stored(
        "SELECT 1 WHERE (SELECT count(*) FROM turns) = 4 AND (SELECT count(*) FROM turns WHERE finished_at IS NULL) = 1"
    )
    may_edit.set()
    await chat.wait_for("answer 1")
    assert chat.answers == ["answer 1"]


@PLATFORMS
async def test_models_see_the_answer_that_is_shown(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    await chat.press("▶")
    await chat.wait_for("answer 1")
    await chat.ask("and then?", "answer 3")
    assert conversation(harness) == ["hello", "answer 1", "and then?"]


@PLATFORMS
async def test_another_model_answers_the_question_too(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    await chat.press("Other model")
    await chat.wait_for("answer 2\n.*Which other model should answer.*")
    *models, back = chat.buttons()
    assert len(models) >= 3
    assert back == "Back"
    await chat.press(models[1])
    await chat.wait_for("answer 3")
    assert f"3/3 · {models[1]}" in chat.buttons()
    asked = [request.body["model"].rpartition("/")[2] for request in harness.model.requests]
    assert asked[0] == asked[1] != models[1]
    assert asked[2] == models[1]
    await chat.ask("and then?", "answer 4")
    assert harness.model.requests[-1].body["model"] == harness.model.requests[0].body["model"], "for one answer only"
    assert conversation(harness) == ["hello", "answer 3", "and then?"]


@PLATFORMS
async def test_back_shows_the_answer_without_the_models(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    labels = chat.answer_buttons()
    await chat.press("Other model")
    await chat.wait_for("answer 2\n.*Which other model should answer.*")
    await chat.press("Back")
    await chat.wait_for("answer 2")
    assert chat.answer_buttons() == labels


@PLATFORMS
async def test_failed_retry_leaves_the_answer(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.press("Retry")
    await chat.wait_for("answer 1\n.*rejected this request.*")
    await chat.ask("and then?", "answer 2")
    assert conversation(harness) == ["hello", "answer 1", "and then?"]


@PLATFORMS
@pytest.mark.parametrize("rich", ["auto", "off"])
async def test_long_and_short_answers_take_turns(harness: Harness, platform: str, rich: str) -> None:
    await harness.stop()
    await harness.start(telegram_rich=rich)
    long_answer = "\n\n".join(f"Paragraph {number}. " + "Many words. " * 40 for number in range(13))
    chat = ChatWithButtons(harness, platform)
    texts = iter([long_answer, "short"])
    harness.model.answer = lambda _body: next(texts)
    await chat.write("hello")
    await chat.server.wait_for(lambda: "Paragraph 12" in "".join(chat.answers), 20)
    await harness.wait_until_stored(NO_OPEN_TURN)
    message_count = len(chat.answers)
    assert message_count > 1 or rich == "auto"
    await chat.press("Retry")
    await chat.wait_for("short")
    assert len(chat.answers) == 1
    await chat.press("▶")
    await chat.server.wait_for(lambda: "Paragraph 12" in "".join(chat.answers), 20)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert len(chat.answers) >= message_count
    assert all(f"Paragraph {number}. " in "".join(chat.answers) for number in range(13))
    await chat.press("▶")
    await chat.wait_for("short")
    assert len(chat.answers) == 1


@PLATFORMS
async def test_strangers_and_forged_presses_change_nothing(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat, stranger = ChatWithButtons(harness, platform), ChatWithButtons(harness, platform, "Eve")
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    await stranger.ask("hello", "answer 3")
    for action in ButtonAction.SHOW_VARIANT, ButtonAction.CHOOSE_RETRY_MODEL:
        await stranger.forge(encode_action(action, 1))
        await stranger.wait_for("This answer belongs to somebody else.")
        await stranger.forge(encode_action(action, 1000))
        await stranger.wait_for("This answer is too old for its buttons.*")
    await stranger.forge(encode_action(ButtonAction.RETRY_WITH, "1:0123456789ab"))
    await stranger.wait_for("This answer belongs to somebody else.")
    await chat.forge(encode_action(ButtonAction.RETRY_WITH, "1:0123456789ab"))
    await chat.wait_for("This model is no longer available.*")
    await chat.ask("and then?", "answer 4")
    assert conversation(harness) == ["hello", "answer 2", "and then?"]


@PLATFORMS
async def test_old_pager_does_not_bring_back_an_ended_conversation(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    message = chat.server.messages(chat.chat)[-1]
    await chat.ask("/new", "New conversation.*")
    await chat.server.press_button(chat.person, message, chat.buttons(message)["▶"])
    await chat.server.wait_for(lambda: chat.answers[0].startswith("answer 1"))
    await chat.ask("and then?", "answer 3")
    assert conversation(harness) == ["and then?"]


@PLATFORMS
async def test_edited_question_replaces_all_its_answers(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform)
    question = await chat.server.send_message(chat.person, chat.chat, "hello")
    await chat.wait_for("answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    await chat.press("▶")
    await chat.wait_for("answer 1")
    edit = (question, "goodbye") if chat.is_telegram else (chat.person, question, "goodbye")
    await chat.server.edit_message(*edit)
    await chat.wait_for("answer 3")
    assert len(chat.answers) == 1
    assert chat.answer_buttons() == ["Retry"]


@PLATFORMS
async def test_only_the_person_who_asked_turns_the_pages_in_a_group(harness: Harness, platform: str) -> None:
    answer_by_count(harness)
    chat = ChatWithButtons(harness, platform, others=["Bob"])
    await chat.ask("hello", "answer 1")
    await chat.press("Retry")
    await chat.wait_for("answer 2")
    message = next(m for m in chat.server.messages(chat.chat) if m.from_bot)
    labels = chat.buttons(message)
    (bob,) = chat.others
    for label in "▶", "Retry", "Other model":
        count = len(chat.answers)
        await chat.server.press_button(bob, message, labels[label])
        await chat.server.wait_for(lambda: len(chat.answers) > count, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
    assert set(chat.answers) == {"answer 2", "This answer belongs to somebody else."}
    await chat.server.press_button(chat.person, message, labels["▶"])
    await chat.server.wait_for(lambda: chat.answers[0] == "answer 1", 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.ask("and then?", "answer 3")
    assert conversation(harness) == ["hello", "answer 1", "and then?"]


@PLATFORMS
async def test_cut_answer_keeps_its_note_and_can_be_continued_after_paging(harness: Harness, platform: str) -> None:
    await harness.stop()
    await harness.start(max_answer_tokens=20)
    chat = ChatWithButtons(harness, platform)
    answers = iter(["several words " * 100, "short", "the rest"])
    harness.model.answer = lambda _body: next(answers)
    cut = r"several words .*\n.*reached its maximum length\."
    await chat.ask("hello", cut)
    await chat.press("Retry")
    await chat.wait_for("short")
    assert "Continue" not in chat.buttons()
    await chat.press("▶")
    await chat.wait_for(cut)
    labels = chat.answer_buttons()
    assert labels[0] == "Continue"
    await chat.press("Other model")
    await chat.wait_for(f"{cut}\n.*Which other model should answer.*")
    await chat.press("Back")
    await chat.wait_for(cut)
    assert chat.answer_buttons() == labels
    await chat.press("Continue")
    await chat.wait_for("the rest")


@PLATFORMS
async def test_failed_retry_leaves_the_note_and_the_continuation_of_a_cut_answer(
    harness: Harness, platform: str
) -> None:
    await harness.stop()
    await harness.start(max_answer_tokens=20)
    chat = ChatWithButtons(harness, platform)
    harness.model.answer = lambda _body: "several words " * 100
    await chat.ask("hello", ".*maximum length.*")
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.press("Retry")
    await chat.wait_for("several words .*maximum length.*rejected this request.*")
    await chat.press("Continue")
    await harness.model.wait_for(lambda: "Continue exactly" in str(harness.model.requests[-1].body["messages"][-1]))
