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

from bots.sandbox.model.faults import Fault, ReasoningFormat, StreamAction, UsageReporting
from bots.sandbox.model.tokeniser import Tokeniser, split_pieces

__all__ = ["Completion", "CompletionStream", "cloudflare_headers", "drop_connection", "usage_json"]

CHUNK_INTERVAL = 0.05  # seconds between chunks: several tokens a chunk, as the service does
SYSTEM_FINGERPRINT = "vllm-0.27.1-sandbox"
LINGER_ZERO = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


@dataclass(frozen=True, slots=True)
class Completion:
    """What is said: pieces of thought and of text, each a token before the model's scale."""

    model: str
    tokeniser: Tokeniser
    prompt_tokens: int
    """Tokens."""
    reasoning_pieces: tuple[str, ...]
    text_pieces: tuple[str, ...]
    finish_reason: str

    @classmethod
    def create(
        cls,
        model: str,
        tokeniser: Tokeniser,
        prompt_tokens: int,
        max_tokens: int,
        reasoning: str,
        text: str,
    ) -> "Completion":
        """Cut to `most` tokens. A recorded answer begins with an empty line after thoughts."""
        reasoning_pieces = split_pieces(reasoning)
        text_pieces = split_pieces(("\n\n" if reasoning_pieces else "") + text)
        max_pieces = tokeniser.max_pieces(max_tokens)
        finish = "length" if len(reasoning_pieces) + len(text_pieces) > max_pieces else "stop"
        reasoning_pieces = reasoning_pieces[:max_pieces]
        return cls(
            model,
            tokeniser,
            prompt_tokens,
            reasoning_pieces,
            text_pieces[: max_pieces - len(reasoning_pieces)],
            finish,
        )

    @property
    def pieces_by_kind(self) -> list[tuple[str, str]]:
        return [("thought", piece) for piece in self.reasoning_pieces] + [("text", piece) for piece in self.text_pieces]

    def token_usage(self, piece_count: int) -> tuple[int, int]:
        """Tokens of the prompt, and of the first `said` pieces."""
        return self.prompt_tokens, self.tokeniser.tokens_for_pieces(piece_count)

    def response_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        field_pieces = [(message_field(kind, fault.reasoning_format), piece) for kind, piece in self.pieces_by_kind]
        message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        opening, closing = reasoning_tags(fault.reasoning_format) if self.reasoning_pieces else ("", "")
        for at, (name, piece) in enumerate(field_pieces):
            before = opening if at == 0 else ""
            after = closing if at == len(self.reasoning_pieces) - 1 else ""
            message[name] = message.get(name, "") + before + piece + after
        end = None if fault.finish_reason == "null" else fault.finish_reason or self.finish_reason
        body = {
            "id": str(uuid.uuid4()),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": end, "logprobs": None}],
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }
        if fault.usage_reporting is not UsageReporting.NONE:
            body["usage"] = usage_json(*self.token_usage(len(field_pieces)))
        return body


def message_field(piece_kind: str, reasoning_format: ReasoningFormat) -> str:
    """The field of a message in which thoughts or text are."""
    in_field = reasoning_format in (
        ReasoningFormat.REASONING_CONTENT_FIELD,
        ReasoningFormat.REASONING_FIELD,
    )
    return reasoning_format.value if piece_kind == "thought" and in_field else "content"


def reasoning_tags(reasoning_format: ReasoningFormat) -> tuple[str, str]:
    return {
        ReasoningFormat.THINK_TAGS: ("<think>", "</think>"),
        ReasoningFormat.CLOSING_TAG_ONLY: ("", "</think>"),
        ReasoningFormat.OPENING_TAG_ONLY: ("<think>", ""),
    }.get(reasoning_format, ("", ""))


