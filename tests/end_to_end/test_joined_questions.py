"""Questions that wait: short ones are joined, and neither lost nor answered twice when the process dies."""

from collections import Counter
from typing import Any

import pytest

from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.spec_checks import spec_violations

FIRST, SECOND, THIRD = "tell me a long story", "who wrote it", "and when"


def contents(request: Any) -> str:
    return str(request.body["messages"][-1]["content"])


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_kill_loses_and_repeats_no_joined_question(harness: Harness, platform: str) -> None:
    model, server = harness.model, getattr(harness, platform)
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann) if platform == "telegram" else server.open_dm(ann)
    model.tokens_per_second = 5
    model.answer = lambda body: f"About: {body['messages'][-1]['content']}. " + "word " * 40
    await server.send_message(ann, chat, FIRST)
    await model.wait_for(lambda: len(model.requests) == 1)
    for text in (SECOND, THIRD):
        await server.send_message(ann, chat, text)
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'merged'")
    await harness.kill()
    model.tokens_per_second = 5000
    await harness.start()
    await server.wait_for(lambda: sum("About:" in text for text in bot_texts(server.messages(chat))) >= 2, 30)
    await harness.wait_until_stored("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)")
    joined = f"{SECOND}\n{THIRD}"
    assert Counter(map(contents, model.requests)) == {FIRST: 2, joined: 1}
    answers = [text for text in bot_texts(server.messages(chat)) if "word" in text and "stop" not in text.lower()]
    assert sum(SECOND in text for text in answers) == 1


def reaction_calls(server: Any) -> int:
    calls = [getattr(call, "path", call.method) for call in server.calls]
    return sum("reaction" in call.lower() for call in calls)


@pytest.mark.parametrize(("platform", "mark"), [("telegram", "👀"), ("discord", "⏳")])
async def test_waiting_question_is_marked_until_its_answer_starts(harness: Harness, platform: str, mark: str) -> None:
    model, server = harness.model, getattr(harness, platform)
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann) if platform == "telegram" else server.open_dm(ann)
    model.tokens_per_second = 20
    model.answer = lambda body: "word " * (60 if FIRST in body["messages"][-1]["content"] else 1)
    await server.send_message(ann, chat, FIRST)
    await model.wait_for(lambda: len(model.requests) == 1)
    second = await server.send_message(ann, chat, SECOND)
    third = await server.send_message(ann, chat, THIRD)
    await server.wait_for(lambda: second.reactions == [mark])
    await model.wait_for(lambda: len(model.requests) == 2, 30)
    await server.wait_for(lambda: second.reactions == [])
    await harness.wait_until_stored("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)")
    assert reaction_calls(server) == 2
    assert third.reactions == []
    assert not spec_violations(harness)


async def test_commands_of_everybody_in_a_shared_chat_are_marked_while_they_wait(harness: Harness) -> None:
    model, telegram = harness.model, harness.telegram
    await harness.stop()
    await harness.start(telegram_preview="off")  # previews would delay the marks
    ann, bob = telegram.create_user("Ann"), telegram.create_user("Bob")
    group = telegram.create_supergroup("Friends", ann, bob)
    await telegram.send_message(ann, group, "/settings share on")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)))
    model.tokens_per_second = 20
    model.answer = lambda body: "word " * (60 if FIRST in str(body["messages"][-1]["content"]) else 1)
    await telegram.send_message(ann, group, f"/ask {FIRST}")
    await model.wait_for(lambda: len(model.requests) == 1)
    waiting = [await telegram.send_message(person, group, f"/ask {SECOND}") for person in (ann, bob)]
    await telegram.wait_for(lambda: [question.reactions for question in waiting] == [["👀"], ["👀"]])
    await model.wait_for(lambda: len(model.requests) == 3, 30)
    await telegram.wait_for(lambda: [question.reactions for question in waiting] == [[], []])


async def test_stop_removes_the_mark_on_telegram_and_answers_later_questions(harness: Harness) -> None:
    model, telegram = harness.model, harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    model.tokens_per_second = 20
    model.answer = lambda body: "word " * (400 if FIRST in body["messages"][-1]["content"] else 1)
    await telegram.send_message(ann, chat, FIRST)
    await model.wait_for(lambda: len(model.requests) == 1)
    second = await telegram.send_message(ann, chat, SECOND)
    await telegram.wait_for(lambda: second.reactions == ["👀"])
    await telegram.send_message(ann, chat, "/stop")
    await telegram.send_message(ann, chat, THIRD)
    await model.wait_for(lambda: len(model.requests) == 2, 30)
    assert contents(model.requests[-1]) == THIRD
    await telegram.wait_for(lambda: second.reactions == [])
