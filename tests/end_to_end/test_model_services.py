"""Model services that are stricter than most, on both platforms: people see no failure that the bot can avoid."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import faults
from tests.clock import fast_timings
from tests.end_to_end.harness import Harness, running_harness
from tests.end_to_end.private_chat import PrivateChat

FILTERED = {
    "error": {
        "code": "data_inspection_failed",
        "message": "<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.",
    }
}


TURNS = 50
SMALL_WINDOW = 4000
SPEED = 10
"""Of the clocks: messages are limited to one a second."""
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


@pytest.fixture(params=["telegram", "discord"])
def chat(harness: Harness, request: pytest.FixtureRequest) -> PrivateChat:
    return PrivateChat(harness, request.param)


def sent_texts(harness: Harness) -> list[str]:
    """The messages of the last request, without the instructions."""
    messages = harness.model.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] != "system"]


def rejected_questions(harness: Harness) -> list[dict[str, Any]]:
    """Without requests for summaries and the check of the key at the start."""
    bodies = [request.body for request in harness.model.rejected_requests if request.body.get("model") == LLAMA]
    return [body for body in bodies if "You keep the memory" not in str(body)]


async def test_conversation_goes_on_after_unanswered_questions(harness: Harness, chat: PrivateChat) -> None:
    model = harness.model
    model.strictness.requires_alternation = True
    await chat.ask("repeat: one", "one")
    model.fail_next(faults.respond_with(400, FILTERED))
    await chat.ask("repeat: something filtered", "")
    await chat.ask("empty", "")
    model.fail_next(faults.stall())
    asked = len(model.requests)
    await chat.say("repeat: something stopped")
    await model.wait_for(lambda: len(model.requests) > asked)
    await chat.ask("/stop", "Stopped")
    await chat.ask("repeat: two", "two")
    assert sent_texts(harness) == ["repeat: one", "one", "repeat: two"]
    await harness.wait_until_stored("SELECT 1 FROM messages WHERE text = 'repeat: something filtered'")


async def test_refused_long_question_leaves_the_context(harness: Harness, chat: PrivateChat) -> None:
    await chat.ask("/model AceMath", "AceMath-7B-Instruct")
    await chat.ask("repeat: my dog is called Rex", "my dog is called Rex")
    await chat.ask("1234567890" * 199, "AceMath-7B-Instruct has room for")
    await chat.ask("repeat: and now", "and now")
    assert sent_texts(harness)[:2] == ["repeat: my dog is called Rex", "my dog is called Rex"]
    assert len(sent_texts(harness)) == 3


async def test_ignored_setting_is_reported_once(harness: Harness, chat: PrivateChat) -> None:
    harness.model.strictness.rejected_fields = {"temperature", "max_completion_tokens"}
    await chat.ask("/settings temperature 0.3", "0.3")
    await chat.ask("/settings length 500", "500")
    reply = await chat.ask("repeat: one", "one")
    await chat.ask("repeat: two", "two")
    notes = [text for text in (reply, *chat.texts) if "does not accept temperature 0.3" in text.replace("\\", "")]
    assert notes
    assert len(set(notes)) == 1
    assert not any("length 500" in text for text in chat.texts), "it is sent under an older name"
    assert len(rejected_questions(harness)) == 2
    body = harness.model.requests[-1].body
    assert "temperature" not in body
    assert body["max_tokens"] == 500


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_strictest_service_serves_a_long_conversation(tmp_path: Path, platform: str) -> None:
    """No system role, strict alternation, an unknown field and a window much smaller than announced, all at once."""
    async with running_harness(tmp_path, tokens_per_second=100_000, timings=fast_timings(SPEED)) as harness:
        await harness.start(messages_a_minute=1000)
        await converse_with_strictest_service(harness, PrivateChat(harness, platform))


async def converse_with_strictest_service(harness: Harness, chat: PrivateChat) -> None:
    model = harness.model

    def answer(body: dict[str, Any]) -> str:
        is_summary = "You keep the memory" in str(body["messages"][0]["content"])
        return "They count words." if is_summary else f"Answer {len(numbers)}. " + "several words of an answer " * 20

    model.answer = answer
    model.strictness.rejects_system_role = model.strictness.requires_alternation = True
    model.strictness.rejected_fields = {"stream_options"}
    model.models = {id_: replace(known, context_window=SMALL_WINDOW) for id_, known in model.models.items()}
    numbers: list[int] = []
    for number in range(TURNS):
        numbers.append(number)
        await chat.ask(f"{number}: " + "some words of a question " * 20, f"Answer {number + 1}.")
    for text in chat.texts:
        assert re.match(r"Answer \d+\. several words of an answer", text), "no failure is shown"
    assert len(chat.texts) == TURNS
    assert len(rejected_questions(harness)) == 3, "the field, the role and the first overflow"
    assert {request.body["model"] for request in model.requests if "You keep" not in str(request.body)} == {LLAMA}
