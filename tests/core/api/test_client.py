"""The client against raw bytes: every form of response that services were seen to send."""

import asyncio
import gc
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
import pytest
from aiohttp import web

from bots.sandbox.model import ModelStandIn
from core.api.client import ChatRequest, ModelApi, StreamTimeouts
from core.api.events import (
    Finished,
    FinishReason,
    TextDelta,
    UsageReport,
)
from core.errors import ModelError, ModelFailure
from tests.core.api.raw_server import (
    DONE,
    SSE_HEAD,
    chunk,
    final_chunk,
    raw_server,
    response,
    sse_event,
)
from tests.core.api.stream_result import LONG_TIMEOUTS, REQUEST, StreamResult, read_stream

SHORT_TIMEOUTS = StreamTimeouts(connect=1, first_token=0.3, between_tokens=0.3, total=2)


async def receive(*steps: bytes | float, timeouts: StreamTimeouts = LONG_TIMEOUTS) -> StreamResult:
    """Ask a server that sends `steps`: bytes, and floats, seconds of silence."""
    async with raw_server(lambda _n: list(steps)) as server:
        return await read_stream(server.url, timeouts=timeouts)


RECORDED = (
    sse_event(
        {
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
            "usage": {"prompt_tokens": 57, "total_tokens": 57, "completion_tokens": 0},
        }
    )
    + sse_event(
        {
            "choices": [{"index": 0, "delta": {"reasoning_content": "We"}, "finish_reason": None}],
            "usage": {"prompt_tokens": 57, "total_tokens": 60, "completion_tokens": 3},
        }
    )
    + sse_event({"choices": [{"index": 0, "delta": {"content": "\n\nhello"}, "finish_reason": "stop"}]})
    + sse_event({"choices": [], "usage": {"prompt_tokens": 57, "total_tokens": 65, "completion_tokens": 8}})
    + DONE
)


def test_start_does_not_wait_for_the_openai_package() -> None:
    """The application with both adapters."""
    program = "import sys, core.app, bots.discord.adapter, bots.telegram.adapter; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_closed_client_opens_no_connection() -> None:
    async with raw_server(lambda _n: [response(200, b"{}")]) as server:
        api = ModelApi(server.url, "key")
        await api.close()
        with pytest.raises(ModelError) as caught:
            await api.list_models()
    assert caught.value.failure is ModelFailure.UNREACHABLE


async def test_an_open_stream_keeps_neither_the_request_nor_the_response_in_memory() -> None:
    """The request has the whole conversation once more."""
    async with raw_server(lambda _n: [SSE_HEAD + chunk(content="yes"), 60.0]) as server:
        api = ModelApi(server.url, "key", timeouts=LONG_TIMEOUTS)
        async with aclosing(api.stream(REQUEST)) as events:
            assert await anext(events) == TextDelta("yes")
            gc.collect()
            kept = [type(thing) for thing in gc.get_objects() if type(thing) in (httpx2.Request, httpx2.Response)]
        await server.disconnected.wait()
        await api.close()
    assert kept == []


async def test_recorded_stream() -> None:
    result = await receive(SSE_HEAD + RECORDED)
    assert (result.reasoning, result.text) == ("We", "hello")
    assert result.usage == UsageReport(57, 8)
    assert result.events[-1] == Finished(FinishReason.STOP)


@pytest.mark.slow
async def test_stream_may_be_split_anywhere() -> None:
    stream = RECORDED.replace(b"hello", "hé😀llo".encode())
    for cut in range(0, len(stream), 7):
        result = await receive(SSE_HEAD, stream[:cut] or b":", stream[cut:])
        assert result.text == "hé😀llo"


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(final_chunk() + DONE, id="finish and done"),
        pytest.param(final_chunk(), id="finish alone"),
        pytest.param(DONE, id="done alone"),
        pytest.param(final_chunk().rstrip(b"\n"), id="no empty line after the last event"),
        pytest.param(final_chunk().replace(b"\n", b"\r\n"), id="carriage returns"),
        pytest.param(final_chunk().replace(b"data: ", b"data:"), id="no space"),
        pytest.param(b"event: ping\n\nid: 7\n\n: comment\n\n" + final_chunk(), id="empty events"),
        pytest.param(sse_event({"choices": None}) + sse_event(None) + final_chunk(), id="nulls"),
        pytest.param(sse_event({"choices": [{"delta": None}]}) + final_chunk(), id="a null delta"),
        pytest.param(
            sse_event({"choices": [{"index": 1, "delta": {"content": "no"}}]}) + final_chunk(),
            id="index 1",
        ),
    ],
)
async def test_successful_endings(ending: bytes) -> None:
    result = await receive(SSE_HEAD + chunk(content="yes") + ending)
    assert result.error is None
    assert result.text == "yes"
    assert isinstance(result.events[-1], Finished)


