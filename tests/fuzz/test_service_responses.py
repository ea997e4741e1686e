"""Responses of a broken or hostile model service: events or a `ModelError`, in bounded work, and every question ends.

FUZZ_RESPONSES is the number of parsed responses (a tenth of them goes through the client, a fortieth through the whole
core), FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.api.catalogue import MAX_CONTEXT_TOKENS, MAX_MODELS, MAX_QUOTA_TOKENS, parse_models
from core.api.client import ModelApi, StreamTimeouts
from core.api.events import (
    MAX_TOKENS_PER_REQUEST,
    Finished,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TextWasReasoning,
    UsageReport,
)
from core.api.stream_parser import MAX_ANSWER_CHARS, StreamParser
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.core.api.raw_server import RawServer, raw_server
from tests.core.api.stream_result import REQUEST
from tests.core.turns.fake_adapter import FakeAdapter, running_engine, turn_states
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.mutations import JsonMutator
from tests.fuzz.texts import generate_texts
from tests.waiting import wait_until

RESPONSES = case_count("FUZZ_RESPONSES", 400)
INTERESTING: tuple[object, ...] = (
    *("stop", "length", "content_filter", "tool_calls", "error", "assistant", "chat.completion.chunk", "some/model"),
    *(
        "<think>",
        "</think>",
        "<thi",
        "nk>",
        "[DONE]",
        "data: ",
        "context window",
        "maximum context length is 100 tokens",
    ),
    *(
        "rate limit",
        "Unknown model. Available models: [",
        "429",
        429,
        401,
        503,
        {"error": {"message": "no", "code": 500}},
    ),
    *([0.25, 0.5], [0.0, 0.0], {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
)
TIMEOUTS = StreamTimeouts(connect=5, first_token=5, between_tokens=5, total=10)
TIMINGS = Timings(model_retry_delay=0.001, max_model_retry_delay=0.01, stream_drain_timeout=0.05)


def chunk(delta: object, finish_reason: str | None = None, **fields: object) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "some/model"}
    return common | {"choices": [choice]} | fields


USAGE = {"prompt_tokens": 57, "completion_tokens": 8, "total_tokens": 65}
TOOL_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
STREAMS: tuple[list[dict[str, Any]], ...] = (
    [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in ("Hello", ", ", "how are", " you?")),
        chunk({}, "stop"),
        {"choices": [], "usage": USAGE},
    ],
    [
        *(chunk({"reasoning_content": word, "content": None}) for word in ("Let", " me", " think")),
        *(chunk({"content": word}, usage=USAGE) for word in ("yes", " and no")),
        chunk({}, "length", usage=USAGE),
    ],
    [*(chunk({"content": word}) for word in ("<thi", "nk>hm</th", "ink>", "said", "")), chunk({}, "stop")],
    [chunk({"tool_calls": [TOOL_CALL]}), chunk({"reasoning": "why", "content": "so"}), chunk({}, "tool_calls")],
    [chunk({"content": "half"}), {"error": {"message": "upstream failed", "type": "server_error", "code": 503}}],
    [{"detail": "Rate limit exceeded"}],
    [{"detail": [{"msg": "maximum context length is 4096 tokens", "loc": ["body"]}]}],
)
MODEL_LIST: dict[str, Any] = {
    "object": "list",
    "data": [
        {"id": "meta-llama/Llama-3.3-70B-Instruct", "context_window": 128_000, "supports_images_input": True},
        {"id": "a/b-7B", "max_model_len": None, "metadata": {"context_length": 4096, "modalities": ["text", "image"]}},
        {"id": "e/bge-m3", "enable_api_embeddings": True, "embeddings_daily_quota_tier_1": 5000},
        {"name": "c/d", "architecture": {"modality": "text+image->text"}, "api_completions_daily_quota_tier_1": 10},
        "plain/name",
    ],
}
EMBEDDINGS: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": index, "embedding": [0.1, -0.5, 0.25 * index]} for index in range(2)],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}
ERROR_BODIES: tuple[object, ...] = (
    {"error": {"message": "Incorrect API key", "type": "invalid_request_error", "param": None, "code": "invalid_key"}},
    {"detail": "Unknown model. Available models: ['a/b']"},
    {"detail": [{"msg": "maximum context length is 4096 tokens", "loc": ["body", "messages"], "type": "value_error"}]},
    {"message": "daily quota is used up", "code": 429},
)
STATUSES = (200, 200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 502, 503, 299, 418, 599)
HEADERS = ("Retry-After: 0", "Retry-After: -1", "Retry-After: 1e999", "retry-after-ms: nan", "Retry-After: never")
BYTE_MUTATIONS = (
    b"\xff\xfe",
    b"\0",
    b"\n\n",
    b"\r\n",
    b"\r",
    b": comment\n",
    b"data:",
    b"data: [DONE]\n\n",
    b"event: error\n",
)
GARBAGE = b"\xf0\x9f\x92" * 3000


class ServiceMutator:
    """Mutated responses of every kind."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._json = JsonMutator(self.random, INTERESTING)
        self._texts = generate_texts(seed, 10**9, max_chars=20_000)

    def json_body(self, body: object) -> bytes:
        return self._mutate_bytes(self._encode(self._json.mutate(body)))

    def stream(self) -> bytes:
        events = [*self.random.choice(STREAMS)]
        if self.random.random() < 0.3:
            text = next(self._texts)
            size = self.random.randint(1, 300)
            field = self.random.choice(["content", "reasoning_content", "reasoning"])
            events[-1:-1] = [chunk({field: text[start : start + size]}) for start in range(0, len(text), size)][:200]
        if self.random.random() < 0.2:
            self.random.shuffle(events)
        if self.random.random() < 0.1:
            events *= self.random.randint(2, 20)
        mutated = [self._json.mutate(event) if self.random.random() < 0.4 else event for event in events]
        end = self.random.choice([b"data: [DONE]\n\n"] * 3 + [b"", b"data: [DONE]", b"data: [DONE]\n\n" * 2])
        prefix = self.random.choice([b"data: "] * 5 + [b"data:", b"event: error\ndata: ", b"id: 1\ndata: ", b""])
        separator = self.random.choice([b"\n\n", b"\n\n", b"\r\n\r\n", b"\n"])
        return self._mutate_bytes(b"".join(prefix + self._encode(event) + separator for event in mutated) + end)

    def split(self, content: bytes) -> list[bytes]:
        """`content` in pieces, split anywhere."""
        size = self.random.choice([1, 7, 100, 4000, 10**6]) if len(content) < 30_000 else 5000
        pieces = []
        while content:
            end = self.random.randint(1, size)
            pieces.append(content[:end])
            content = content[end:]
        return pieces

    def _encode(self, value: object) -> bytes:
        return self._json.encode(value).encode("utf-8", "surrogatepass")

    def _mutate_bytes(self, content: bytes) -> bytes:
        for _ in range(self.random.choice([0, 0, 0, 1, 3])):
            position = self.random.randint(0, len(content))
            match self.random.randrange(5):
                case 0:
                    content = content[:position]
                case 1:
                    content = content[:position] + self.random.choice(BYTE_MUTATIONS) + content[position:]
                case 2:
                    content = content[:position] + content[position + self.random.randint(1, 20) :]
                case 3:
                    content = content[:position] + self.random.randbytes(3) + content[position + 3 :]
                case _:
                    content = content[:position] + GARBAGE + content[position:]
        return content


