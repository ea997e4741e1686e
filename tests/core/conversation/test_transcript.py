"""Conversations as files: what /export writes, /import reads."""

import pytest

from core.conversation.transcript import (
    MAX_TRANSCRIPT_BYTES,
    decode_transcript,
    encode_transcript,
    render_transcript,
)
from core.store.transcripts import MAX_MESSAGE_CHARS, MAX_MESSAGES, TranscriptMessage


@pytest.mark.parametrize(
    ("count", "length"),
    [(2, 10), (MAX_MESSAGES + 2, 10), (40, 300_000), (MAX_MESSAGES, 4_000), (12, MAX_MESSAGE_CHARS)],
)
def test_exported_file_can_be_imported(count: int, length: int) -> None:
    messages = [
        TranscriptMessage("assistant" if number % 2 else "user", f"{number} ".ljust(length, "x"))
        for number in range(count)
    ]
    content, kept = encode_transcript(messages)
    assert len(content) <= MAX_TRANSCRIPT_BYTES
    assert decode_transcript(content) == tuple(messages[-kept:])
    fitting = min(MAX_MESSAGES, count, (MAX_TRANSCRIPT_BYTES - 200) // (length + 100))
    assert kept >= fitting, "nothing is left out that fits"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Dear Ann",
        b"[]",
        b'{"other": ' + b"[" * 100_000,
        b'{"messages": [{"role": "user", "text": "hello"}]}',
        b'{"format": "parley-conversation", "version": 2, "messages": [{"role": "user", "text": "hello"}]}',
        b'{"format": "parley-conversation", "version": 1, "messages": []}',
        b'{"format": "parley-conversation", "version": 1, "messages": [{"role": "system", "text": "hello"}]}',
        b'{"format": "parley-conversation", "version": 1, "messages": [{"role": "user", "text": ""}]}',
        b'{"format": "parley-conversation", "version": 1, "messages": [{"role": "user", "text": "\xff"}]}',
    ],
    ids=lambda content: content[:60].decode(errors="replace"),
)
def test_other_files_are_no_conversations(content: bytes) -> None:
    assert decode_transcript(content) is None


def test_conversation_as_text_names_person_and_models() -> None:
    messages = [
        TranscriptMessage("user", "Hello"),
        TranscriptMessage("assistant", "Hi!", "phi-4"),
        TranscriptMessage("user", "Bye"),
        TranscriptMessage("assistant", "So long."),
    ]
    assert render_transcript(messages, person="Ann", continue_button="Continue").decode() == (
        "## Ann\n\nHello\n\n## phi-4\n\nHi!\n\n## Ann\n\nBye\n\n## …\n\nSo long.\n"
    )