@pytest.mark.parametrize(
    ("stream", "failure", "text"),
    [
        pytest.param(chunk(content="half"), ModelFailure.TRUNCATED, "half", id="no end"),
        pytest.param(b"", ModelFailure.UNAVAILABLE, "", id="no event"),
        pytest.param(chunk(content="a") + b"data: {oops\n\n" * 3, ModelFailure.MALFORMED, "a", id="bad JSON"),
        pytest.param(
            chunk(content="a") + b"data: \xff\xfe\n\n" * 3,
            ModelFailure.MALFORMED,
            "a",
            id="bad UTF-8",
        ),
        pytest.param(
            chunk(reasoning_content="hm") + final_chunk("length"),
            ModelFailure.EMPTY,
            "",
            id="reasoning only",
        ),
        pytest.param(final_chunk("content_filter"), ModelFailure.FILTERED, "", id="filtered"),
        pytest.param(
            chunk(content="a") + sse_event({"error": {"message": "broken", "code": 500}}),
            ModelFailure.SERVER_ERROR,
            "a",
            id="error object",
        ),
        pytest.param(sse_event({"error": "no"}), ModelFailure.SERVER_ERROR, "", id="error text"),
        pytest.param(
            sse_event({"object": "error", "message": "no"}),
            ModelFailure.SERVER_ERROR,
            "",
            id="old vLLM",
        ),
        pytest.param(sse_event({"detail": "no"}), ModelFailure.SERVER_ERROR, "", id="detail"),
        pytest.param(
            b"event: error\n" + sse_event({"message": "no"}),
            ModelFailure.SERVER_ERROR,
            "",
            id="event type",
        ),
        pytest.param(
            sse_event({"error": {"message": "maximum context length is 4096 tokens", "code": 400}}),
            ModelFailure.OVERFLOW,
            "",
            id="overflow in the stream",
        ),
    ],
)
async def test_broken_streams(stream: bytes, failure: ModelFailure, text: str) -> None:
    result = await receive(SSE_HEAD + stream)
    assert result.error is not None
    assert result.error.failure is failure
    assert result.text == text


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (response(401, b'{"detail":"Invalid API Key"}'), ModelFailure.AUTHENTICATION),
        (response(402, b'{"detail":"tier"}'), ModelFailure.PAYMENT),
        (response(404, b"{}"), ModelFailure.WRONG_ADDRESS),
        (
            response(422, b'{"detail":[{"msg":"no","loc":["body","temperature"]}]}'),
            ModelFailure.REFUSED,
        ),
        (response(429, b'{"detail":"slow"}', "Retry-After: 60"), ModelFailure.RATE_LIMITED),
        (response(429, b'{"detail":"slow"}', "Retry-After: 3600"), ModelFailure.QUOTA),
        (response(429, b'{"detail":"daily quota"}'), ModelFailure.QUOTA),
        (response(502, b"<html>", content_type="text/html"), ModelFailure.UNAVAILABLE),
        (response(200, b"<html>", content_type="text/html"), ModelFailure.UNAVAILABLE),
        (response(200, b'{"error":{"message":"broken"}}'), ModelFailure.SERVER_ERROR),
        (response(200, b""), ModelFailure.UNAVAILABLE),
        (b"", ModelFailure.UNREACHABLE),
    ],
)
async def test_refusals(answer: bytes, failure: ModelFailure) -> None:
    result = await receive(answer)
    assert result.error is not None
    assert result.error.failure is failure
    assert "secret" not in str(result.error)
    assert "127.0.0.1" not in str(result.error)


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain"])
@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b" \n\xef\xbb\xbf "])
async def test_byte_order_mark_before_the_answer_is_ignored(content_type: str, before: bytes) -> None:
    is_stream = content_type == "text/event-stream"
    body = (before.strip() if is_stream else before) + chunk(content="yes") + final_chunk()
    result = await receive(response(200, body, content_type=content_type))
    assert (result.text, result.error) == ("yes", None)


async def test_unknown_model_is_recognised() -> None:
    message = "The requested model is not available for Chat Completions API. Available models: ['a/b', 'c/d']"
    result = await receive(response(400, msgspec.json.encode({"detail": message})))
    assert result.error is not None
    assert result.error.failure is ModelFailure.UNKNOWN_MODEL


