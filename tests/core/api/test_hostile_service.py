"""A broken or hostile service: whatever it sends costs bounded time and memory and ends in a `ModelError`."""

import asyncio
import gzip
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from core.api.catalogue import MAX_CONTEXT_TOKENS, MAX_MODELS, parse_models
from core.api.client import ModelApi
from core.api.errors import from_payload, from_response
from core.api.events import ReasoningDelta, TextDelta
from core.api.sse import SSEDecoder
from core.api.think_tags import ThinkTagParser
from core.conversation.model_registry import ModelRegistry
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from tests.core.api.raw_server import (
    DONE,
    SSE_HEAD,
    chunk,
    final_chunk,
    raw_server,
    response,
    sse_event,
)
from tests.core.api.stream_result import read_stream
from tests.core.api.test_client import receive
from tests.core.api.test_embedding import answer, embed_answers
from tests.sqlite import sqlite_url

HUGE_BODY_BYTES = 512 * 1024 * 1024
HUGE_NUMBER = 10**5000
ENDLESS_HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def usage_chunk(prompt: object, completion: object) -> bytes:
    return sse_event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


@pytest.mark.parametrize(
    "usage_event",
    [
        usage_chunk(10**30, 1),
        usage_chunk(2**40, 1),
        usage_chunk(-1, 1),
        usage_chunk(True, True),
        usage_chunk("57", 8),
        usage_chunk(None, None),
        b'data: {"choices":[],"usage":{"prompt_tokens":1e300}}\n\n',
        sse_event({"choices": [], "usage": "many"}),
    ],
)
async def test_impossible_usage_is_ignored(usage_event: bytes) -> None:
    result = await receive(SSE_HEAD + chunk(content="hello") + usage_event + final_chunk() + DONE)
    assert (result.text, result.usage, result.error) == ("hello", None, None)


async def test_impossible_completion_usage_is_ignored() -> None:
    result = await receive(SSE_HEAD + chunk(content="hello") + usage_chunk(57, 2**40) + final_chunk() + DONE)
    assert result.usage is not None
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (57, 0)


@pytest.mark.parametrize("tokens", [-5, 10**30, "7", True, None])
async def test_embedding_usage_is_validated(tokens: object) -> None:
    result = await embed_answers(answer([1, 0], [0, 1], usage={"total_tokens": tokens}))
    assert result.tokens == 0


async def test_vector_overflow_is_error() -> None:
    with pytest.raises(ModelError) as caught:
        await embed_answers(response(200, b'{"data":[{"embedding":[1%s]}]}' % (b"0" * 400)), texts=("one",))
    assert caught.value.failure is ModelFailure.MALFORMED


def endless_response(status: int) -> list[bytes | float]:
    return [ENDLESS_HEAD % (status, HUGE_BODY_BYTES), *[b"model " * 20_000] * 200, 30.0]


async def test_endless_answer_without_a_stream_ends_with_an_error() -> None:
    async with raw_server(lambda _n: endless_response(200)) as server, asyncio.timeout(20):
        result = await read_stream(server.url)
        assert result.error is not None
        assert result.error.failure is ModelFailure.UNAVAILABLE
        await server.disconnected.wait()


async def test_endless_error_body_is_truncated() -> None:
    async with raw_server(lambda _n: endless_response(401)) as server, asyncio.timeout(5):
        result = await read_stream(server.url)
        assert result.error is not None
        assert result.error.failure is ModelFailure.AUTHENTICATION
        await server.disconnected.wait()


@pytest.mark.slow
async def test_compressed_error_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"model " * 20_000_000)
    async with raw_server(lambda _n: [response(401, bomb, "Content-Encoding: gzip")]) as server:
        tracemalloc.start()
        result = await read_stream(server.url)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert result.error is not None
    assert result.error.failure is ModelFailure.AUTHENTICATION
    assert peak_bytes < 20_000_000


@pytest.mark.slow
async def test_compressed_model_list_bomb_is_refused() -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    async with raw_server(lambda _n: [response(200, bomb, "Content-Encoding: gzip")]) as server:
        api = ModelApi(server.url, "secret-key")
        try:
            tracemalloc.start()
            with pytest.raises(ModelError) as caught:
                await api.list_models()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await api.close()
    assert caught.value.failure is ModelFailure.MALFORMED
    assert peak_bytes < 150_000_000


