"""Recordings: whose words they are for the model, and what the person is told about them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import SPEECH_MODEL, ModelStandIn, make_recording
from bots.sandbox.model.accounts import Endpoint
from bots.sandbox.model.faults import http_error
from core.conversation.quotes import render_prompt
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, EventKind, Incoming, Place, Quote, QuoteKind, Sender
from core.texts import speech as texts
from core.turns.recordings import MAX_RECORDINGS
from tests.core.turns.fake_adapter import FilesAdapter, running_engine

pytestmark = pytest.mark.slow

PLACE = Place("fake", "1", "5", is_private=True)
ANN = Sender("fake", "5", "Ann")
OWN = Attachment("voice message", "a.ogg", 10, file_id="repeat: hello", is_audio=True)
QUOTED = replace(OWN, file_id="The tide is high.", is_quoted=True)
FORWARDED = replace(OWN, file_id="The moon is full.", is_forwarded=True)
FILE = replace(OWN, name="talk.mp3", is_audio=False, is_document=True)
REPLY = Quote(QuoteKind.REPLY, "[voice message]", "Bob", is_placeholder=True)
FORWARD = Quote(QuoteKind.FORWARD, "Listen:", "Eve")


class RecordingsAdapter(FilesAdapter):
    """The ID of a recording is what it says."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        content = await super().fetch(attachment, max_bytes)
        return b"no recording" if attachment.file_id == "text" else make_recording(content.decode())


async def send(
    folder: Path,
    model: ModelStandIn,
    text: str,
    *files: Attachment,
    quotes: tuple[Quote, ...] = (),
    failure: DeliveryFailure | None = None,
    speech_model: str = SPEECH_MODEL.id,
) -> str:
    """The reply to a message with these files, without escaping."""
    model.add_model(SPEECH_MODEL)
    adapter = RecordingsAdapter()
    if failure is not None:
        adapter.errors["fetch"] = DeliveryError("secret address", failure)
    async with running_engine(folder, model, adapter, speech_model=speech_model) as chat:
        await chat.inbox(Incoming(EventKind.PROMPT, "k", PLACE, ANN, text, attachments=files, quotes=quotes))
        await chat.wait_for_states("done")
    return chat.texts[0].replace("\\", "").replace("*", "")


def prompt_of(model: ModelStandIn) -> str:
    return str(model.requests[-1].body["messages"][-1]["content"])


@pytest.mark.parametrize(
    ("text", "files", "quotes", "prompt"),
    [
        ("", [OWN], (), "repeat: hello"),
        (" word ", [OWN, replace(OWN, file_id="again")], (), "repeat: hello\nagain\n\nword"),
        (
            "word",
            [QUOTED],
            (REPLY,),
            render_prompt("word", [replace(REPLY, text="[voice message]\nThe tide is high.")]),
        ),
        ("word", [QUOTED], (), render_prompt("word", [Quote(QuoteKind.REPLY, "The tide is high.")])),
        ("word", [FORWARDED], (FORWARD,), render_prompt("word", [replace(FORWARD, text="Listen:\nThe moon is full.")])),
        (
            "",
            [FORWARDED, QUOTED, OWN],
            (REPLY, FORWARD),
            render_prompt(
                "repeat: hello",
                [
                    replace(REPLY, text="[voice message]\nThe tide is high."),
                    replace(FORWARD, text="Listen:\nThe moon is full."),
                ],
            ),
        ),
        ("", [FILE], (), "repeat: hello"),
        ("word", [FILE], (), "repeat: hello\n\nword"),
        (
            "word",
            [replace(FILE, file_id="The tide is high.", is_quoted=True)],
            (),
            render_prompt("word", [Quote(QuoteKind.REPLY, "The tide is high.")]),
        ),
    ],
    ids=["own", "several", "reply", "reply without text", "forward", "all", "file", "file with text", "file in reply"],
)
async def test_words_are_the_speakers(
    tmp_path: Path,
    model: ModelStandIn,
    text: str,
    files: list[Attachment],
    quotes: tuple[Quote, ...],
    prompt: str,
) -> None:
    reply = await send(tmp_path, model, text, *files, quotes=quotes)
    assert prompt_of(model) == prompt
    assert "I heard: “" in reply


@pytest.mark.parametrize("count", [MAX_RECORDINGS, MAX_RECORDINGS + 1])
async def test_number_of_recordings_is_limited(tmp_path: Path, model: ModelStandIn, count: int) -> None:
    files = [replace(OWN, file_id=f"word {number}") for number in range(count)]
    reply = await send(tmp_path, model, "", *files)
    assert prompt_of(model) == "\n".join(f"word {number}" for number in range(MAX_RECORDINGS))
    assert (texts.recording_limit_reached(MAX_RECORDINGS) in reply) is (count > MAX_RECORDINGS)


@pytest.mark.parametrize(
    ("text", "file", "reply"),
    [
        ("", OWN, texts.NOT_SUPPORTED),
        ("", FILE, texts.NOT_SUPPORTED),
        ("repeat: word", OWN, f"word\n\n{texts.RECORDING_IGNORED}"),
        ("repeat: word", FILE, f"word\n\n{texts.RECORDING_IGNORED}"),
        ("repeat: word", QUOTED, "word"),
        ("repeat: word", replace(FILE, is_quoted=True), "word"),
    ],
    ids=["recording", "file", "recording with text", "file with text", "recording in reply", "file in reply"],
)
async def test_without_speech_recognition_only_text_is_answered(
    tmp_path: Path, model: ModelStandIn, text: str, file: Attachment, reply: str
) -> None:
    assert await send(tmp_path, model, text, file, speech_model="") == reply
    assert not model.transcriptions


@pytest.mark.parametrize("file", [OWN, FILE], ids=["recording", "file"])
async def test_recording_without_words_is_refused(tmp_path: Path, model: ModelStandIn, file: Attachment) -> None:
    assert await send(tmp_path, model, "", replace(file, file_id=" ")) == texts.NO_WORDS
    assert not model.requests


@pytest.mark.parametrize(
    ("file", "status", "reply"),
    [(OWN, 400, texts.SERVICE_FAILED), (FILE, 413, texts.TOO_LONG), (OWN, 429, texts.SERVICE_BUSY)],
    ids=["failed", "too long", "busy"],
)
async def test_failure_of_the_service_is_told(
    tmp_path: Path, model: ModelStandIn, file: Attachment, status: int, reply: str
) -> None:
    model.fail_next(http_error(status), times=None, endpoint=Endpoint.SPEECH)
    assert await send(tmp_path, model, "", file) == f"{reply} [1]"
    assert not model.requests


async def test_recording_that_cannot_be_heard_is_refused(tmp_path: Path, model: ModelStandIn) -> None:
    assert await send(tmp_path, model, "word", replace(OWN, file_id="text")) == texts.UNKNOWN_FORMAT
    (tmp_path / "gone").mkdir()
    reply = await send(tmp_path / "gone", model, "word", OWN, failure=DeliveryFailure.GONE)
    assert reply.endswith(" [1]")
    assert "secret" not in reply
    (tmp_path / "large").mkdir()
    large = replace(OWN, size=10**9)
    assert (await send(tmp_path / "large", model, "word", large)).startswith("This recording is too large.")
    assert not model.requests
