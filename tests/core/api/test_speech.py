"""Transcripts of recordings, and what a speech service sends instead."""

import msgspec
import pytest

from bots.sandbox.model import make_recording
from core.api.client import ModelApi
from core.api.speech import is_recording, recording_suffix
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.core.api.raw_server import raw_server, response

TIMINGS = Timings(model_retry_delay=0.01)


async def transcribe(*answers: bytes) -> str:
    async with raw_server(lambda number: [answers[min(number, len(answers)) - 1]]) as server:
        api = ModelApi(server.url, "secret-key", timings=TIMINGS)
        try:
            return await api.transcribe("whisper-1", make_recording("hello"))
        finally:
            await api.close()


async def test_temporary_failure_is_repeated() -> None:
    busy, heard = response(503, b"{}"), response(200, msgspec.json.encode({"text": " Hello. "}))
    assert await transcribe(busy, heard) == "Hello."


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (response(200, b"<html>sign in</html>"), ModelFailure.UNAVAILABLE),
        (response(200, b'{"text": null}'), ModelFailure.MALFORMED),
        (response(200, b"[]"), ModelFailure.MALFORMED),
        (response(401, b'{"detail": "Invalid API Key"}'), ModelFailure.AUTHENTICATION),
        (response(413, b"{}"), ModelFailure.OVERFLOW),
        (response(200, b'{"status": 429, "message": "slow down"}'), ModelFailure.RATE_LIMITED),
    ],
)
async def test_failed_transcription_has_its_cause(answer: bytes, failure: ModelFailure) -> None:
    with pytest.raises(ModelError) as caught:
        await transcribe(answer)
    assert caught.value.failure is failure


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (make_recording("x"), ".ogg"),
        (b"RIFF\0\0\0\0WAVEfmt ", ".wav"),
        (b"RIFF\0\0\0\0WEBP", ""),
        (b"\0\0\0\x18ftypmp42", ".m4a"),
        (b"ID3\x04", ".mp3"),
        (b"fLaC", ".flac"),
        (b"words", ""),
        (b"", ""),
    ],
)
def test_format_is_known_by_content(content: bytes, suffix: str) -> None:
    assert recording_suffix(content) == suffix


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("memo.bin", b"OggS\0\2", True),
        ("memo.mp3", b"ID3\3\0", True),
        ("memo.mp3", b"\xff\xfb\x90", True),
        ("memo.dat", b"\0\0\0\x1cftypM4A \0", True),
        ("memo.m4a", b"\0\0\0\x18ftypmp42", True),
        ("memo.weba", b"\x1aE\xdf\xa3", True),
        ("film.mp4", b"\0\0\0\x18ftypisom", False),
        ("film.webm", b"\x1aE\xdf\xa3", False),
        ("photo.heic", b"\0\0\0\x18ftypheic", False),
        ("notes.txt", b"ID3 tags are old.", False),
        ("notes.txt", b"Hello", False),
    ],
)
def test_recordings_are_recognised_by_their_content(name: str, content: bytes, expected: bool) -> None:
    assert is_recording(name, content) is expected