def test_endless_model_list_is_truncated() -> None:
    listed = parse_models({"data": [{"id": f"lab/model-{number}"} for number in range(3 * MAX_MODELS)]})
    assert len(listed) == MAX_MODELS


@pytest.mark.parametrize("length", [10**30, True, -1, 1.5, "8192"])
def test_impossible_windows_and_quotas_are_ignored(length: object) -> None:
    fields = {"context_window": length, "api_completions_daily_quota_tier_1": length}
    (model,) = parse_models({"data": [{"id": "lab/model", **fields}]})
    assert 0 <= model.context_window <= MAX_CONTEXT_TOKENS
    assert model.daily_quota is None
    assert msgspec.json.decode(msgspec.json.encode(model))["id"] == "lab/model"


@pytest.mark.parametrize("content", [b"data:\n" * 11_000, b"data: " + b"x" * 10_000, b"x" * 10_001])
def test_unfinished_event_is_bounded(content: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        list(SSEDecoder(max_event_bytes=10_000).feed(content))
    assert caught.value.failure is ModelFailure.MALFORMED


@pytest.mark.slow
def test_leading_blanks_take_linear_time() -> None:
    parser = ThinkTagParser()
    blanks = "\n" * 100
    for _ in range(300_000):  # quadratic time would exceed the test's timeout
        assert parser.feed(blanks) == []
    assert parser.feed("<think>why</think>hello") == [ReasoningDelta("why"), TextDelta("hello")]


@pytest.mark.parametrize("name", ["two\nlines", "\x07", "a\u202eb"])
def test_unprintable_model_name_is_skipped(name: str) -> None:
    assert parse_models({"data": [{"id": name}, {"id": "lab/"}]})[0].name == "lab/"


INVALID_JSON = [b'{"data":[{"id":"\xff\xfe"}]}', b'{"data":' + b"[" * 100_000, b"\x00", b""]


@pytest.mark.slow
@pytest.mark.parametrize("body", INVALID_JSON)
async def test_invalid_json_is_service_error(body: bytes) -> None:
    async with raw_server(lambda _n: [response(200, body)]) as server:
        api = ModelApi(server.url, "secret-key")
        try:
            with pytest.raises(ModelError):
                await api.list_models()
            with pytest.raises(ModelError):
                await api.embed(["one"])
        finally:
            await api.close()
        result = await read_stream(server.url)
    assert result.error is not None


@pytest.mark.parametrize("body", INVALID_JSON[:2])
async def test_invalid_json_model_list_is_survived(body: bytes, tmp_path: Path) -> None:
    async with raw_server(lambda _n: [response(200, body)]) as server:
        store = Store(sqlite_url(tmp_path))
        await store.open()
        api = ModelApi(server.url, "secret-key")
        try:
            assert not await ModelRegistry(api, store, Settings()).refresh()
        finally:
            await asyncio.gather(api.close(), store.close())


@pytest.mark.parametrize("body", INVALID_JSON[:2])
async def test_invalid_json_error_is_classified_by_status(body: bytes) -> None:
    async with raw_server(lambda _n: [response(401, body)]) as server:
        result = await read_stream(server.url)
    assert result.error is not None
    assert result.error.failure is ModelFailure.AUTHENTICATION


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"detail": f"maximum context length is {'9' * 5000} tokens"}, ModelFailure.OVERFLOW),
        ({"detail": HUGE_NUMBER}, ModelFailure.SERVER_ERROR),
        ({"detail": [{"msg": HUGE_NUMBER, "loc": ["body", HUGE_NUMBER]}]}, ModelFailure.SERVER_ERROR),
        ({"error": {"message": "x", "code": HUGE_NUMBER}}, ModelFailure.SERVER_ERROR),
        ({"error": {"message": "x", "code": [404]}}, ModelFailure.SERVER_ERROR),
        ({"detail": "Unknown model. Available models: [{{}}]"}, ModelFailure.UNKNOWN_MODEL),
        (
            {"detail": f"Unknown model. Available models: [{'-' * 5000}1]"},
            ModelFailure.UNKNOWN_MODEL,
        ),
        (
            {"detail": "Unknown model. " + "Available models: [" * 200_000},
            ModelFailure.UNKNOWN_MODEL,
        ),
    ],
)
def test_unreadable_error_is_classified(body: object, failure: ModelFailure) -> None:
    for error in (from_payload(body), from_response(500, body, {}, now=0)):
        assert error.failure is failure
