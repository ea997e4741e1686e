"""A service that means no good: what it says is bounded, and never breaks what it cannot answer."""

import asyncio
import gzip
import time
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from core.api import sse
from core.api.catalogue import LARGEST_CONTEXT, MOST_MODELS, parse
from core.api.classification import from_payload, from_response
from core.api.client import ModelApi
from core.api.events import Reasoning, Text
from core.api.sse import Events
from core.api.think import Thoughts
from core.conversation.models import Models
from core.errors import Failure, ModelError
from core.store.database import Store
from tests.core.api.test_client import ask, hear
from tests.core.api.test_embedding import answer, get
from tests.core.api.wire import DONE, SSE, chunk, event, last, plain, serving

MUCH = 512 * 1024 * 1024
ENDLESS = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"


def used(prompt: object, completion: object) -> bytes:
    told = {"prompt_tokens": prompt, "completion_tokens": completion}
    return event({"choices": [], "usage": told})


@pytest.mark.parametrize(
    "told",
    [
        used(10**30, 1),
        used(2**40, 1),
        used(-1, 1),
        used(True, True),
        used("57", 8),
        used(None, None),
        b'data: {"choices":[],"usage":{"prompt_tokens":1e300}}\n\n',
        event({"choices": [], "usage": "many"}),
    ],
)
async def test_tokens_that_nobody_can_have_used_are_not_counted(told: bytes) -> None:
    heard = await hear(SSE + chunk(content="hello") + told + last() + DONE)
    assert (heard.text, heard.usage, heard.error) == ("hello", None, None)


async def test_an_answer_of_impossible_length_costs_what_the_question_does() -> None:
    heard = await hear(SSE + chunk(content="hello") + used(57, 2**40) + last() + DONE)
    assert heard.usage is not None
    assert (heard.usage.prompt, heard.usage.completion) == (57, 0)


@pytest.mark.parametrize("tokens", [-5, 10**30, "7", True, None])
async def test_tokens_of_vectors_are_counted_where_they_can_be(tokens: object) -> None:
    made = await get(answer([1, 0], [0, 1], usage={"total_tokens": tokens}))
    assert made.tokens == 0


async def test_a_vector_of_numbers_that_no_float_holds_is_none() -> None:
    with pytest.raises(ModelError) as caught:
        await get(plain(200, b'{"data":[{"embedding":[1%s]}]}' % (b"0" * 400)), texts=("one",))
    assert caught.value.failure is Failure.MALFORMED


def endless(status: int, *headers: bytes) -> list[bytes | float]:
    lines = b"".join(header + b"\r\n" for header in headers)
    return [ENDLESS % (status, MUCH, lines), *[b"model " * 20_000] * 200, 30.0]


async def test_an_error_that_does_not_end_is_read_in_part() -> None:
    async with serving(lambda _n: endless(401)) as wire:
        began = time.monotonic()
        heard = await ask(wire.url)
        assert heard.error is not None
        assert heard.error.failure is Failure.AUTHENTICATION
        assert time.monotonic() - began < 5
        async with asyncio.timeout(5):
            await wire.gone.wait()


async def test_an_error_that_swells_is_not_unpacked() -> None:
    bomb = gzip.compress(b"model " * 20_000_000)
    async with serving(lambda _n: [plain(401, bomb, "Content-Encoding: gzip")]) as wire:
        tracemalloc.start()
        heard = await ask(wire.url)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert heard.error is not None
    assert heard.error.failure is Failure.AUTHENTICATION
    assert most < 20_000_000


async def test_a_list_of_models_that_swells_is_refused() -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    async with serving(lambda _n: [plain(200, bomb, "Content-Encoding: gzip")]) as wire:
        api = ModelApi(wire.url, "secret-key")
        try:
            tracemalloc.start()
            with pytest.raises(ModelError) as caught:
                await api.models()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            await api.close()
    assert caught.value.failure is Failure.MALFORMED
    assert most < 150_000_000


def test_of_a_list_without_end_the_first_models_are_known() -> None:
    listed = parse({"data": [{"id": f"lab/model-{number}"} for number in range(3 * MOST_MODELS)]})
    assert len(listed) == MOST_MODELS