def parse(pieces: Sequence[bytes], *, has_reasoning: bool) -> tuple[list[StreamEvent], ModelFailure | None]:
    parser = StreamParser(has_reasoning=has_reasoning)
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            events += parser.feed(piece)
            if parser.is_done:
                break
        events += parser.finish()
    except ModelError as error:
        return events, error.failure
    return events, None


def check_events(events: Sequence[StreamEvent], failure: ModelFailure | None, *, max_chars: int) -> None:
    assert any(isinstance(event, Finished) for event in events) == (failure is None)
    assert failure is not None or isinstance(events[-1], Finished)
    chars = 0
    for event in events:
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                chars += len(text)
                text.encode()  # no lone surrogates
            case UsageReport(prompt, completion):
                assert 0 <= prompt <= MAX_TOKENS_PER_REQUEST
                assert 0 <= completion <= MAX_TOKENS_PER_REQUEST
            case TextWasReasoning():
                pass
    assert chars <= min(max_chars, 2 * MAX_ANSWER_CHARS)


def contents(events: Sequence[StreamEvent]) -> tuple[object, ...]:
    """What does not depend on how the bytes were split."""
    return (
        "".join(event.text for event in events if isinstance(event, TextDelta)),
        "".join(event.text for event in events if isinstance(event, ReasoningDelta)),
        [event for event in events if not isinstance(event, TextDelta | ReasoningDelta)],
    )


def check_models(body: Any) -> None:
    models = parse_models(body)
    assert len(models) <= MAX_MODELS
    for model in models:
        assert model.id
        assert model.id.isprintable()
        assert 0 <= model.context_window <= MAX_CONTEXT_TOKENS
        assert model.daily_quota is None or 0 <= model.daily_quota <= MAX_QUOTA_TOKENS