async def test_retries_transient_failure_but_not_started_answer() -> None:
    good = SSE_HEAD + chunk(content="yes") + final_chunk()
    async with raw_server(lambda n: [response(503, b"busy") if n < 3 else good]) as server:
        result = await read_stream(server.url)
        assert (result.text, len(server.requests)) == ("yes", 3)
    async with raw_server(lambda _n: [SSE_HEAD + chunk(content="half")]) as server:
        result = await read_stream(server.url)
        assert (result.text, len(server.requests)) == ("half", 1)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([5.0], id="no headers"),
        pytest.param([SSE_HEAD, 5.0], id="no first token"),
        pytest.param([SSE_HEAD + chunk(content="a"), 5.0], id="in the middle of an answer"),
        pytest.param([SSE_HEAD] + [b": alive\n\n", 0.1] * 20, id="comments only"),
    ],
)
async def test_stalled_stream_times_out(steps: list[bytes | float]) -> None:
    async with asyncio.timeout(20):
        result = await receive(*steps, timeouts=SHORT_TIMEOUTS)
    assert result.error is not None
    assert result.error.failure is ModelFailure.STALLED


async def test_unreachable_service() -> None:
    result = await read_stream("http://127.0.0.1:9/api/v1/")
    assert result.error is not None
    assert result.error.failure is ModelFailure.UNREACHABLE


async def test_list_of_models_of_unreachable_service() -> None:
    api = ModelApi("http://127.0.0.1:9/api/v1/", "k")
    with pytest.raises(ModelError) as raised:
        await api.list_models()
    await api.close()
    assert raised.value.failure is ModelFailure.UNREACHABLE


async def test_closing_stream_closes_connection() -> None:
    async with raw_server(lambda _n: [SSE_HEAD + chunk(content="a"), 30.0]) as server:
        api = ModelApi(server.url, "k")
        async with aclosing(api.stream(REQUEST)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        async with asyncio.timeout(10):
            await server.disconnected.wait()
        await api.close()


async def test_cancelling_reader_closes_connection() -> None:
    async with raw_server(lambda _n: [SSE_HEAD + chunk(content="a"), 30.0]) as server:
        api = ModelApi(server.url, "k")
        started = asyncio.Event()

        async def read() -> None:
            async with aclosing(api.stream(REQUEST)) as events:
                async for _ in events:
                    started.set()

        task = asyncio.create_task(read())
        async with asyncio.timeout(10):
            await started.wait()
        task.cancel()
        async with asyncio.timeout(10):
            await server.disconnected.wait()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()


async def test_sequential_requests_share_connection() -> None:
    """A new connection would cost a handshake before the first token."""
    connections: set[object] = set()

    class RecordingModel(ModelStandIn):
        async def _chat_completion(self, call: Any) -> web.StreamResponse:
            connections.add(call.http_request.transport)
            return await super()._chat_completion(call)

    model = RecordingModel(tokens_per_second=10_000)
    await model.start()
    api = ModelApi(model.base_url, model.api_key)
    request = ChatRequest(next(iter(model.models)), REQUEST.messages)
    for _ in range(5):
        events = [event async for event in api.stream(request)]
        assert isinstance(events[-1], Finished)
    await api.close()
    await model.close()
    assert len(connections) == 1


async def test_stream_ends_at_done() -> None:
    async with raw_server(lambda _n: [SSE_HEAD + chunk(content="a") + final_chunk() + DONE, 30.0]) as server:
        async with asyncio.timeout(10):
            result = await read_stream(server.url)
        assert (result.text, result.error) == ("a", None)


@pytest.mark.parametrize(
    ("contents", "reasoning", "text"),
    [
        (["<think>hm</think>yes"], "hm", "yes"),
        (list("<think>hm</think>\n\nyes"), "hm", "yes"),
        (["\n<think>", "hm", "</thi", "nk>", "yes"], "hm", "yes"),
        (["<think>never closed"], "never closed", ""),
        (["a <think> in the text </think> stays"], "", "a <think> in the text </think> stays"),
        (["if a </b> then"], "", "if a </b> then"),
        (["<thinking>hm</thinking>yes"], "hm", "yes"),
        (["<thin", "g> is no tag"], "", "<thing> is no tag"),
    ],
)
async def test_inline_reasoning_is_separated(contents: list[str], reasoning: str, text: str) -> None:
    result = await receive(SSE_HEAD + b"".join(chunk(content=content) for content in contents) + final_chunk())
    assert (result.reasoning, result.text) == (reasoning, text)
