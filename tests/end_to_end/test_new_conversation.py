"""/new: while an answer is written, which stays in the earlier conversation; and with a file or a photo."""

import pytest

from bots.sandbox.model import VISION_MODEL
from tests.end_to_end.chat_with_buttons import ChatWithButtons, conversation
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat
from tests.images import make_image

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


async def test_new_as_the_caption_of_a_file_begins_with_the_file(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    await chat.ask("repeat: Hello.", "Hello.")
    await chat.server.send_document(chat.person, chat.chat, "menu.txt", b"Friday: smoked eel", caption="/new")
    await chat.wait_for("Read menu.txt.*Ask me about it.")
    await chat.ask("repeat: Eel on Friday.", "Eel on Friday.*")
    assert conversation(harness) == ["repeat: Eel on Friday."]
    assert "smoked eel" in str(harness.model.requests[-1].body["messages"][0])


async def test_new_as_the_caption_of_a_photo_begins_with_the_photo(harness: Harness) -> None:
    harness.model.add_model(VISION_MODEL)
    await harness.stop()
    await harness.start(default_model=VISION_MODEL.id)
    chat = ChatWithButtons(harness, "telegram")
    await chat.ask("repeat: Hello.", "Hello.")
    await chat.server.send_photo(chat.person, chat.chat, make_image(640, 480, "JPEG"), caption="/new")
    await chat.wait_for("I see 1 picture: image/jpeg 640x480.*")
    assert len(conversation(harness)) == 1