@pytest.mark.slow
@pytest.mark.timeout(time_limit(RESPONSES))
def test_mutated_streams_and_bodies_are_parsed() -> None:
    mutator = ServiceMutator(SEED)
    with Run("responses") as run:
        for number in range(RESPONSES):
            content = mutator.stream()
            has_reasoning = mutator.random.random() < 0.5
            pieces = mutator.split(content)
            with run.case(number, content):
                events, failure = parse(pieces, has_reasoning=has_reasoning)
                check_events(events, failure, max_chars=len(content))
                whole_events, whole_failure = parse([content], has_reasoning=has_reasoning)
                assert whole_failure == failure
                assert contents(whole_events) == contents(events)
            body = mutator.json_body(MODEL_LIST)
            with run.case(number, body), suppress(ValueError, RecursionError):
                check_models(json.loads(body))


def http_response(mutator: ServiceMutator, body: bytes, content_type: str) -> list[bytes | float]:
    status = mutator.random.choice(STATUSES)
    headers = [mutator.random.choice(HEADERS)] if mutator.random.random() < 0.3 else []
    length = mutator.random.choice(
        [f"Content-Length: {len(body)}"] * 3 + ["Connection: close", "Content-Length: 99999999"]
    )
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", length, *headers, "", ""])
    pieces = mutator.split(body)
    return [head.encode(), *(pieces if len(pieces) < 50 else [body])]


def random_response(mutator: ServiceMutator) -> list[bytes | float]:
    kind = mutator.random.randrange(6)
    if kind < 4:
        body, content_type = mutator.stream(), "text/event-stream"
    else:
        body, content_type = mutator.json_body(mutator.random.choice(ERROR_BODIES)), "application/json"
    if mutator.random.random() < 0.1:
        content_type = mutator.random.choice(["text/html", "application/json", "\xff".encode().decode("latin-1")])
    return http_response(mutator, body, content_type)


async def check_client(mutator: ServiceMutator, serve: Callable[[list[bytes | float]], None], api: ModelApi) -> None:
    serve(random_response(mutator))
    events: list[StreamEvent] = []
    failure = None
    try:
        async for event in api.stream(REQUEST):
            events.append(event)
    except ModelError as error:
        failure = error.failure
    check_events(events, failure, max_chars=2 * MAX_ANSWER_CHARS)
    serve(http_response(mutator, mutator.json_body(EMBEDDINGS), "application/json"))
    with suppress(ModelError):
        result = await api.embed(["one", "two"])
        assert result.vectors.shape[0] == 2
        assert np.isfinite(result.vectors).all()
        assert 0 <= result.tokens <= MAX_TOKENS_PER_REQUEST
    serve(http_response(mutator, mutator.json_body(MODEL_LIST), "application/json"))
    with suppress(ModelError):
        await api.list_models()


class ResponsePlayer:
    """Serves one response again and again."""

    def __init__(self) -> None:
        self.steps: list[bytes | float] = []

    def serve(self, steps: list[bytes | float]) -> None:
        self.steps = steps

    def __call__(self, _number: int) -> list[bytes | float]:
        return self.steps


@pytest.mark.slow
@pytest.mark.timeout(time_limit(RESPONSES))
async def test_client_raises_only_model_errors() -> None:
    mutator = ServiceMutator(SEED)
    player = ResponsePlayer()
    async with raw_server(player) as server:
        api = ModelApi(server.url, "secret-key", timeouts=TIMEOUTS, timings=TIMINGS)
        try:
            with Run("client calls") as run:
                for number in range(RESPONSES // 10):
                    with run.case(number, player.steps):
                        await check_client(mutator, player.serve, api)
        finally:
            await api.close()


class RawModelService:
    """The address and key of a server."""

    api_key = "secret-key-of-the-service"

    def __init__(self, server: RawServer) -> None:
        self.base_url = server.url


async def has_no_open_turn(adapter: FakeAdapter) -> bool:
    return set(await adapter.store.read(turn_states)) <= {"done", "failed"}


@pytest.mark.slow
@pytest.mark.timeout(time_limit(RESPONSES))
async def test_every_question_ends_with_message(tmp_path: Path) -> None:
    mutator = ServiceMutator(SEED)
    player = ResponsePlayer()
    async with (
        raw_server(player) as server,
        running_engine(tmp_path, RawModelService(server), timings=TIMINGS) as adapter,
    ):
        with Run("questions") as run:
            for number in range(max(RESPONSES // 40, 10)):
                player.serve(random_response(mutator))
                with run.case(number, player.steps):
                    await adapter.ask("/new")
                    answer = await adapter.ask("hello")
                    assert answer.strip()
                    assert "\0" not in answer
                    await wait_until(partial(has_no_open_turn, adapter), 30)
