"""/compare with pictures, files and recordings, and in reply to a message: both models get what the question is about."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import SPEECH_MODEL, VISION_MODEL, make_recording
from core.api.catalogue import Model
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, ChatWithButtons, conversation
from tests.end_to_end.harness import Harness, running_harness
from tests.images import make_image

OTHER_VISION_MODEL = Model("lab/Other-VL-30B", 32_000, has_vision=True)
BLIND = "phi-4"
VISION, OTHER_VISION = (model.id.rpartition("/")[2] for model in (VISION_MODEL, OTHER_VISION_MODEL))
PHOTO = make_image(640, 480, "JPEG")
SEEN = "I see 1 picture: image/jpeg 640x480."
MENU = b"Dinner: on Friday the canteen serves smoked eel with horseradish."


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[ChatWithButtons]:
    async with running_harness(tmp_path) as harness:
        for model in VISION_MODEL, OTHER_VISION_MODEL, SPEECH_MODEL:
            harness.model.add_model(model)
        await harness.start()
        yield ChatWithButtons(harness, "telegram")


async def wait_for_answers(chat: ChatWithButtons, count: int) -> None:
    await chat.server.wait_for(lambda: len(chat.answers) == count, 30)
    await chat.harness.wait_until_stored(NO_OPEN_TURN)


def models_asked(harness: Harness) -> set[str]:
    return {request.body["model"].rpartition("/")[2] for request in harness.model.requests}


def question(request: Any) -> Any:
    return request.body["messages"][-1]["content"]


def download_count(chat: ChatWithButtons) -> int:
    return sum(call.method.lower() == "getfile" for call in chat.server.calls)


async def test_both_models_see_the_photo(chat: ChatWithButtons) -> None:
    await chat.server.send_photo(
        chat.person, chat.chat, PHOTO, caption=f"/compare {VISION} {OTHER_VISION} repeat: A garden."
    )
    await wait_for_answers(chat, 2)
    assert models_asked(chat.harness) == {VISION, OTHER_VISION}
    assert all(SEEN in answer and "A garden." in answer for answer in chat.answers)
    assert download_count(chat) == 1


async def test_both_models_see_all_pictures_of_an_album(chat: ChatWithButtons) -> None:
    caption = f"/compare {VISION} {OTHER_VISION} repeat: A garden."
    await chat.server.send_album(chat.person, chat.chat, [PHOTO, PHOTO, PHOTO], caption=caption)
    await wait_for_answers(chat, 2)
    assert models_asked(chat.harness) == {VISION, OTHER_VISION}
    assert all("I see 3 pictures" in answer and "A garden." in answer for answer in chat.answers)
    assert len(chat.harness.model.requests) == 2


async def test_photo_alone_is_the_question(chat: ChatWithButtons) -> None:
    await chat.ask("repeat: Something else.", "Something else.")
    await chat.server.send_photo(chat.person, chat.chat, PHOTO, caption=f"/compare {VISION} {OTHER_VISION}")
    await wait_for_answers(chat, 3)
    assert all(SEEN in answer for answer in chat.answers[1:])


async def test_model_without_vision_offers_one_that_has_it(chat: ChatWithButtons) -> None:
    await chat.server.send_photo(chat.person, chat.chat, PHOTO, caption=f"/compare {BLIND} {VISION} repeat: A garden.")
    await wait_for_answers(chat, 2)
    assert models_asked(chat.harness) == {VISION}
    assert sum(SEEN in answer for answer in chat.answers) == 1
    assert sum(f"{BLIND} can't see pictures" in answer for answer in chat.answers) == 1
    await chat.ask("repeat: Next.", "Next.")
    assert conversation(chat.harness)[0].startswith("repeat: A garden.")
    assert [text for text in conversation(chat.harness) if "A garden." in text and SEEN not in text] == [
        "repeat: A garden.\n\n[photo]"
    ], "the question is in the history once"


async def test_both_models_read_the_file(chat: ChatWithButtons) -> None:
    caption = f"/compare {BLIND} {VISION} repeat: Friday?"
    await chat.server.send_document(chat.person, chat.chat, "menu.txt", MENU, caption=caption)
    await wait_for_answers(chat, 2)
    assert models_asked(chat.harness) == {BLIND, VISION}
    for request in chat.harness.model.requests:
        assert "smoked eel" in str(request.body["messages"][0])
    assert all("Searched menu.txt" in answer for answer in chat.answers)
    assert download_count(chat) == 1


async def test_recording_is_transcribed_once(chat: ChatWithButtons) -> None:
    await chat.server.send_voice(
        chat.person, chat.chat, make_recording("repeat: The tide is high."), caption=f"/compare {BLIND} {VISION}"
    )
    await wait_for_answers(chat, 2)
    assert all("The tide is high.\n\nI heard:" in answer for answer in chat.answers)
    assert len(chat.harness.model.transcriptions) == 1


async def test_unreadable_file_is_refused_once(chat: ChatWithButtons) -> None:
    await chat.server.send_document(
        chat.person, chat.chat, "a.zip", b"PK\x03\x04" + bytes(range(256)), caption=f"/compare {BLIND} {VISION}"
    )
    await wait_for_answers(chat, 1)
    assert "a.zip is not a type I can read" in chat.answers[0]
    assert not chat.harness.model.requests


async def test_reply_asks_about_the_message(chat: ChatWithButtons) -> None:
    await chat.ask("repeat: Something else.", "Something else.")
    note = await chat.server.send_message(chat.person, chat.chat, "repeat: The deadline is Friday.")
    await chat.wait_for("The deadline is Friday.")
    chat.harness.model.requests.clear()
    await chat.server.send_message(chat.person, chat.chat, f"/compare {BLIND} {VISION}", reply_to=note)
    await wait_for_answers(chat, 4)
    assert models_asked(chat.harness) == {BLIND, VISION}
    for request in chat.harness.model.requests:
        assert "that this question replies to]\n> repeat: The deadline is Friday." in question(request)


async def test_reply_to_a_photo_asks_about_it(chat: ChatWithButtons) -> None:
    photo = await chat.server.send_photo(chat.person, chat.chat, PHOTO)
    await chat.wait_for(".*can't see pictures.*")
    await chat.ask("repeat: Something else.", "Something else.")
    await chat.server.send_message(chat.person, chat.chat, f"/compare {VISION} {OTHER_VISION}", reply_to=photo)
    await wait_for_answers(chat, 4)
    assert all(SEEN in answer for answer in chat.answers[2:])


async def test_reply_to_an_older_answer_compares_its_question(chat: ChatWithButtons) -> None:
    await chat.ask("repeat: The first.", "The first.")
    first_answer = next(m for m in chat.server.messages(chat.chat) if m.from_bot)
    await chat.ask("repeat: The second.", "The second.")
    chat.harness.model.requests.clear()
    await chat.server.send_message(chat.person, chat.chat, f"/compare {BLIND} {VISION}", reply_to=first_answer)
    await wait_for_answers(chat, 4)
    assert [question(request) for request in chat.harness.model.requests] == ["repeat: The first."] * 2
