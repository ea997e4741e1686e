"""Transcribes a recording, with OpenAI's API for transcriptions."""

from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec

from core.api import errors
from core.api.response_body import decode_json, read_body
from core.errors import ModelError, ModelFailure

if TYPE_CHECKING:
    from openai import AsyncOpenAI

SUFFIX_BY_SIGNATURE = (
    (b"OggS", ".ogg"),
    (b"ID3", ".mp3"),
    (b"\xff\xfb", ".mp3"),
    (b"\xff\xf3", ".mp3"),
    (b"\xff\xf2", ".mp3"),
    (b"\xff\xf1", ".aac"),
    (b"\xff\xf9", ".aac"),
    (b"fLaC", ".flac"),
    (b"\x1aE\xdf\xa3", ".webm"),
)
VIDEO_CONTAINERS = (".m4a", ".webm")
"""Formats that videos have as well."""
AUDIO_SUFFIXES = (".m4a", ".m4b", ".mka", ".weba")
AUDIO_BRANDS = (b"M4A ", b"M4B ")
MAX_ID3_VERSION = 4


def recording_suffix(content: bytes) -> str:
    """The suffix for the format of a recording, by which services tell formats apart; empty for anything else."""
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return ".wav"
    if content[4:8] == b"ftyp":
        return ".m4a"
    return next((suffix for signature, suffix in SUFFIX_BY_SIGNATURE if content.startswith(signature)), "")


def is_recording(name: str, content: bytes) -> bool:
    """Whether a file is a recording, as opposed to a text, a picture or a video."""
    suffix = recording_suffix(content)
    if suffix in VIDEO_CONTAINERS:
        return content[8:12] in AUDIO_BRANDS or PurePath(name).suffix.lower() in AUDIO_SUFFIXES
    is_text = content.startswith(b"ID3") and content[3:4] > bytes([MAX_ID3_VERSION])
    return bool(suffix) and not is_text


async def request_transcript(client: "AsyncOpenAI", model: str, content: bytes) -> str:
    """The words of a recording. Raises the client's exceptions, and `ModelError` for an invalid response."""
    # The service gets no name that a person chose.
    response_context = client.audio.transcriptions.with_streaming_response.create(
        model=model, file=(f"recording{recording_suffix(content)}", content), response_format="json"
    )
    async with response_context as response:
        body = await read_body(response)
    try:
        payload = decode_json(body)
    except msgspec.DecodeError:
        raise ModelError("The speech service sent a page instead of a transcript", ModelFailure.UNAVAILABLE) from None
    match payload:
        case {"text": str(text)}:
            return text.strip()
        case _ if errors.is_error_payload(payload):
            raise errors.from_payload(payload)
    raise ModelError("The transcript is invalid", ModelFailure.MALFORMED)
