"""Chat, reasoning and overflow by a real engine: llama.cpp's server over a tiny random model.

What it says is random or forced by a grammar; the wire, the counts and the errors are its own.
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
from core.api.events import (
    Finished,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    UsageReport,
)
from core.errors import ModelError, ModelFailure
from core.store.schema import messages
from core.turns import texts
from tests.core.api.llama_cpp_server import (
    ANSWER,
    API_KEY,
    MAX_ANSWER_TOKENS,
    MODEL_NAME,
    REASONING,
    TRAINED_CONTEXT_TOKENS,
)
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

for package in ("gguf", "xllamacpp"):
    pytest.importorskip(package, reason=f"{package} cannot be imported", exc_type=ImportError)

ROOT = Path(__file__).parents[3]
TIMEOUTS = StreamTimeouts(connect=5, first_token=20, between_tokens=20, total=40)
QUESTION = "Why is the sea of salt?"


@dataclass(frozen=True, slots=True)
class RunningEngine:
    base_url: str
    api_key: str = API_KEY

    async def ask(self, request: ChatRequest, key: str = API_KEY) -> list[StreamEvent]:
        api = ModelApi(self.base_url, key, timeouts=TIMEOUTS)
        try:
            return [event async for event in api.stream(request)]
        finally:
            await api.close()


@asynccontextmanager
async def running_engine_process(
    folder: Path, mode: str = "babbles", context_tokens: int = 1024
) -> AsyncIterator[RunningEngine]:
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
        assert address.startswith("http://127.0.0.1:"), "the engine did not start"
        yield RunningEngine(f"{address}/v1/")
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running_chat(folder: Path, running: RunningEngine, **changed: Any) -> AsyncIterator[FakeAdapter]:
    """The bot, knowing the models that the engine lists."""
    given = {"default_model": MODEL_NAME, "quotas": {"*": 0}, **changed}
    async with running_engine(folder, running, **given) as chat:
        assert await chat.models.refresh()
        yield chat


def request(text: str = QUESTION, **changed: Any) -> ChatRequest:
    return ChatRequest(MODEL_NAME, (Message("system", "Be brief."), Message("user", text)), **changed)


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def reasoning_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta)).strip()


def stored_turns(connection: Connection) -> list[str]:
    return list(connection.scalars(select(messages.c.text).order_by(messages.c.id)))


async def test_model_listing_has_context_window(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path) as running:
        api = ModelApi(running.base_url, API_KEY)
        (model,) = await api.list_models()
        await api.close()
    assert (model.id, model.context_window, model.has_vision) == (MODEL_NAME, 1024, False)
    assert model.context_window != TRAINED_CONTEXT_TOKENS


async def test_streamed_answer_equals_whole_answer(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path) as running:
        events = await running.ask(request(temperature=0))
        async with openai.AsyncOpenAI(base_url=running.base_url, api_key=API_KEY) as plain:
            whole = await plain.chat.completions.create(
                model=MODEL_NAME,
                messages=[
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": QUESTION},
                ],
                temperature=0,
            )
    assert whole.usage is not None
    assert text_of(events) == (whole.choices[0].message.content or "").lstrip()
    assert sum(isinstance(event, TextDelta) for event in events) > 5, "piece by piece"
    usage = [event for event in events if isinstance(event, UsageReport)][-1]
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )
    assert usage.completion_tokens == MAX_ANSWER_TOKENS
    assert events[-1] == Finished(FinishReason.LENGTH)


async def test_parameters_are_applied(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path) as running:
        events = await running.ask(request(max_tokens=5, temperature=0.3, reasoning_effort="low"))
    assert [event.completion_tokens for event in events if isinstance(event, UsageReport)] == [5]
    assert events[-1] == Finished(FinishReason.LENGTH)


async def test_wrong_key_is_recognised(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path) as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request(), key="wrong")
    assert (caught.value.failure, caught.value.status) == (ModelFailure.AUTHENTICATION, 401)


@pytest.mark.parametrize("manner", ["thinks", "thinks aloud"])
async def test_reasoning_is_separated_from_answer(tmp_path: Path, manner: str) -> None:
    """The engine tells them apart itself, or sends the tags one character after the other."""
    async with running_engine_process(tmp_path, manner) as running:
        events = await running.ask(request())
    assert (reasoning_of(events), text_of(events)) == (REASONING, ANSWER)
    assert events[-1] == Finished(FinishReason.STOP)


async def test_reasoning_without_answer_is_empty_answer(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path, "thinks without end") as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request())
        assert caught.value.failure is ModelFailure.EMPTY
        async with running_chat(tmp_path, running) as chat:
            assert texts.FAILURE_TEXTS[ModelFailure.EMPTY] in await chat.ask(QUESTION)


async def test_turn_stores_answer_without_reasoning(tmp_path: Path) -> None:
    async with (
        running_engine_process(tmp_path, "thinks") as running,
        running_chat(tmp_path, running) as chat,
    ):
        assert await chat.ask(QUESTION) == ANSWER
        message, turn = list(chat.messages)[-1], 1
        assert await chat.store.read(stored_turns) == [QUESTION, ANSWER]
        await chat.press(f"think:{turn}", message)
        await chat.wait_until(lambda: len(chat.messages) == 2)
        assert REASONING in list(chat.messages.values())[-1]
        assert await chat.ask("And why the bread?") == ANSWER


async def test_context_overflow_has_figures(tmp_path: Path) -> None:
    async with running_engine_process(tmp_path, context_tokens=512) as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request("why is the old river of stone " * 200))
    error = caught.value
    assert (error.failure, error.status, error.limit) == (ModelFailure.OVERFLOW, 400, 512)
    assert error.prompt_tokens is not None
    assert error.prompt_tokens > 1000


async def test_turn_fits_reported_window(tmp_path: Path) -> None:
    """The operator wrote a window that the engine does not have."""
    async with (
        running_engine_process(tmp_path, context_tokens=512) as running,
        running_chat(tmp_path, running, contexts={MODEL_NAME: 4096}, system_prompt="") as chat,
    ):
        for number in range(10):
            answer = await chat.ask(f"{number}: " + "why is the old river of stone " * 4)
            assert texts.FAILURE_TEXTS[ModelFailure.OVERFLOW] not in answer
        assert chat.models.context_tokens(MODEL_NAME) == 512, "learnt from the engine's words"
        assert texts.HISTORY_TRIMMED.split(";", maxsplit=1)[0] in "".join(chat.messages.values())
        long = await chat.ask("why is the old river of stone " * 200)
        assert "has room for" in long
