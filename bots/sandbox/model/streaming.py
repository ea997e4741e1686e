"""One completion as the service sends it: the whole body, or a stream of chunks with its faults."""

import asyncio
import socket
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from bots.sandbox.model.faults import TRUE_REASON, Fault, ReasoningFormat, StreamAction, UsageReporting
from bots.sandbox.model.tokeniser import Tokeniser, split_pieces
from core.clock import Clock

CHUNK_INTERVAL = 0.05
"""Several tokens share a chunk, as in the service."""
SYSTEM_FINGERPRINT = "vllm-0.27.1-sandbox"
REASONING_TAGS = {
    ReasoningFormat.THINK_TAGS: ("<think>", "</think>"),
    ReasoningFormat.CLOSING_TAG_ONLY: ("", "</think>"),
    ReasoningFormat.OPENING_TAG_ONLY: ("<think>", ""),
    ReasoningFormat.BRACKET_TAGS: ("[THINK]", "[/THINK]"),
    ReasoningFormat.PREFIXED_TAGS: ("<mm:think>", "</mm:think>"),
    ReasoningFormat.UPPERCASE_TAGS: ("<THINK>", "</THINK>"),
    ReasoningFormat.FINAL_TAG: ("<think>", "<final>"),
}
"""The formats that put the reasoning into the content."""
LINGER_ZERO = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer in pieces of reasoning and of text."""

    model: str
    tokeniser: Tokeniser
    prompt_tokens: int
    reasoning_pieces: tuple[str, ...]
    text_pieces: tuple[str, ...]
    finish_reason: str

    @classmethod
    def create(
        cls, model: str, tokeniser: Tokeniser, prompt_tokens: int, max_tokens: int, reasoning: str, text: str
    ) -> "Completion":
        """An answer of at most `max_tokens`. An empty line follows the reasoning, as recorded."""
        reasoning_pieces = split_pieces(reasoning)
        text_pieces = split_pieces(("\n\n" if reasoning_pieces else "") + text)
        max_pieces = tokeniser.max_pieces(max_tokens)
        finish_reason = "length" if len(reasoning_pieces) + len(text_pieces) > max_pieces else "stop"
        reasoning_pieces = reasoning_pieces[:max_pieces]
        text_pieces = text_pieces[: max_pieces - len(reasoning_pieces)]
        return cls(model, tokeniser, prompt_tokens, reasoning_pieces, text_pieces, finish_reason)

    @property
    def piece_count(self) -> int:
        return len(self.reasoning_pieces) + len(self.text_pieces)

    def token_usage(self, piece_count: int) -> tuple[int, int]:
        """Tokens of the prompt, and of the first `piece_count` pieces."""
        return self.prompt_tokens, self.tokeniser.tokens_for_pieces(piece_count)

    def reported_reason(self, fault: Fault) -> str | None:
        return self.finish_reason if fault.finish_reason == TRUE_REASON else fault.finish_reason

    def text(self, start: int, end: int) -> str:
        """The pieces from `start` to `end`, reasoning included."""
        return "".join((*self.reasoning_pieces, *self.text_pieces)[start:end])

    def fields(self, start: int, end: int, reasoning_format: ReasoningFormat) -> list[tuple[str, str]]:
        """The pieces from `start` to `end`, as names and values of the fields of a message."""
        reasoning_count = len(self.reasoning_pieces)
        opening, closing = REASONING_TAGS.get(reasoning_format, ("", ""))
        in_content = reasoning_format in REASONING_TAGS
        fields = []
        if start < reasoning_count and reasoning_format is not ReasoningFormat.SILENT:
            reasoning = "".join(self.reasoning_pieces[start:end])
            before, after = opening if start == 0 else "", closing if end >= reasoning_count else ""
            fields.append(("content" if in_content else reasoning_format.value, before + reasoning + after))
        if end > reasoning_count:
            text = "".join(self.text_pieces[max(0, start - reasoning_count) : end - reasoning_count])
            fields.append(("content", text))
        return fields

    def response_body(self, fault: Fault) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        for name, value in self.fields(0, self.piece_count, fault.reasoning_format):
            message[name] = message.get(name, "") + value
        choice = {"index": 0, "message": message, "finish_reason": self.reported_reason(fault), "logprobs": None}
        body = {
            "id": str(uuid.uuid4()),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [choice],
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }
        if fault.usage_reporting is not UsageReporting.NONE:
            body["usage"] = usage_json(*self.token_usage(self.piece_count))
        return body


def usage_json(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def cloudflare_headers() -> dict[str, str]:
    """The headers of every answer. They say nothing about limits."""
    return {"x-request-id": str(uuid.uuid4()), "CF-RAY": f"{uuid.uuid4().hex[:16]}-FRA", "Server": "cloudflare"}


def break_connection(request: web.Request, action: StreamAction) -> None:
    """Reset or close the connection, as `action` says."""
    transport = request.transport
    if transport is None:
        return
    if action is StreamAction.RESET:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        transport.abort()
    else:
        transport.close()


class CompletionStream:
    """Streams a completion. `on_progress` gets the number of pieces sent so far."""

    def __init__(
        self,
        request: web.Request,
        completion: Completion,
        fault: Fault,
        pieces_per_second: float,
        on_progress: Callable[[int], None],
        clock: Clock,
        chunk_interval: float = CHUNK_INTERVAL,
    ) -> None:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", **cloudflare_headers()}
        self.response = web.StreamResponse(headers=headers)
        self._request = request
        self._completion = completion
        self._fault = fault
        self._pieces_per_second = pieces_per_second
        self._on_progress = on_progress
        self._clock = clock
        self._chunk_interval = chunk_interval
        self._sent_pieces = 0
        self._has_finish_reason = False
        self._chunk_fields: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": completion.model,
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }

    async def run(self) -> bool:
        """Send the answer. Returns whether it was sent completely."""
        end, after_pieces = self._completion.piece_count, self._fault.after_pieces
        if after_pieces is None and not await self._apply_fault():
            return False
        await self.response.prepare(self._request)
        await self._send_choice({"role": "assistant", "content": ""}, None)
        if after_pieces is not None:
            await self._send_pieces(min(after_pieces, end))
            if not await self._apply_fault():
                return False
        await self._send_pieces(end)
        if not self._has_finish_reason:
            await self._send_choice({}, self._take_finish_reason())
        if self._fault.usage_reporting in (UsageReporting.EVERY_CHUNK, UsageReporting.FINAL_CHUNK):
            details = {"cached_tokens": 0, "created_cache_tokens": 0}
            await self._send_event({"choices": [], "usage": {**self._usage(), "prompt_tokens_details": details}})
        await self._write(b"data: [DONE]\n\n")
        return True

    async def _apply_fault(self) -> bool:
        """Returns whether the stream continues after the fault."""
        if self._fault.hold_until is not None:
            await self._fault.hold_until.wait()
        if self._fault.raw_bytes:
            await self._write(self._fault.raw_bytes)
        match self._fault.action:
            case StreamAction.STALL:
                await self._clock.sleep(self._fault.seconds)
            case StreamAction.KEEP_ALIVE:
                ends_at = self._clock.monotonic() + self._fault.seconds
                while self._clock.monotonic() < ends_at:
                    await self._write(b": keep-alive\n\n")
                    await self._clock.sleep(CHUNK_INTERVAL)
            case StreamAction.RESET | StreamAction.CLOSE:
                break_connection(self._request, self._fault.action)
                return False
            case StreamAction.END:
                return False
        return True

    async def _send_pieces(self, end: int) -> None:
        started_at, start = self._clock.monotonic(), self._sent_pieces
        while self._sent_pieces < end:
            seconds = self._clock.monotonic() - started_at + self._chunk_interval
            await self._send_due(min(end, start + int(seconds * self._pieces_per_second) + 1))
            if self._sent_pieces < end:
                await self._clock.sleep(self._chunk_interval)

    async def _send_due(self, end: int) -> None:
        """Send the pieces before `end`, reasoning and text in separate chunks."""
        reasoning_count = len(self._completion.reasoning_pieces)
        while self._sent_pieces < end:
            start = self._sent_pieces
            self._sent_pieces = min(end, reasoning_count) if start < reasoning_count else end
            self._on_progress(self._sent_pieces)
            if self._fault.reasoning_format is ReasoningFormat.SILENT and start < reasoning_count:
                continue
            [(name, value)] = self._completion.fields(start, self._sent_pieces, self._fault.reasoning_format)
            # The service sends the last content and the finish reason in one chunk.
            is_last = self._sent_pieces == self._completion.piece_count
            await self._send_choice({name: value}, self._take_finish_reason() if is_last else None)

    def _take_finish_reason(self) -> str | None:
        self._has_finish_reason = True
        return self._completion.reported_reason(self._fault)

    def _usage(self) -> dict[str, Any]:
        return usage_json(*self._completion.token_usage(self._sent_pieces))

    async def _send_choice(self, delta: dict[str, str], finish_reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        payload: dict[str, Any] = {"choices": [choice], "provider": "ai.io.net"}
        reporting = self._fault.usage_reporting
        if reporting is UsageReporting.EVERY_CHUNK or (reporting is UsageReporting.FINISH_CHUNK and finish_reason):
            payload["usage"] = self._usage()
        await self._send_event(payload)

    async def _send_event(self, payload: dict[str, Any]) -> None:
        await self._write(b"data: " + msgspec.json.encode({**self._chunk_fields, **payload}) + b"\n\n")

    async def _write(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        packet_bytes = self._fault.packet_bytes or len(data)
        for start in range(0, len(data), packet_bytes):
            await self.response.write(data[start : start + packet_bytes])
            if self._fault.packet_bytes:
                await asyncio.sleep(0)
