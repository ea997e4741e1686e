"""/new while an answer is written, on both platforms: the answer is shown and stays in the earlier conversation."""

import pytest

from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

NO_OPEN_TURN = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)"


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_answer_does_not_leak_into_new_conversation(harness: Harness, platform: str) -> None:
    chat, model = PrivateChat(harness, platform), harness.model
    model.tokens_per_second = 5
    await chat.say("repeat: the secret of the earlier conversation")
    await model.wait_for(lambda: len(model.requests) == 1)
    await chat.ask("/new", "New conversation")
    model.tokens_per_second = 2000
    await chat.wait_for("the secret of the earlier conversation")
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.ask("repeat: a new topic", "a new topic")
    messages = model.requests[-1].body["messages"]
    assert [message["content"] for message in messages if message["role"] != "system"] == ["repeat: a new topic"]
