"""The client against every wire that was seen, byte by byte."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from aiohttp import web

from bots.sandbox.model import ModelStandIn
from core.api.client import Message, ModelApi, Patience, Request
from core.api.events import Event, Finished, FinishReason, Reasoning, Text, Usage
from core.errors import Failure, ModelError
from tests.core.api.wire import DONE, SSE, chunk, event, last, plain, serving

REQUEST = Request("some/model", (Message("user", "hello"),))
ENOUGH = Patience(connect=5, first_token=20, between_tokens=20, total=60)
IMPATIENT = Patience(connect=1, first_token=0.3, between_tokens=0.3, total=2)


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: ModelError | None = None

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Text))

    @property
    def thought(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Reasoning))

    @property
    def usage(self) -> Usage | None:
        return next((e for e in reversed(self.events) if isinstance(e, Usage)), None)


async def ask(url: str, patience: Patience = ENOUGH) -> Heard:
    heard = Heard()
    api = ModelApi(url, "secret-key", patience=patience)
    try:
        async for item in api.stream(REQUEST):
            heard.events.append(item)
    except ModelError as error:
        heard.error = error
    finally:
        await api.close()
    return heard


async def hear(*pieces: bytes | float, patience: Patience = ENOUGH) -> Heard:
    async with serving(lambda _n: list(pieces)) as wire:
        return await ask(wire.url, patience)


RECORDED = (
    event(
        {
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            ],
            "usage": {"prompt_tokens": 57, "total_tokens": 57, "completion_tokens": 0},
        }
    )
    + event(
        {
            "choices": [{"index": 0, "delta": {"reasoning_content": "We"}, "finish_reason": None}],
            "usage": {"prompt_tokens": 57, "total_tokens": 60, "completion_tokens": 3},
        }
    )
    + event({"choices": [{"index": 0, "delta": {"content": "\n\nhello"}, "finish_reason": "stop"}]})
    + event(
        {"choices": [], "usage": {"prompt_tokens": 57, "total_tokens": 65, "completion_tokens": 8}}
    )
    + DONE
)


async def test_the_recorded_stream() -> None:
    heard = await hear(SSE + RECORDED)
    assert (heard.thought, heard.text) == ("We", "hello")
    assert heard.usage == Usage(57, 8, 65)
    assert heard.events[-1] == Finished(FinishReason.STOP)


async def test_bytes_may_be_split_anywhere() -> None:
    stream = RECORDED.replace(b"hello", "hé😀llo".encode())
    for cut in range(0, len(stream), 7):
        heard = await hear(SSE, stream[:cut] or b":", stream[cut:])
        assert heard.text == "hé😀llo"


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(last() + DONE, id="finish and done"),
        pytest.param(last(), id="finish alone"),
        pytest.param(DONE, id="done alone"),
        pytest.param(last().rstrip(b"\n"), id="last event without an empty line"),
        pytest.param(last().replace(b"\n", b"\r\n"), id="carriage returns"),
        pytest.param(last().replace(b"data: ", b"data:"), id="no space"),
        pytest.param(b"event: ping\n\nid: 7\n\n: comment\n\n" + last(), id="empty events"),
        pytest.param(event({"choices": None}) + event(None) + last(), id="nulls"),
        pytest.param(event({"choices": [{"delta": None}]}) + last(), id="a null delta"),
        pytest.param(
            event({"choices": [{"index": 1, "delta": {"content": "no"}}]}) + last(), id="index 1"
        ),
    ],
)
async def test_good_ends(ending: bytes) -> None:
    heard = await hear(SSE + chunk(content="yes") + ending)
    assert heard.error is None
    assert heard.text == "yes"
    assert isinstance(heard.events[-1], Finished)


@pytest.mark.parametrize(
    ("stream", "failure", "text"),
    [
        pytest.param(chunk(content="half"), Failure.TRUNCATED, "half", id="no end"),
        pytest.param(b"", Failure.UNAVAILABLE, "", id="no event"),
        pytest.param(
            chunk(content="a") + b"data: {oops\n\n", Failure.MALFORMED, "a", id="bad JSON"
        ),
        pytest.param(
            chunk(content="a") + b'data: "\xff\xfe"\n\n', Failure.MALFORMED, "a", id="bad UTF-8"
        ),
        pytest.param(
            chunk(reasoning_content="hm") + last("length"), Failure.EMPTY, "", id="thought only"
        ),
        pytest.param(last("content_filter"), Failure.FILTERED, "", id="filtered"),
        pytest.param(
            chunk(content="a") + event({"error": {"message": "broken", "code": 500}}),
            Failure.UNAVAILABLE,
            "a",
            id="error object",
        ),
        pytest.param(event({"error": "no"}), Failure.UNAVAILABLE, "", id="error text"),
        pytest.param(
            event({"object": "error", "message": "no"}), Failure.UNAVAILABLE, "", id="old vLLM"
        ),
        pytest.param(event({"detail": "no"}), Failure.UNAVAILABLE, "", id="detail"),
        pytest.param(
            b"event: error\n" + event({"message": "no"}), Failure.UNAVAILABLE, "", id="event"
        ),
        pytest.param(
            event({"error": {"message": "maximum context length is 4096 tokens", "code": 400}}),
            Failure.OVERFLOW,
            "",
            id="overflow in the stream",
        ),
    ],
)
async def test_bad_streams(stream: bytes, failure: Failure, text: str) -> None:
    heard = await hear(SSE + stream)
    assert heard.error is not None
    assert heard.error.failure is failure
    assert heard.text == text


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (plain(401, b'{"detail":"Invalid API Key"}'), Failure.AUTHENTICATION),
        (plain(402, b'{"detail":"tier"}'), Failure.PAYMENT),
        (plain(404, b"{}"), Failure.UNKNOWN_MODEL),
        (plain(422, b'{"detail":[{"msg":"no","loc":["body","temperature"]}]}'), Failure.REFUSED),
        (plain(429, b'{"detail":"slow"}', "Retry-After: 60"), Failure.RATE),
        (plain(429, b'{"detail":"slow"}', "Retry-After: 3600"), Failure.QUOTA),
        (plain(429, b'{"detail":"daily quota"}'), Failure.QUOTA),
        (plain(502, b"<html>", kind="text/html"), Failure.UNAVAILABLE),
        (plain(200, b"<html>", kind="text/html"), Failure.UNAVAILABLE),
        (plain(200, b'{"error":{"message":"broken"}}'), Failure.UNAVAILABLE),
        (plain(200, b""), Failure.UNAVAILABLE),
        (b"", Failure.UNAVAILABLE),
    ],
)
async def test_refusals(answer: bytes, failure: Failure) -> None:
    heard = await hear(answer)
    assert heard.error is not None
    assert heard.error.failure is failure
    assert "secret" not in str(heard.error)
    assert "127.0.0.1" not in str(heard.error)


async def test_an_unknown_model_names_those_there_are() -> None:
    said = "The requested model is not available for Chat Completions API. Available models: ['a/b', 'c/d']"
    heard = await hear(plain(400, msgspec.json.encode({"detail": said})))
    assert heard.error is not None
    assert heard.error.failure is Failure.UNKNOWN_MODEL
    assert heard.error.available == ("a/b", "c/d")


async def test_a_passing_failure_is_tried_again_and_a_begun_answer_never() -> None:
    good = SSE + chunk(content="yes") + last()
    async with serving(lambda n: [plain(503, b"busy") if n < 3 else good]) as wire:
        heard = await ask(wire.url)
        assert (heard.text, len(wire.requests)) == ("yes", 3)
    async with serving(lambda _n: [SSE + chunk(content="half")]) as wire:
        heard = await ask(wire.url)
        assert (heard.text, len(wire.requests)) == ("half", 1)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([5.0], id="no headers"),
        pytest.param([SSE, 5.0], id="no first token"),
        pytest.param([SSE + chunk(content="a"), 5.0], id="in mid-answer"),
        pytest.param([SSE] + [b": alive\n\n", 0.1] * 20, id="comments only"),
    ],
)
async def test_stalls_are_noticed(pieces: list[bytes | float]) -> None:
    async with asyncio.timeout(20):
        heard = await hear(*pieces, patience=IMPATIENT)
    assert heard.error is not None
    assert heard.error.failure is Failure.STALLED


async def test_nobody_there() -> None:
    heard = await ask("http://127.0.0.1:9/api/v1/")
    assert heard.error is not None
    assert heard.error.failure is Failure.UNAVAILABLE


async def test_closing_the_stream_closes_the_connection_at_once() -> None:
    async with serving(lambda _n: [SSE + chunk(content="a"), 30.0]) as wire:
        api = ModelApi(wire.url, "k")
        async with aclosing(api.stream(REQUEST)) as events:
            async for item in events:
                if isinstance(item, Text):
                    break
        async with asyncio.timeout(1):
            await wire.gone.wait()
        await api.close()


async def test_cancelling_the_reader_closes_the_connection_at_once() -> None:
    async with serving(lambda _n: [SSE + chunk(content="a"), 30.0]) as wire:
        api = ModelApi(wire.url, "k")
        begun = asyncio.Event()

        async def read() -> None:
            async with aclosing(api.stream(REQUEST)) as events:
                async for _ in events:
                    begun.set()

        task = asyncio.create_task(read())
        async with asyncio.timeout(3):
            await begun.wait()
        task.cancel()
        async with asyncio.timeout(1):
            await wire.gone.wait()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()


async def test_questions_one_after_another_share_a_connection() -> None:
    """A new one for each costs a handshake before the first token."""
    seen: set[object] = set()

    class Seeing(ModelStandIn):
        async def _chat(self, asked: Any) -> web.StreamResponse:
            seen.add(asked.http.transport)
            return await super()._chat(asked)

    model = Seeing(tokens_per_second=10_000)
    await model.start()
    api = ModelApi(model.base_url, model.api_key)
    asked = Request(next(iter(model.models)), REQUEST.messages)
    for _ in range(5):
        events = [one async for one in api.stream(asked)]
        assert isinstance(events[-1], Finished)
    await api.close()
    await model.close()
    assert len(seen) == 1


async def test_a_server_that_goes_on_after_the_end_is_not_waited_for() -> None:
    async with serving(lambda _n: [SSE + chunk(content="a") + last() + DONE, 30.0]) as wire:
        async with asyncio.timeout(3):
            heard = await ask(wire.url)
        assert (heard.text, heard.error) == ("a", None)


@pytest.mark.parametrize(
    ("pieces", "thought", "text"),
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
async def test_thoughts_written_into_the_answer(pieces: list[str], thought: str, text: str) -> None:
    heard = await hear(SSE + b"".join(chunk(content=piece) for piece in pieces) + last())
    assert (heard.thought, heard.text) == (thought, text)
