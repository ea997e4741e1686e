"""Reads the usual event of a stream, which has text for the answer and nothing else.

    {"choices": [{"index": 0, "delta": {"content": "yes"}}], ...}          "yes"
    {"choices": [{"index": 0, "delta": {"reasoning": "hm"}}], ...}         None: `stream_parser` reads it

A typed decoder skips what it does not need, and takes half the time of decoding everything. Whatever may mean something
is a field here that must be absent or null.
"""

from typing import Literal

import msgspec


class _Delta(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    reasoning_text: None = None
    reasoning_details: None = None
    thinking: None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    text: None = None
    message: None = None
    finish_reason: None = None
    error: None = None


class _Event(msgspec.Struct, gc=False):
    choices: tuple[_Choice]
    object: Literal["chat.completion.chunk"]
    error: None = None
    base_resp: None = None
    usage: None = None


_decoder = msgspec.json.Decoder(_Event)


def decode_plain_text(data: bytes) -> str | None:
    """The text of an event; None if it has anything else, or is not valid."""
    try:
        return _decoder.decode(data).choices[0].delta.content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
