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

from core.api.client import Message, ModelApi, Patience, Request
from core.api.events import Event, Finished, FinishReason, Reasoning, Text, Usage
from core.errors import Failure, ModelError
from core.store.schema import messages
from core.turns import words
from tests.core.api.tiny_engine import ANSWER, KEY, LONGEST, NAME, THOUGHTS, TRAINED
from tests.core.turns.quick import Quick, quick

for package in ("gguf", "xllamacpp"):
    pytest.importorskip(package, reason=f"{package} cannot be imported", exc_type=ImportError)

ROOT = Path(__file__).parents[3]
PATIENCE = Patience(connect=5, first_token=20, between_tokens=20, total=40)
QUESTION = "Why is the sea of salt?"


@dataclass(frozen=True, slots=True)
class Running:
    base_url: str
    api_key: str = KEY

    async def ask(self, request: Request, key: str = KEY) -> list[Event]:
        api = ModelApi(self.base_url, key, patience=PATIENCE)
        try:
            return [event async for event in api.stream(request)]
        finally:
            await api.close()


@asynccontextmanager
async def engine(
    folder: Path, manner: str = "babbles", window: int = 1024
) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.api.tiny_engine", str(folder), str(window), manner,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            address = (await process.stdout.readline()).decode().strip()
        assert address.startswith("http://127.0.0.1:"), "the engine did not start"
        yield Running(f"{address}/v1/")
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def chatting(folder: Path, running: Running, **changed: Any) -> AsyncIterator[Quick]:
    """The bot, knowing the models that the engine lists."""
    given = {"default_model": NAME, "quotas": {"*": 0}, **changed}
    async with quick(folder, running, **given) as chat:
        assert await chat.models.refresh()
        yield chat


def request(text: str = QUESTION, **changed: Any) -> Request:
    return Request(NAME, (Message("system", "Be brief."), Message("user", text)), **changed)


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def thought(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Reasoning)).strip()


def kept(connection: Connection) -> list[str]:
    return list(connection.scalars(select(messages.c.text).order_by(messages.c.id)))


async def test_the_engine_lists_its_model_with_the_window_it_runs_with(tmp_path: Path) -> None:
    async with engine(tmp_path) as running:
        api = ModelApi(running.base_url, KEY)
        (model,) = await api.models()
        await api.close()
    assert (model.id, model.context, model.vision) == (NAME, 1024, False)
    assert model.context != TRAINED


async def test_an_answer_streams_as_the_engine_gives_it_whole(tmp_path: Path) -> None:
    async with engine(tmp_path) as running:
        events = await running.ask(request(temperature=0))
        async with openai.AsyncOpenAI(base_url=running.base_url, api_key=KEY) as plain:
            whole = await plain.chat.completions.create(
                model=NAME,
                messages=[
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": QUESTION},
                ],
                temperature=0,
            )
    assert whole.usage is not None
    assert said(events) == (whole.choices[0].message.content or "").lstrip()
    assert sum(isinstance(event, Text) for event in events) > 5, "piece by piece"
    usage = [event for event in events if isinstance(event, Usage)][-1]
    assert (usage.prompt, usage.completion) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )
    assert usage.completion == LONGEST
    assert events[-1] == Finished(FinishReason.LENGTH)


async def test_parameters_are_obeyed(tmp_path: Path) -> None:
    async with engine(tmp_path) as running:
        events = await running.ask(request(max_tokens=5, temperature=0.3, reasoning_effort="low"))
    assert [event.completion for event in events if isinstance(event, Usage)] == [5]
    assert events[-1] == Finished(FinishReason.LENGTH)


async def test_a_wrong_key_is_known(tmp_path: Path) -> None:
    async with engine(tmp_path) as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request(), key="wrong")
    assert (caught.value.failure, caught.value.status) == (Failure.AUTHENTICATION, 401)


@pytest.mark.parametrize("manner", ["thinks", "thinks aloud"])
async def test_thoughts_are_told_from_the_answer(tmp_path: Path, manner: str) -> None:
    """The engine tells them apart itself, or sends the tags one character after the other."""
    async with engine(tmp_path, manner) as running:
        events = await running.ask(request())
    assert (thought(events), said(events)) == (THOUGHTS, ANSWER)
    assert events[-1] == Finished(FinishReason.STOP)


async def test_thoughts_without_an_answer_are_none(tmp_path: Path) -> None:
    async with engine(tmp_path, "thinks without end") as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request())
        assert caught.value.failure is Failure.EMPTY
        async with chatting(tmp_path, running) as chat:
            assert words.SAID[Failure.EMPTY] in await chat.ask(QUESTION)


async def test_a_whole_turn_shows_the_answer_and_keeps_the_thoughts_apart(tmp_path: Path) -> None:
    async with engine(tmp_path, "thinks") as running, chatting(tmp_path, running) as chat:
        assert await chat.ask(QUESTION) == ANSWER
        message, turn = list(chat.shown)[-1], 1
        assert await chat.store.read(kept) == [QUESTION, ANSWER]
        await chat.press(f"think:{turn}", message)
        await chat.until(lambda: len(chat.shown) == 2)
        assert THOUGHTS in list(chat.shown.values())[-1]
        assert await chat.ask("And why the bread?") == ANSWER


async def test_the_engines_overflow_is_known_with_its_figures(tmp_path: Path) -> None:
    async with engine(tmp_path, window=512) as running:
        with pytest.raises(ModelError) as caught:
            await running.ask(request("why is the old river of stone " * 200))
    error = caught.value
    assert (error.failure, error.status, error.limit) == (Failure.OVERFLOW, 400, 512)
    assert error.prompt_tokens is not None
    assert error.prompt_tokens > 1000


async def test_a_turn_is_fitted_to_the_window_the_engine_names(tmp_path: Path) -> None:
    """The operator wrote a window that the engine does not have."""
    async with (
        engine(tmp_path, window=512) as running,
        chatting(tmp_path, running, contexts={NAME: 4096}, system_prompt="") as chat,
    ):
        for number in range(10):
            answer = await chat.ask(f"{number}: " + "why is the old river of stone " * 4)
            assert words.SAID[Failure.OVERFLOW] not in answer
        assert chat.models.context(NAME) == 512, "learnt from the engine's words"
        assert words.CUT.split(";", maxsplit=1)[0] in "".join(chat.shown.values())
        long = await chat.ask("why is the old river of stone " * 200)
        assert "has room for" in long