def usage_json(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def cloudflare_headers() -> dict[str, str]:
    """What the gateway adds to every answer: nothing about limits."""
    return {
        "x-request-id": str(uuid.uuid4()),
        "CF-RAY": f"{uuid.uuid4().hex[:16]}-FRA",
        "Server": "cloudflare",
    }


def drop_connection(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        held = transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        transport.abort()
    else:
        transport.close()


@dataclass
class CompletionStream:
    """`note(said)` is told how many pieces were said, as they are."""

    request: web.Request
    completion: Completion
    fault: Fault
    pieces_per_second: float
    """Pieces a second."""
    on_progress: Callable[[int], None]
    response: web.StreamResponse = field(init=False)
    _chunk_fields: dict[str, Any] = field(init=False)
    _sent_pieces: int = 0
    _has_finish_reason: bool = False

    def __post_init__(self) -> None:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", **cloudflare_headers()}
        self.response = web.StreamResponse(headers=headers)
        self._chunk_fields = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.completion.model,
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }

    async def run(self) -> bool:
        """Say it. Returns whether it was said to its end."""
        pieces = self.completion.pieces_by_kind
        fault_position = None if self.fault.after_pieces is None else min(self.fault.after_pieces, len(pieces))
        if fault_position is None and not await self._apply_fault():
            return False
        await self.response.prepare(self.request)
        await self._send_choice({"role": "assistant", "content": ""}, None)
        if fault_position is not None:
            await self._send_pieces(pieces, fault_position)
            if not await self._apply_fault():
                return False
        await self._send_pieces(pieces, len(pieces))
        if not self._has_finish_reason:
            await self._send_choice({}, self._take_finish_reason())
        if self.fault.usage_reporting in (UsageReporting.EVERY_CHUNK, UsageReporting.FINAL_CHUNK):
            spent = usage_json(*self.completion.token_usage(self._sent_pieces))
            details = {"cached_tokens": 0, "created_cache_tokens": 0}
            await self._send_event({"choices": [], "usage": {**spent, "prompt_tokens_details": details}})
        await self._write(b"data: [DONE]\n\n")
        return True

    async def _apply_fault(self) -> bool:
        """The fault. Returns whether the stream goes on after it."""
        if self.fault.raw_bytes:
            await self._write(self.fault.raw_bytes)
        match self.fault.action:
            case StreamAction.STALL:
                await asyncio.sleep(self.fault.seconds)
            case StreamAction.KEEP_ALIVE:
                ends = time.monotonic() + self.fault.seconds
                while time.monotonic() < ends:
                    await self._write(b": keep-alive\n\n")
                    await asyncio.sleep(CHUNK_INTERVAL)
            case StreamAction.RESET | StreamAction.CLOSE:
                drop_connection(self.request, reset=self.fault.action is StreamAction.RESET)
                return False
            case StreamAction.END:
                return False
        return True

    async def _send_pieces(self, pieces_by_kind: list[tuple[str, str]], end: int) -> None:
        began, first = time.monotonic(), self._sent_pieces
        while self._sent_pieces < end:
            due = first + int((time.monotonic() - began + CHUNK_INTERVAL) * self.pieces_per_second) + 1
            await self._send_due(pieces_by_kind, min(end, due))
            if self._sent_pieces < end:
                await asyncio.sleep(CHUNK_INTERVAL)

    async def _send_due(self, pieces_by_kind: list[tuple[str, str]], due: int) -> None:
        """All that is due, thoughts and text in chunks of their own."""
        opening, closing = reasoning_tags(self.fault.reasoning_format)
        while self._sent_pieces < due:
            start, piece_kind = self._sent_pieces, pieces_by_kind[self._sent_pieces][0]
            while self._sent_pieces < due and pieces_by_kind[self._sent_pieces][0] == piece_kind:
                self._sent_pieces += 1
            self.on_progress(self._sent_pieces)
            text = "".join(piece for _, piece in pieces_by_kind[start : self._sent_pieces])
            if piece_kind == "thought":
                thoughts = len(self.completion.reasoning_pieces)
                text = (opening if start == 0 else "") + text
                text += closing if self._sent_pieces == thoughts else ""
            # The recorded service ends with content and reason in one chunk.
            reason = self._take_finish_reason() if self._sent_pieces == len(pieces_by_kind) else None
            await self._send_choice({message_field(piece_kind, self.fault.reasoning_format): text}, reason)

    def _take_finish_reason(self) -> str | None:
        self._has_finish_reason = True
        return None if self.fault.finish_reason == "null" else self.fault.finish_reason or self.completion.finish_reason

    async def _send_choice(self, delta: dict[str, str], finish_reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        payload: dict[str, Any] = {"choices": [choice], "provider": "ai.io.net"}
        tells = self.fault.usage_reporting is UsageReporting.EVERY_CHUNK or (
            self.fault.usage_reporting is UsageReporting.FINISH_CHUNK and finish_reason
        )
        if tells:
            payload["usage"] = usage_json(*self.completion.token_usage(self._sent_pieces))
        await self._send_event(payload)

    async def _send_event(self, payload: dict[str, Any]) -> None:
        await self._write(b"data: " + msgspec.json.encode({**self._chunk_fields, **payload}) + b"\n\n")

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self.request)
        for start in range(0, len(data), self.fault.packet_bytes or len(data)):
            await self.response.write(data[start : start + (self.fault.packet_bytes or len(data))])
            if self.fault.packet_bytes:
                await asyncio.sleep(0)
