"""A conversation as a file: Markdown for people, JSON that can be imported again.

    {"format": "parley-conversation", "version": 1,
     "messages": [{"role": "user", "text": "Hello"}, {"role": "assistant", "text": "Hi!", "model": "phi-4"}]}

The text of a file is untrusted: it becomes messages of the history and nothing else.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from core.conversation.quotes import quotes_as_markdown
from core.store.transcripts import MAX_MESSAGES, TranscriptMessage

MAX_TRANSCRIPT_BYTES = 4_000_000
CONTINUE_PROMPT = "Continue exactly where your last answer stopped, without repeating anything."
"""What the button Continue asks the model."""
LAYOUT_BYTES, LAYOUT_BYTES_PER_MESSAGE = 200, 40
"""At most, for what is around the messages of a file, and for the deeper indentation of each."""


class _Transcript(msgspec.Struct, frozen=True):
    format: Literal["parley-conversation"]
    version: Literal[1]
    messages: Annotated[tuple[TranscriptMessage, ...], Meta(min_length=1, max_length=MAX_MESSAGES)]


def encode_transcript(messages: Sequence[TranscriptMessage]) -> tuple[bytes, int]:
    """The file, and how many of the newest messages it contains: only as many as can be imported again."""
    newest: list[TranscriptMessage] = []
    size = LAYOUT_BYTES
    for message in reversed(messages[-MAX_MESSAGES:]):
        size += len(msgspec.json.format(msgspec.json.encode(message), indent=2)) + LAYOUT_BYTES_PER_MESSAGE
        if size > MAX_TRANSCRIPT_BYTES:
            break
        newest.append(message)
    encoded = msgspec.json.encode(_Transcript("parley-conversation", 1, tuple(reversed(newest))))
    return msgspec.json.format(encoded, indent=2) + b"\n", len(newest)


def decode_transcript(content: bytes) -> tuple[TranscriptMessage, ...] | None:
    """The messages of a file that `encode_transcript` may have written; None for any other file."""
    try:
        return msgspec.json.decode(content, type=_Transcript).messages
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def render_transcript(messages: Sequence[TranscriptMessage], *, person: str, continue_button: str) -> bytes:
    """The conversation as Markdown, without what only the model is told.

    `person` is the heading of what people wrote, `continue_button` the label of the button Continue.
    """
    headings = [message.model or "…" if message.role == "assistant" else person for message in messages]
    texts = [_readable_text(message, continue_button) for message in messages]
    blocks = [f"## {heading}\n\n{text}\n" for heading, text in zip(headings, texts, strict=True)]
    return "\n".join(blocks).encode()


def _readable_text(message: TranscriptMessage, continue_button: str) -> str:
    if message.role == "assistant":
        return message.text
    return f"*{continue_button}*" if message.text == CONTINUE_PROMPT else quotes_as_markdown(message.text)