@pytest.mark.parametrize("length", [10**30, True, -1, 1.5, "8192"])
def test_windows_and_quotas_that_cannot_be_are_not_known(length: object) -> None:
    told = {"context_window": length, "api_completions_daily_quota_tier_1": length}
    (model,) = parse({"data": [{"id": "lab/model", **told}]})
    assert 0 <= model.context <= LARGEST_CONTEXT
    assert model.daily_quota is None
    assert msgspec.json.decode(msgspec.json.encode(model))["id"] == "lab/model"


def test_an_event_of_empty_lines_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_EVENT", 10_000)
    events = Events()
    with pytest.raises(ModelError):
        list(events.feed(b"data:\n" * 11_000))


def test_an_answer_that_begins_with_blanks_without_end_takes_no_time() -> None:
    thoughts = Thoughts()
    began = time.process_time()
    for _ in range(300_000):
        assert thoughts.feed("\n") == []
    assert time.process_time() - began < 3
    assert thoughts.feed("<think>why</think>hello") == [Reasoning("why"), Text("hello")]


@pytest.mark.parametrize("name", ["two\nlines", "\x07", "a\u202eb"])
def test_a_model_with_a_name_that_nobody_can_write_is_left_out(name: str) -> None:
    assert parse({"data": [{"id": name}, {"id": "lab/"}]})[0].name == "lab/"


UNREADABLE = [b'{"data":[{"id":"\xff\xfe"}]}', b'{"data":' + b"[" * 100_000, b"\x00", b""]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_bytes_that_are_no_json_are_an_error_of_the_service(body: bytes) -> None:
    async with serving(lambda _n: [plain(200, body)]) as wire:
        api = ModelApi(wire.url, "secret-key")
        try:
            with pytest.raises(ModelError):
                await api.models()
            with pytest.raises(ModelError):
                await api.embed(["one"])
        finally:
            await api.close()
        heard = await ask(wire.url)
    assert heard.error is not None


@pytest.mark.parametrize("body", UNREADABLE[:2])
async def test_a_list_of_models_that_is_no_json_ends_nothing(body: bytes, tmp_path: Path) -> None:
    async with serving(lambda _n: [plain(200, body)]) as wire:
        store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
        await store.open()
        api = ModelApi(wire.url, "secret-key")
        try:
            assert not await Models(api, store, {}).refresh()
        finally:
            await asyncio.gather(api.close(), store.close())


@pytest.mark.parametrize("body", UNREADABLE[:2])
async def test_an_error_that_is_no_json_is_known_by_its_status(body: bytes) -> None:
    async with serving(lambda _n: [plain(401, body)]) as wire:
        heard = await ask(wire.url)
    assert heard.error is not None
    assert heard.error.failure is Failure.AUTHENTICATION


HUGE = 10**5000


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ({"detail": f"maximum context length is {'9' * 5000} tokens"}, Failure.OVERFLOW),
        ({"detail": HUGE}, Failure.UNAVAILABLE),
        ({"detail": [{"msg": HUGE, "loc": ["body", HUGE]}]}, Failure.UNAVAILABLE),
        ({"error": {"message": "x", "code": HUGE}}, Failure.UNAVAILABLE),
        ({"error": {"message": "x", "code": [404]}}, Failure.UNAVAILABLE),
        ({"detail": "Unknown model. Available models: [{{}}]"}, Failure.UNKNOWN_MODEL),
        ({"detail": f"Unknown model. Available models: [{'-' * 5000}1]"}, Failure.UNKNOWN_MODEL),
        ({"detail": "Unknown model. " + "Available models: [" * 100_000}, Failure.UNKNOWN_MODEL),
    ],
)
def test_an_error_that_cannot_be_read_is_an_error_all_the_same(
    said: object, failure: Failure
) -> None:
    began = time.process_time()
    for error in (from_payload(said), from_response(500, said, {})):
        assert error.failure is failure
        assert not error.available
    assert time.process_time() - began < 1
