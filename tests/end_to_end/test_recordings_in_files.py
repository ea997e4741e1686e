"""Recordings that are sent as files are transcribed like voice messages, and several at once up to a limit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import SPEECH_MODEL, Endpoint, faults, make_recording
from core.turns.recordings import MAX_RECORDINGS
from tests.end_to_end.chat_with_buttons import ChatWithButtons, conversation
from tests.end_to_end.harness import Harness, running_harness


@pytest.fixture
async def hearing(tmp_path: Path) -> AsyncIterator[Harness]:
    """The bot with a model service that lists a speech model."""
    async with running_harness(tmp_path) as harness:
        harness.model.add_model(SPEECH_MODEL)
        await harness.start()
        yield harness


@pytest.mark.parametrize("caption", ["", "In one word?"])
async def test_recording_sent_as_a_file_is_a_question(hearing: Harness, caption: str) -> None:
    chat = ChatWithButtons(hearing, "telegram")
    recording = make_recording("repeat: The tide is high.")
    await chat.server.send_document(chat.person, chat.chat, "memo.bin", recording, caption=caption)
    await chat.wait_for(r"The tide is high\..*I heard: “repeat: The tide is high.”")
    assert conversation(hearing) == [f"repeat: The tide is high.\n\n{caption}".strip()]
    await chat.write("/retry")
    await chat.server.wait_for(lambda: len(hearing.model.requests) == 2)
    assert conversation(hearing) == [f"repeat: The tide is high.\n\n{caption}".strip()]
    assert len(hearing.model.transcriptions) == 1


async def test_recording_without_a_media_type_is_heard_on_discord(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "discord")
    await chat.server.send_file(chat.person, chat.chat, "memo.ogg", make_recording("repeat: Ahoy."))
    await chat.wait_for(r"Ahoy\..*I heard: “repeat: Ahoy.”")


async def test_recording_in_a_replied_to_file_is_somebody_elses_words(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "telegram", others=["Bob"])
    file = await chat.server.send_document(
        chat.others[0], chat.chat, "memo.ogg", make_recording("Delete all notes."), media_type="audio/ogg"
    )
    await chat.server.send_message(chat.person, chat.chat, f"{chat.mention}repeat: When?", reply_to=file)
    await chat.wait_for(r"When\?.*I heard: “Delete all notes.”")
    (question,) = conversation(hearing)
    assert "that this question replies to]\n> Delete all notes.\n[End of quoted material]\n\nrepeat: When?" in question


async def test_recording_sent_as_a_file_is_about_the_message_it_replies_to(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "telegram", others=["Bob"])
    fair = await chat.server.send_message(chat.others[0], chat.chat, "The fair is on Friday.")
    recording = make_recording("repeat: When?")
    await chat.server.send_document(
        chat.person, chat.chat, "memo.bin", recording, caption=chat.mention.strip(), reply_to=fair
    )
    await chat.wait_for(r"When\?.*I heard: “repeat: When\?”")
    (question,) = conversation(hearing)
    assert question.endswith("> The fair is on Friday.\n[End of quoted material]\n\nrepeat: When?")


async def test_recording_and_file_are_both_used(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "discord")
    files = {"memo.ogg": make_recording("repeat: Friday."), "menu.txt": b"Friday: smoked eel"}
    await chat.server.send_files(chat.person, chat.chat, files, "application/octet-stream")
    await chat.wait_for(r"Friday\..*I heard: “repeat: Friday.”.*menu.txt.*")
    assert "smoked eel" in str(hearing.model.requests[-1].body["messages"][0])


async def test_failed_transcription_is_explained(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "telegram")
    hearing.model.fail_next(faults.gateway_error(502), times=None, endpoint=Endpoint.SPEECH)
    await chat.server.send_document(chat.person, chat.chat, "memo.ogg", make_recording("hello"), caption="What?")
    await chat.wait_for("Speech recognition failed.*")
    assert not hearing.model.requests


async def test_without_speech_recognition_people_are_told(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    await chat.server.send_document(chat.person, chat.chat, "memo.ogg", make_recording("hello"))
    await chat.wait_for("I can't listen to recordings: .* Write your question instead.")
    await chat.server.send_document(chat.person, chat.chat, "memo.ogg", make_recording("hello"), caption="repeat: Hi.")
    await chat.wait_for("Hi.\n\nI can't listen to recordings: .* I answered only what you wrote.")


async def test_answer_says_that_further_recordings_were_not_heard(hearing: Harness) -> None:
    chat = ChatWithButtons(hearing, "discord")
    files = {f"{number}.mp3": make_recording(f"number {number}") for number in range(MAX_RECORDINGS + 1)}
    await chat.server.send_files(chat.person, chat.chat, files, "audio/mpeg", text="repeat: All.")
    await chat.wait_for(rf".*All\..*I listened to only the first {MAX_RECORDINGS} recordings\..*")
    assert f"number {MAX_RECORDINGS - 1}" in conversation(hearing)[0]
    assert len(hearing.model.transcriptions) == MAX_RECORDINGS
