"""Chat, reasoning and overflow with a real server: llama.cpp's, with a tiny random model.

Its answers are random or forced by a grammar; the protocol, the token counts and the errors are real.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import Connection, select

from core.api.client import ChatRequest, Message, ModelApi, StreamTimeouts
from core.api.events import Finished, FinishReason, TextDelta, UsageReport
from core.errors import ModelFailure
from core.store.schema import messages
from core.texts import answers as texts
from tests.core.api.llama_cpp_server import (
    ANSWER,
    API_KEY,
    MAX_ANSWER_TOKENS,
    MODEL_NAME,
    REASONING,
    TRAINED_CONTEXT_TOKENS,
)
from tests.core.api.stream_result import StreamResult, read_stream
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

for package in ("gguf", "xllamacpp"):
    pytest.importorskip(package, reason=f"{package} cannot be imported", exc_type=ImportError)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
TIMEOUTS = StreamTimeouts(connect=5, first_token=20, between_tokens=20, total=40)
QUESTION = "Why is the sea of salt?"


@dataclass(frozen=True, slots=True)
class LlamaServer:
    base_url: str
    api_key: str = API_KEY

    async def ask(self, request: ChatRequest, key: str = API_KEY) -> StreamResult:
        return await read_stream(self.base_url, request, key=key, timeouts=TIMEOUTS)


@asynccontextmanager
async def llama_server(folder: Path, mode: str = "random", context_tokens: int = 1024) -> AsyncIterator[LlamaServer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.core.api.llama_cpp_server",
        str(folder),
        str(context_tokens),
        mode,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            address = (await process.stdout.readline()).decode().strip()
        assert address.startswith("http://127.0.0.1:"), "the server did not start"
        yield LlamaServer(f"{address}/v1/")
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running_chat(folder: Path, server: LlamaServer, **settings: Any) -> AsyncIterator[FakeAdapter]:
    """The bot, after it has read the server's list of models."""
    settings = {"default_model": MODEL_NAME, "quotas": {"*": 0}, **settings}
    async with running_engine(folder, server, **settings) as chat:
        assert await chat.models.refresh()
        yield chat


def request(text: str = QUESTION, **parameters: Any) -> ChatRequest:
    return ChatRequest(MODEL_NAME, (Message("system", "Be brief."), Message("user", text)), **parameters)


def stored_turns(connection: Connection) -> list[str]:
    return list(connection.scalars(select(messages.c.text).order_by(messages.c.id)))


async def test_model_listing_has_context_window(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as server:
        api = ModelApi(server.base_url, API_KEY)
        (model,) = await api.list_models()
        await api.close()
    assert (model.id, model.context_window, model.has_vision) == (MODEL_NAME, 1024, False)
    assert model.context_window != TRAINED_CONTEXT_TOKENS


async def test_streamed_answer_equals_whole_answer(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as server:
        result = await server.ask(request(temperature=0))
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key=API_KEY) as client:
            whole = await client.chat.completions.create(
                model=MODEL_NAME,
                messages=[
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": QUESTION},
                ],
                temperature=0,
            )
    assert whole.usage is not None
    assert result.text == (whole.choices[0].message.content or "").lstrip()
    assert sum(isinstance(event, TextDelta) for event in result.events) > 1, "in pieces"
    usage = result.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )
    assert usage.completion_tokens == MAX_ANSWER_TOKENS
    assert result.last_event == Finished(FinishReason.LENGTH)


async def test_parameters_are_applied(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as server:
        result = await server.ask(request(max_tokens=5, temperature=0.3, reasoning_effort="low"))
    assert [event.completion_tokens for event in result.events if isinstance(event, UsageReport)] == [5]
    assert result.last_event == Finished(FinishReason.LENGTH)


async def test_wrong_key_is_recognised(tmp_path: Path) -> None:
    async with llama_server(tmp_path) as server:
        error = (await server.ask(request(), key="wrong")).error
    assert error is not None
    assert (error.failure, error.status) == (ModelFailure.AUTHENTICATION, 401)


@pytest.mark.parametrize("mode", ["reasoning", "think tags"])
async def test_reasoning_is_separated_from_answer(tmp_path: Path, mode: str) -> None:
    async with llama_server(tmp_path, mode) as server:
        result = await server.ask(request())
    assert (result.reasoning.strip(), result.text) == (REASONING, ANSWER)
    assert result.last_event == Finished(FinishReason.STOP)


async def test_reasoning_without_answer_is_empty_answer(tmp_path: Path) -> None:
    async with llama_server(tmp_path, "endless reasoning") as server:
        error = (await server.ask(request())).error
        assert error is not None
        assert error.failure is ModelFailure.EMPTY
        async with running_chat(tmp_path, server) as chat:
            assert texts.FAILURE_TEXTS[ModelFailure.EMPTY] in await chat.ask(QUESTION)


async def test_turn_stores_answer_without_reasoning(tmp_path: Path) -> None:
    async with (
        llama_server(tmp_path, "reasoning") as server,
        running_chat(tmp_path, server) as chat,
    ):
        assert await chat.ask(QUESTION) == ANSWER
        message, turn = list(chat.messages)[-1], 1
        assert await chat.store.read(stored_turns) == [QUESTION, ANSWER]
        await chat.press(f"think:{turn}", message)
        await chat.wait_until(lambda: len(chat.messages) == 2)
        assert REASONING in list(chat.messages.values())[-1]
        assert await chat.ask("And why the bread?") == ANSWER


async def test_context_overflow_has_figures(tmp_path: Path) -> None:
    async with llama_server(tmp_path, context_tokens=512) as server:
        error = (await server.ask(request("why is the old river of stone " * 200))).error
    assert error is not None
    assert (error.failure, error.status, error.limit) == (ModelFailure.OVERFLOW, 400, 512)


async def test_turn_fits_reported_window(tmp_path: Path) -> None:
    """The configured window is larger than the server's."""
    async with (
        llama_server(tmp_path, context_tokens=512) as server,
        running_chat(tmp_path, server, contexts={MODEL_NAME: 4096}, system_prompt="") as chat,
    ):
        for number in range(10):
            answer = await chat.ask(f"{number}: " + "why is the old river of stone " * 4)
            assert texts.FAILURE_TEXTS[ModelFailure.OVERFLOW] not in answer
        assert chat.models.context_tokens(MODEL_NAME) == 512
        assert texts.HISTORY_TRIMMED.split(".", maxsplit=1)[0] in "".join(chat.messages.values())
        assert "has room for" in await chat.ask("why is the old river of stone " * 200)
