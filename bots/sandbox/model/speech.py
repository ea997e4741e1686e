"""Transcriptions: the stand-in hears the words that `make_recording` writes into a recording."""

from dataclasses import dataclass

from core.api.catalogue import Model

SPEECH_MODEL = Model("openai/whisper-large-v3", 0, is_speech_model=True)
OGG_HEADER = b"OggS\0\2" + bytes(22) + b"OpusHead"
WORDS_MARK = b"words:"


@dataclass(frozen=True, slots=True)
class Transcription:
    model: str
    file_name: str
    content: bytes
    api_key: str


def make_recording(words: str) -> bytes:
    return OGG_HEADER + WORDS_MARK + words.encode()


def hear(content: bytes) -> str:
    """The words of a recording; for one that was not made here, its size."""
    _, mark, words = content.partition(WORDS_MARK)
    return words.decode(errors="replace") if mark else f"A recording of {len(content):,} bytes."
