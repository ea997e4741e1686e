"""Good answers: model lists, streamed and whole completions, reasoning, usage, speed."""

import asyncio
from typing import Any

import openai
import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.script import long_document, scripted_answer
from bots.sandbox.model.streaming import CHUNK_INTERVAL
from bots.sandbox.model.tokeniser import split_pieces
from core.api.model_data import BUILTIN_MODELS
from tests import api_specs
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, OpenAIClient, conversation
from tests.clock import FakeClock


async def test_published_models_are_listed(client: OpenAIClient) -> None:
    api_specs.require_specs()
    status, body, _ = await client.http("GET", "models", headers={})
    assert status == 200, "the list needs no key"
    assert api_specs.model_errors("ListModelsResponse", body) == []
    windows = {model["id"]: model["context_window"] for model in body["data"]}
    assert windows == {model.id: model.context_window for model in BUILTIN_MODELS.values() if model.id != EMBEDDER}
    assert windows[TINY] == 4_000
    assert [model.id async for model in client.openai.models.list()] == list(windows)


async def test_whole_answer(client: OpenAIClient) -> None:
    api_specs.require_specs()
    body = await client.complete("repeat: It is all here.")
    assert api_specs.model_errors("CreateChatCompletionResponse", body) == []
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "It is all here."
    assert choice["finish_reason"] == "stop"
    assert "reasoning_content" not in choice["message"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] < len("It is all here.")


async def test_streamed_answer(client: OpenAIClient) -> None:
    api_specs.require_specs()
    answer = await client.stream("long 3000", stream_options={"include_usage": True})
    assert answer.text == long_document(3000)
    assert answer.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert answer.finish_reasons == ["stop"]
    assert answer.chunks[-1]["choices"] == []
    for chunk in answer.chunks:
        assert api_specs.model_errors("CreateChatCompletionStreamResponse", chunk) == []
    last = next(c for c in reversed(answer.chunks) if c["choices"])
    assert last["choices"][0]["delta"]["content"], "the last chunk of text has the finish reason"


async def test_same_question_gets_same_answer(client: OpenAIClient) -> None:
    whole, streamed = await asyncio.gather(client.complete("hello"), client.stream("hello"))
    assert whole["choices"][0]["message"]["content"] == streamed.text
    assert "hello" in streamed.text
    assert "Llama-3.3-70B-Instruct" in streamed.text
    usage = whole["usage"]
    assert streamed.usages[-1] == (usage["prompt_tokens"], usage["completion_tokens"])


async def test_every_chunk_has_cumulative_usage(client: OpenAIClient) -> None:
    answer = await client.stream("long 2000")
    assert len(answer.usages) == len(answer.chunks)
    assert len({prompt for prompt, _ in answer.usages}) == 1
    used = [completion for _, completion in answer.usages]
    assert used == sorted(used)
    assert used[0] == 0
    assert used[-1] > 300


async def test_reasoning_is_separate_by_default(client: OpenAIClient) -> None:
    api_specs.require_specs()
    answer = await client.stream("repeat: yes", model=R1)
    assert answer.reasoning
    assert answer.text == "\n\nyes"
    assert answer.finish_reasons == ["stop"]
    whole = await client.complete("repeat: yes", model=R1)
    assert api_specs.model_errors("CreateChatCompletionResponse", whole) == []
    message = whole["choices"][0]["message"]
    assert message["reasoning_content"] == answer.reasoning
    assert message["content"].strip() == "yes"
    assert whole["usage"]["completion_tokens"] == answer.usages[-1][1]
    assert whole["usage"]["completion_tokens"] > 20, "reasoning uses tokens"


async def test_reasoning_can_be_scripted(client: OpenAIClient) -> None:
    assert (await client.stream("think about it", extra_body={"reasoning_content": True})).reasoning
    assert not (await client.stream("hello", extra_body={"reasoning_content": True})).reasoning


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
async def test_max_tokens_is_enforced(client: OpenAIClient, name: str) -> None:
    limit: dict[str, Any] = {name: 40}
    answer = await client.stream("long 5000", **limit)
    assert answer.finish_reasons == ["length"]
    assert answer.usages[-1][1] <= 40
    assert long_document(5000).startswith(answer.text)
    whole = await client.complete("long 5000", **limit)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["choices"][0]["message"]["content"] == answer.text


async def test_reasoning_can_exhaust_max_tokens(client: OpenAIClient) -> None:
    answer = await client.stream("hello", model=R1, max_completion_tokens=10)
    assert answer.reasoning
    assert answer.text.strip() == ""
    assert answer.finish_reasons == ["length"]


async def test_empty_answer_finishes(client: OpenAIClient) -> None:
    answer = await client.stream("empty")
    assert (answer.text, answer.finish_reasons) == ("", ["stop"])


async def test_streaming_speed() -> None:
    clock = FakeClock()
    server = ModelStandIn(tokens_per_second=200, clock=clock)
    await server.start()
    client = OpenAIClient(server)
    started_at = clock.now
    task = asyncio.create_task(client.stream("long 400"))
    while not task.done():
        timer = asyncio.create_task(clock.wait_for_timer())
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        await clock.advance(CHUNK_INTERVAL)
    answer = await task
    assert answer.usages[-1][1] / (clock.now - started_at) == pytest.approx(200, rel=0.2)
    assert len(answer.chunks) > 5
    await client.close()
    await server.close()


async def test_requests_are_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    answer = await client.stream("one", "two", "three", temperature=0.5)
    (record,) = server.requests
    assert record.body["messages"] == conversation("one", "two", "three")
    assert record.body["temperature"] == 0.5
    assert record.is_completed
    assert record.disconnected_at is None
    assert record.token_usage == answer.usages[-1]
    assert len(record.piece_times) == len(split_pieces(answer.text))
    assert record.received_at <= record.piece_times[0]
    assert list(record.piece_times) == sorted(record.piece_times)


async def test_disconnect_during_answer_is_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    server.tokens_per_second = 40
    stream = await client.openai.chat.completions.create(model=LLAMA, messages=conversation("long 5000"), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    record = server.requests[-1]
    await server.wait_for(lambda: record.disconnected_at)
    assert not record.is_completed
    prompt, completion = record.token_usage
    assert 0 < completion < 200
    assert server.usage[LLAMA] == prompt + completion, "the tokens sent so far are used"


async def test_disconnect_during_silence_is_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    task = asyncio.create_task(client.stream("stall"))
    await server.wait_for(lambda: server.requests and server.requests[-1].token_usage[1])
    task.cancel()
    await server.wait_for(lambda: server.requests[-1].disconnected_at)
    assert not server.requests[-1].is_completed
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cut_stream_fails_after_half_of_text(client: OpenAIClient) -> None:
    with pytest.raises(openai.APIConnectionError):
        await client.stream("cut")


def test_first_source_is_cited() -> None:
    sources = "\n\n".join(
        f"[{number}] shop.pdf, page {number}\n<<<\n{text}\n>>>"
        for number, text in enumerate(("Three years.", "Thirty days.", "At nine."), 1)
    )
    system_message = {"role": "system", "content": f"Sources follow.\n\n{sources}"}
    script = scripted_answer({"model": LLAMA, "messages": [system_message, *conversation("How long?")]})
    assert "I got 3 of your sources. One says “Three years.” [1]." in script.text
