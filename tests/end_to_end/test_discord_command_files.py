"""The files of Discord's commands: several with /ask, one with /new and /compare."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import VISION_MODEL
from core.api.catalogue import Model
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, ChatWithButtons, conversation
from tests.end_to_end.harness import running_harness
from tests.images import make_image

OTHER_VISION_MODEL = Model("lab/Other-VL-30B", 32_000, has_vision=True)
PHOTO = make_image(640, 480, "JPEG")


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[ChatWithButtons]:
    async with running_harness(tmp_path) as harness:
        harness.model.add_model(VISION_MODEL)
        harness.model.add_model(OTHER_VISION_MODEL)
        await harness.start(default_model=VISION_MODEL.id)
        yield ChatWithButtons(harness, "discord")


async def use(chat: ChatWithButtons, name: str, **options: str) -> None:
    await chat.server.use_command(chat.person, chat.chat, name, **options)


def upload(chat: ChatWithButtons, name: str, content: bytes) -> str:
    media_type = "image/jpeg" if name.endswith(".jpg") else "application/octet-stream"
    return str(chat.server.upload_attachment(name, content, media_type))


async def test_question_takes_three_files(chat: ChatWithButtons) -> None:
    files = {"file": ("a.jpg", PHOTO), "file2": ("b.jpg", PHOTO), "file3": ("menu.txt", b"Friday: smoked eel")}
    await use(chat, "ask", prompt="repeat: Eel.", **{key: upload(chat, *file) for key, file in files.items()})
    await chat.wait_for(r"I see 2 pictures: .*Eel\..*menu.txt.*")
    assert "smoked eel" in str(chat.harness.model.requests[-1].body["messages"][0])


async def test_new_conversation_begins_with_a_file(chat: ChatWithButtons) -> None:
    await chat.ask("repeat: Hello.", "Hello.")
    await use(chat, "new", file=upload(chat, "a.jpg", PHOTO))
    await chat.wait_for("I see 1 picture: image/jpeg 640x480.*")
    assert len(conversation(chat.harness)) == 1


async def test_two_models_are_asked_about_a_file(chat: ChatWithButtons) -> None:
    names = {
        key: model.id.rpartition("/")[2] for key, model in (("first", VISION_MODEL), ("second", OTHER_VISION_MODEL))
    }
    await use(chat, "compare", **names, question="repeat: A garden.", file=upload(chat, "a.jpg", PHOTO))
    await chat.server.wait_for(lambda: len(chat.answers) == 2, 30)
    await chat.harness.wait_until_stored(NO_OPEN_TURN)
    assert all("I see 1 picture" in answer and "A garden." in answer for answer in chat.answers)
