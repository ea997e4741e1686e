"""The client against llmock, a stand-in for OpenAI's API that this project did not write."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.api.client import ChatRequest, Message, StreamTimeouts
from core.api.events import Finished, FinishReason
from core.errors import ModelFailure
from tests.core.api.stream_result import StreamResult, read_stream
from tests.ports import free_port
from tests.tools import find_tool

pytestmark = pytest.mark.slow
REQUEST = ChatRequest("gpt-4o-mini", (Message("user", "Write a few sentences."),))
FINISHED = Finished(FinishReason.STOP)
TIMEOUTS = StreamTimeouts(connect=5, first_token=15, between_tokens=1.5, total=20)
SHORT_FIRST_TOKEN_TIMEOUT = 1.5


class Llmock:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def _call(self, path: str, body: object = None) -> dict[str, object]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_llmock/{path}", data, timeout=10) as response:
            content: dict[str, object] = json.load(response)
            return content

    def plan(self, **behaviour: object) -> None:
        self._call("reset", {})
        self._call("scenario", {"behaviors": [behaviour]})

    def request_count(self) -> object:
        return self._call("requests")["count"]


@pytest.fixture(scope="module")
def server() -> Iterator[Llmock]:
    llmock = find_tool("llmock")
    port = free_port()
    process = subprocess.Popen(
        [llmock, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "info"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("Uvicorn running" in line for line in process.stderr), "llmock did not start"
        yield Llmock(port)
    finally:
        process.terminate()
        process.communicate(timeout=20)


async def ask(server: Llmock, timeouts: StreamTimeouts = TIMEOUTS) -> StreamResult:
    return await read_stream(f"{server.url}/v1/", REQUEST, key="any-key", timeouts=timeouts)


async def test_answer(server: Llmock) -> None:
    server.plan(type="reply", text="It is **all** here. 这里。")
    result = await ask(server)
    assert (result.text, result.error) == ("It is **all** here. 这里。", None)
    assert result.last_event == FINISHED


async def test_no_key_is_needed(server: Llmock) -> None:
    server.plan(type="reply", text="Come in.")
    result = await read_stream(f"{server.url}/v1/", REQUEST, key="", timeouts=TIMEOUTS)
    assert (result.text, result.error) == ("Come in.", None)


@pytest.mark.parametrize(
    ("status", "failure", "requests"),
    [
        (400, ModelFailure.REFUSED, 1),
        (401, ModelFailure.AUTHENTICATION, 1),
        (402, ModelFailure.CREDIT, 1),
        (403, ModelFailure.AUTHENTICATION, 1),
        (404, ModelFailure.WRONG_ADDRESS, 1),
        (413, ModelFailure.OVERFLOW, 1),
        (422, ModelFailure.REFUSED, 1),
        (429, ModelFailure.RATE_LIMITED, 3),
        (500, ModelFailure.SERVER_ERROR, 3),
        (502, ModelFailure.UNAVAILABLE, 3),
        (503, ModelFailure.UNAVAILABLE, 3),
        (529, ModelFailure.UNAVAILABLE, 3),
    ],
)
async def test_refusals(server: Llmock, status: int, failure: ModelFailure, requests: int) -> None:
    server.plan(type="fail", status=status, times=None, message="No.")
    result = await ask(server)
    assert result.error is not None
    assert (result.events, result.error.failure, result.error.status) == ([], failure, status)
    assert server.request_count() == requests
    assert "any-key" not in str(result.error)
    assert server.url not in str(result.error)


async def test_retry_after_is_respected(server: Llmock) -> None:
    server.plan(type="fail", status=429, retry_after=1, times=1)
    started_at = time.monotonic()
    result = await ask(server)
    assert result.text
    assert result.last_event == FINISHED
    assert time.monotonic() - started_at >= 1


async def test_long_retry_after_means_exhausted_quota(server: Llmock) -> None:
    server.plan(type="fail", status=429, retry_after=3600, times=None)
    error = (await ask(server)).error
    assert error is not None
    assert (error.failure, error.retry_after) == (ModelFailure.QUOTA, 3600)
    assert server.request_count() == 1


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("disconnect", ModelFailure.TRUNCATED),
        ("truncate", ModelFailure.TRUNCATED),
        ("stall", ModelFailure.STALLED),
    ],
)
async def test_broken_streams(server: Llmock, kind: str, failure: ModelFailure) -> None:
    server.plan(type="stream_fault", kind=kind, after_chunks=3, times=None, stall_seconds=30)
    result = await ask(server)
    assert result.error is not None
    assert result.error.failure is failure
    assert result.text
    assert server.request_count() == 1, "no retry after the first event"


async def test_malformed_chunk_leaves_gap(server: Llmock) -> None:
    server.plan(type="stream_fault", kind="malformed", after_chunks=3, times=None)
    result = await ask(server)
    assert result.text
    assert result.last_event == Finished(FinishReason.STOP, has_gap=True)


@pytest.mark.parametrize(("seconds", "failure"), [(0.5, None), (30, ModelFailure.STALLED)], ids=["in time", "too late"])
async def test_slow_first_token(server: Llmock, seconds: float, failure: ModelFailure | None) -> None:
    server.plan(type="slow_first_token", seconds=seconds, times=None)
    timeouts = replace(TIMEOUTS, first_token=SHORT_FIRST_TOKEN_TIMEOUT) if failure else TIMEOUTS
    started_at = time.monotonic()
    result = await ask(server, timeouts)
    assert (result.error.failure if result.error else None) == failure
    assert bool(result.text) == (failure is None)
    assert time.monotonic() - started_at >= min(seconds, timeouts.first_token) - 0.01
