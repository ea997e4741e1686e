"""Conversations as files: what /export writes, /import reads."""

import pytest

from core.conversation.transcript import MAX_TRANSCRIPT_BYTES, decode_transcript, encode_transcript
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
