"""What can go wrong with one request, made on purpose.

A `Fault` is given to `ModelStandIn.fail_next`, or returned by `ModelStandIn.hook`, and made by one
of the functions here:

    status(500)  gateway(502)  busy(3)  reply(200, b"")      something else instead of an answer
    silent()  silent(0)  silent(5, seconds=1)                a stall: before the headers, before
                                                             the first token, after five tokens
    warm(0)                                                  only comments, that keep the line warm
    reset(5)  closed(5)  ended(5)                            the connection reset, closed inside
                                                             the answer, or ended without a reason
    said({"error": ...}, after=5)  raw(b"data: {oops")       a payload, or any bytes, in the stream
    usage(Usage.NONE)  thinking(Thinking.INLINE)             another way to say the same
    pieces(3)  finish("content_filter")  only_thinking()
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Literal

import msgspec

__all__ = [
    "Fault",
    "Refusal",
    "Reply",
    "Then",
    "Thinking",
    "Usage",
    "busy",
    "closed",
    "ended",
    "finish",
    "gateway",
    "only_thinking",
    "pieces",
    "raw",
    "reply",
    "reset",
    "said",
    "silent",
    "status",
    "thinking",
    "usage",
    "warm",
]

FOR_EVER = 3600.0  # seconds; a stand-in does not live as long
JSON = "application/json"
PAGE = """<!DOCTYPE html>
<html><head><title>api.intelligence.io.solutions | {status}: {words}</title></head>
<body><h1>{words}</h1><span>Error code {status}</span><p>cloudflare</p></body></html>
"""


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    """What the service answers instead, in its own shape."""

    def __init__(
        self, status: int, detail: object, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class Then(StrEnum):
    """How a stream goes on from the place of the fault."""

    ON = "on"
    STALL = "stall"
    WARM = "warm"
    """A stall with a comment now and then."""
    RESET = "reset"
    """The connection is reset (RST)."""
    CLOSE = "close"
    """The connection is closed inside the body (FIN)."""
    END = "end"
    """The body ends properly, without a finish reason and without [DONE]."""


class Usage(StrEnum):
    """Which chunks tell the tokens used."""

    EVERY = "every"
    """All, cumulative, and one of its own at the end: what was recorded."""
    LAST = "last"
    """One of its own at the end."""
    FINISH = "finish"
    """The one with the finish reason."""
    NONE = "none"


class Thinking(StrEnum):
    """Where a model's thoughts are."""

    FIELD = "reasoning_content"
    RENAMED = "reasoning"
    INLINE = "<think>...</think> before the answer"
    UNOPENED = "...</think> before the answer"
    UNCLOSED = "<think>... and then the answer"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Fault:
    """`after`: pieces of the text said before it, thoughts counted; None: not even headers."""

    reply: Reply | None = None
    after: int | None = 0
    raw: bytes = b""
    """Said there."""
    then: Then = Then.ON
    seconds: float = FOR_EVER
    """How long a stall is."""
    usage: Usage = Usage.EVERY
    thinking: Thinking = Thinking.FIELD
    size: int = 0
    """Bytes to a packet; 0: an event."""
    finish: str = ""
    """The reason given for the end; "": the true one, "null": none, [DONE] alone."""
    only_thinking: bool = False
    """Half of the thoughts and then no more tokens: `length`."""


def reply(
    status: int,
    body: bytes | str | object = b"",
    headers: Mapping[str, str] | None = None,
    content_type: str = "",
) -> Fault:
    """Bytes or text as they are, anything else as JSON."""
    text = body.encode() if isinstance(body, str) else body
    plain = isinstance(text, bytes)
    sent = text if isinstance(text, bytes) else msgspec.json.encode(text)
    kind = content_type or ("text/html" if plain else JSON)
    return Fault(Reply(status, sent, headers or {}, kind))


def status(code: int, detail: object = "", headers: Mapping[str, str] | None = None) -> Fault:
    """A refusal in the service's own shape."""
    return reply(code, {"detail": detail or f"Scripted error {code}"}, headers)


def gateway(code: int = 502) -> Fault:
    """The page that stands before a service that is down."""
    words = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Web server is down"
    return reply(code, PAGE.format(status=code, words=words))


def busy(
    wait: float | None = None,
    form: Literal["seconds", "date", "ms"] = "seconds",
    detail: str = "You've been rate-limited. Back off and retry.",
) -> Fault:
    """429; `wait` in seconds, said in one of three ways or not at all."""
    headers: dict[str, str] = {}
    if wait is not None:
        headers = {
            "seconds": {"retry-after": f"{wait:g}"},
            "date": {"retry-after": formatdate(time.time() + wait, usegmt=True)},
            "ms": {"retry-after-ms": f"{wait * 1000:g}"},
        }[form]
    return status(429, detail, headers)


def silent(after: int | None = None, *, seconds: float = FOR_EVER) -> Fault:
    """Nothing more for `seconds`, then on as if nothing had been."""
    return Fault(after=after, then=Then.STALL, seconds=seconds)


def warm(after: int = 0, *, seconds: float = FOR_EVER) -> Fault:
    return Fault(after=after, then=Then.WARM, seconds=seconds)


def reset(after: int | None = None) -> Fault:
    return Fault(after=after, then=Then.RESET)


def closed(after: int | None = None) -> Fault:
    return Fault(after=after, then=Then.CLOSE)


def ended(after: int = 0) -> Fault:
    return Fault(after=after, then=Then.END)


def raw(sent: bytes, *, after: int = 0, then: Then = Then.END) -> Fault:
    return Fault(after=after, raw=sent, then=then)


def said(payload: object, *, after: int = 0, event: str = "", then: Then = Then.END) -> Fault:
    """An event with this payload."""
    name = f"event: {event}\n".encode() if event else b""
    return raw(name + b"data: " + msgspec.json.encode(payload) + b"\n\n", after=after, then=then)


def usage(style: Usage) -> Fault:
    return Fault(usage=style)


def thinking(style: Thinking) -> Fault:
    return Fault(thinking=style)


def pieces(size: int) -> Fault:
    """`size` bytes to a packet: characters and events are split anywhere."""
    return Fault(size=size)


def finish(reason: str) -> Fault:
    return Fault(finish=reason)


def only_thinking() -> Fault:
    return Fault(only_thinking=True)
