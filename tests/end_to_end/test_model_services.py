"""Model services that are stricter than most, on both platforms: people see no failure that the bot can avoid."""

import pytest

from bots.sandbox.model import faults
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

FILTERED = {
    "error": {
        "code": "data_inspection_failed",
        "message": "<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.",
    }
}


@pytest.fixture(params=["telegram", "discord"])
def chat(harness: Harness, request: pytest.FixtureRequest) -> PrivateChat:
    return PrivateChat(harness, request.param)


def sent_texts(harness: Harness) -> list[str]:
    """The messages of the last request, without the instructions."""
    messages = harness.model.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] != "system"]


async def test_conversation_goes_on_after_unanswered_questions(harness: Harness, chat: PrivateChat) -> None:
    model = harness.model
    model.strictness.requires_alternation = True
    await chat.ask("repeat: one", "one")
    model.fail_next(faults.respond_with(400, FILTERED))
    await chat.ask("repeat: something filtered", "")
    await chat.ask("empty", "")
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
