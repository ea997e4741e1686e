"""The client against a server that others wrote: llmock, a process of its own."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.api.client import ChatRequest, Message, ModelApi, StreamTimeouts
from core.api.events import Finished, FinishReason, TextDelta
from core.errors import ModelError, ModelFailure
from tests.ports import free_port

LLMOCK = Path(sys.executable).with_name("llmock")
ASKED = ChatRequest("gpt-4o-mini", (Message("user", "Say something of some length, please."),))
TIMEOUTS = StreamTimeouts(connect=5, first_token=1.5, between_tokens=1.5, total=20)


class Llmock:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def _call(self, path: str, body: object = None) -> dict[str, object]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}/_llmock/{path}", data, timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def plan(self, **behaviour: object) -> None:
        self._call("reset", {})
        self._call("scenario", {"behaviors": [behaviour]})

    def request_count(self) -> object:
        return self._call("requests")["count"]


@pytest.fixture(scope="module")
def server() -> Iterator[Llmock]:
    if not LLMOCK.exists():
        pytest.skip("llmock is not installed")
    port = free_port()
    process = subprocess.Popen(
        [LLMOCK, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "info"],
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


async def ask(server: Llmock) -> tuple[str, ModelError | None, bool]:
    """The text, the error, and whether the end was a good one."""
    api = ModelApi(f"{server.url}/v1/", "any-key", timeouts=TIMEOUTS)
    text, good = "", False
    try:
        async for event in api.stream(ASKED):
            text += event.text if isinstance(event, TextDelta) else ""
            good = event == Finished(FinishReason.STOP)
    except ModelError as error:
        return text, error, good
    finally:
        await api.close()
    return text, None, good


async def test_answer(server: Llmock) -> None:
    server.plan(type="reply", text="It is **all** here. 这里。")
    assert await ask(server) == ("It is **all** here. 这里。", None, True)


@pytest.mark.parametrize(
    ("status", "failure", "asked"),
    [
        (400, ModelFailure.REFUSED, 1),
        (401, ModelFailure.AUTHENTICATION, 1),
        (402, ModelFailure.PAYMENT, 1),
        (403, ModelFailure.AUTHENTICATION, 1),
        (404, ModelFailure.UNKNOWN_MODEL, 1),
        (413, ModelFailure.OVERFLOW, 1),
        (422, ModelFailure.REFUSED, 1),
        (429, ModelFailure.RATE_LIMITED, 3),
        (500, ModelFailure.UNAVAILABLE, 3),
        (502, ModelFailure.UNAVAILABLE, 3),
        (503, ModelFailure.UNAVAILABLE, 3),
        (529, ModelFailure.UNAVAILABLE, 3),
    ],
)
async def test_refusals(server: Llmock, status: int, failure: ModelFailure, asked: int) -> None:
    server.plan(type="fail", status=status, times=None, message="No.")
    text, error, _ = await ask(server)
    assert error is not None
    assert (text, error.failure, error.status) == ("", failure, status)
    assert server.request_count() == asked
    assert "any-key" not in str(error)
    assert server.url not in str(error)


async def test_retry_after_is_respected(server: Llmock) -> None:
    server.plan(type="fail", status=429, retry_after=1, times=1)
    began = time.monotonic()
    text, error, good = await ask(server)
    assert (bool(text), error, good) == (True, None, True)
    assert time.monotonic() - began >= 1
    server.plan(type="fail", status=429, retry_after=3600, times=None)
    _, error, _ = await ask(server)
    assert error is not None
    assert (error.failure, error.retry_after) == (ModelFailure.QUOTA, 3600)
    assert server.request_count() == 1


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("disconnect", ModelFailure.TRUNCATED),
        ("truncate", ModelFailure.TRUNCATED),
        ("malformed", ModelFailure.MALFORMED),
        ("stall", ModelFailure.STALLED),
    ],
)
async def test_broken_streams(server: Llmock, kind: str, failure: ModelFailure) -> None:
    server.plan(type="stream_fault", kind=kind, after_chunks=3, times=None, stall_seconds=30)
    text, error, good = await ask(server)
    assert error is not None
    assert (error.failure, good) == (failure, False)
    assert text, "what came before is kept"
    assert server.request_count() == 1, "an answer that was begun is not asked for again"


@pytest.mark.parametrize(("seconds", "failure"), [(0.5, None), (30, ModelFailure.STALLED)], ids=["in time", "too late"])
async def test_a_slow_first_token(server: Llmock, seconds: float, failure: ModelFailure | None) -> None:
    server.plan(type="slow_first_token", seconds=seconds, times=None)
    began = time.monotonic()
    text, error, good = await ask(server)
    assert (error.failure if error else None) == failure
    assert bool(text) == good == (failure is None)
    assert time.monotonic() - began >= min(seconds, TIMEOUTS.first_token) - 0.01
