"""One completion on the wire, whole or chunk by chunk, in the recorded shapes."""

import asyncio
import socket
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from bots.sandbox.model.faults import Fault, Then, Thinking, Usage
from bots.sandbox.model.tokens import Tokeniser, pieces

__all__ = ["Completion", "Stream", "break_off", "cloud_headers", "used"]

TICK = 0.05  # seconds between chunks: several tokens a chunk, as the service does
ENGINE = "vllm-0.27.1-sandbox"
RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


@dataclass(frozen=True, slots=True)
class Completion:
    """What is said: pieces of thought and of text, each a token before the model's scale."""

    model: str
    tokeniser: Tokeniser
    prompt: int
    """Tokens."""
    thought: tuple[str, ...]
    text: tuple[str, ...]
    finish: str

    @classmethod
    def of(
        cls, model: str, tokeniser: Tokeniser, prompt: int, most: int, thought: str, text: str
    ) -> "Completion":
        """Cut to `most` tokens. A recorded answer begins with an empty line after thoughts."""
        thoughts = pieces(thought)
        texts = pieces(("\n\n" if thoughts else "") + text)
        room = tokeniser.pieces_in(most)
        finish = "length" if len(thoughts) + len(texts) > room else "stop"
        thoughts = thoughts[:room]
        return cls(model, tokeniser, prompt, thoughts, texts[: room - len(thoughts)], finish)

    @property
    def parts(self) -> list[tuple[str, str]]:
        return [("thought", piece) for piece in self.thought] + [
            ("text", piece) for piece in self.text
        ]

    def spent(self, said: int) -> tuple[int, int]:
        """Tokens of the prompt, and of the first `said` pieces."""
        return self.prompt, self.tokeniser.tokens(said)

    def whole(self, fault: Fault) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        fields = [(placed(kind, fault.thinking), piece) for kind, piece in self.parts]
        message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        opening, closing = tags(fault.thinking) if self.thought else ("", "")
        for at, (name, piece) in enumerate(fields):
            before = opening if at == 0 else ""
            after = closing if at == len(self.thought) - 1 else ""
            message[name] = message.get(name, "") + before + piece + after
        end = None if fault.finish == "null" else fault.finish or self.finish
        body = {
            "id": str(uuid.uuid4()),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": end, "logprobs": None}],
            "system_fingerprint": ENGINE,
        }
        if fault.usage is not Usage.NONE:
            body["usage"] = used(*self.spent(len(fields)))
        return body


def placed(kind: str, thinking: Thinking) -> str:
    """The field of a message in which thoughts or text are."""
    in_field = thinking in (Thinking.FIELD, Thinking.RENAMED)
    return thinking.value if kind == "thought" and in_field else "content"


def tags(thinking: Thinking) -> tuple[str, str]:
    return {
        Thinking.INLINE: ("<think>", "</think>"),
        Thinking.UNOPENED: ("", "</think>"),
        Thinking.UNCLOSED: ("<think>", ""),
    }.get(thinking, ("", ""))


def used(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def cloud_headers() -> dict[str, str]:
    """What the gateway adds to every answer: nothing about limits."""
    return {
        "x-request-id": str(uuid.uuid4()),
        "CF-RAY": f"{uuid.uuid4().hex[:16]}-FRA",
        "Server": "cloudflare",
    }


def break_off(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        held = transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        transport.abort()
    else:
        transport.close()


@dataclass
class Stream:
    """`note(said)` is told how many pieces were said, as they are."""

    request: web.Request
    completion: Completion
    fault: Fault
    speed: float
    """Pieces a second."""
    note: Callable[[int], None]
    response: web.StreamResponse = field(init=False)
    _frame: dict[str, Any] = field(init=False)
    _said: int = 0
    _finished: bool = False

    def __post_init__(self) -> None:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", **cloud_headers()}
        self.response = web.StreamResponse(headers=headers)
        self._frame = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.completion.model,
            "system_fingerprint": ENGINE,
        }

    async def run(self) -> bool:
        """Say it. Returns whether it was said to its end."""
        parts = self.completion.parts
        place = None if self.fault.after is None else min(self.fault.after, len(parts))
        if place is None and not await self._meet():
            return False
        await self.response.prepare(self.request)
        await self._choice({"role": "assistant", "content": ""}, None)
        if place is not None:
            await self._say(parts, place)
            if not await self._meet():
                return False
        await self._say(parts, len(parts))
        if not self._finished:
            await self._choice({}, self._reason())
        if self.fault.usage in (Usage.EVERY, Usage.LAST):
            spent = used(*self.completion.spent(self._said))
            details = {"cached_tokens": 0, "created_cache_tokens": 0}
            await self._event({"choices": [], "usage": {**spent, "prompt_tokens_details": details}})
        await self._write(b"data: [DONE]\n\n")
        return True

    async def _meet(self) -> bool:
        """The fault. Returns whether the stream goes on after it."""
        if self.fault.raw:
            await self._write(self.fault.raw)
        match self.fault.then:
            case Then.STALL:
                await asyncio.sleep(self.fault.seconds)
            case Then.WARM:
                ends = time.monotonic() + self.fault.seconds
                while time.monotonic() < ends:
                    await self._write(b": keep-alive\n\n")
                    await asyncio.sleep(TICK)
            case Then.RESET | Then.CLOSE:
                break_off(self.request, reset=self.fault.then is Then.RESET)
                return False
            case Then.END:
                return False
        return True

    async def _say(self, parts: list[tuple[str, str]], end: int) -> None:
        began, first = time.monotonic(), self._said
        while self._said < end:
            due = first + int((time.monotonic() - began + TICK) * self.speed) + 1
            await self._chunk(parts, min(end, due))
            if self._said < end:
                await asyncio.sleep(TICK)

    async def _chunk(self, parts: list[tuple[str, str]], due: int) -> None:
        """All that is due, thoughts and text in chunks of their own."""
        opening, closing = tags(self.fault.thinking)
        while self._said < due:
            start, kind = self._said, parts[self._said][0]
            while self._said < due and parts[self._said][0] == kind:
                self._said += 1
            self.note(self._said)
            said = "".join(piece for _, piece in parts[start : self._said])
            if kind == "thought":
                thoughts = len(self.completion.thought)
                said = (opening if start == 0 else "") + said
                said += closing if self._said == thoughts else ""
            # The recorded service ends with content and reason in one chunk.
            reason = self._reason() if self._said == len(parts) else None
            await self._choice({placed(kind, self.fault.thinking): said}, reason)

    def _reason(self) -> str | None:
        self._finished = True
        return None if self.fault.finish == "null" else self.fault.finish or self.completion.finish

    async def _choice(self, delta: dict[str, str], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        payload: dict[str, Any] = {"choices": [choice], "provider": "ai.io.net"}
        tells = self.fault.usage is Usage.EVERY or (self.fault.usage is Usage.FINISH and finish)
        if tells:
            payload["usage"] = used(*self.completion.spent(self._said))
        await self._event(payload)

    async def _event(self, payload: dict[str, Any]) -> None:
        await self._write(b"data: " + msgspec.json.encode({**self._frame, **payload}) + b"\n\n")

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self.request)
        for start in range(0, len(data), self.fault.size or len(data)):
            await self.response.write(data[start : start + (self.fault.size or len(data))])
            if self.fault.size:
                await asyncio.sleep(0)
