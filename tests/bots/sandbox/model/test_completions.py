"""Good answers: models, completions streamed and whole, reasoning, usage."""

import asyncio
from typing import Any

import openai
import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.script import long_document, scripted_answer
from core.api.model_data import BUILTIN_MODELS
from tests import api_specs
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, OpenAIClient, conversation


async def test_the_published_models_are_listed(client: OpenAIClient, described: None) -> None:
    status, body, _ = await client.http("GET", "models", headers={})
    assert status == 200, "the list needs no key"
    assert api_specs.model_errors("ListModelsResponse", body) == []
    windows = {model["id"]: model["context_window"] for model in body["data"]}
    assert windows == {model.id: model.context_window for model in BUILTIN_MODELS.values() if model.id != EMBEDDER}
    assert windows[TINY] == 4_000
    assert [model.id async for model in client.openai.models.list()] == list(windows)


async def test_the_embedding_model_has_a_list_of_its_own(client: OpenAIClient, described: None) -> None:
    status, body, _ = await client.http("GET", "embedding-models")
    assert status == 200
    assert api_specs.model_errors("ListModelsResponse", body) == []
    assert [model["id"] for model in body["data"]] == [EMBEDDER]


async def test_a_whole_answer(client: OpenAIClient, described: None) -> None:
    body = await client.complete("repeat: It is all here.")
    assert api_specs.model_errors("CreateChatCompletionResponse", body) == []
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "It is all here."
    assert choice["finish_reason"] == "stop"
    assert "reasoning_content" not in choice["message"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] < len("It is all here.")


async def test_a_streamed_answer(client: OpenAIClient, described: None) -> None:
    heard = await client.stream("long 3000", stream_options={"include_usage": True})
    assert heard.text == long_document(3000)
    assert heard.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert heard.finish_reasons == ["stop"]
    assert heard.chunks[-1]["choices"] == []
    for chunk in heard.chunks:
        assert api_specs.model_errors("CreateChatCompletionStreamResponse", chunk) == []
    last = next(c for c in reversed(heard.chunks) if c["choices"])
    assert last["choices"][0]["delta"]["content"], "the end comes with the last of the text"


async def test_the_same_question_gets_the_same_answer(client: OpenAIClient) -> None:
    whole, streamed = await asyncio.gather(client.complete("hello"), client.stream("hello"))
    assert whole["choices"][0]["message"]["content"] == streamed.text
    assert "hello" in streamed.text
    assert "Llama-3.3-70B-Instruct" in streamed.text
    usage = whole["usage"]
    assert streamed.usages[-1] == (usage["prompt_tokens"], usage["completion_tokens"])


async def test_every_chunk_has_cumulative_usage(client: OpenAIClient) -> None:
    heard = await client.stream("long 2000")
    assert len(heard.usages) == len(heard.chunks)
    assert len({prompt for prompt, _ in heard.usages}) == 1
    spent = [completion for _, completion in heard.usages]
    assert spent == sorted(spent)
    assert spent[0] == 0
    assert spent[-1] > 300


async def test_reasoning_is_separate_by_default(client: OpenAIClient, described: None) -> None:
    heard = await client.stream("repeat: yes", model=R1)
    assert heard.reasoning
    assert heard.text == "\n\nyes"
    assert heard.finish_reasons == ["stop"]
    whole = await client.complete("repeat: yes", model=R1)
    assert api_specs.model_errors("CreateChatCompletionResponse", whole) == []
    message = whole["choices"][0]["message"]
    assert message["reasoning_content"] == heard.reasoning
    assert message["content"].strip() == "yes"
    assert whole["usage"]["completion_tokens"] == heard.usages[-1][1]
    assert whole["usage"]["completion_tokens"] > 20, "thinking is paid for"


async def test_reasoning_can_be_scripted(client: OpenAIClient) -> None:
    assert (await client.stream("think about it", extra_body={"reasoning_content": True})).reasoning
    assert not (await client.stream("hello", extra_body={"reasoning_content": True})).reasoning


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
async def test_max_tokens_is_enforced(client: OpenAIClient, name: str) -> None:
    most: dict[str, Any] = {name: 40}
    heard = await client.stream("long 5000", **most)
    assert heard.finish_reasons == ["length"]
    assert heard.usages[-1][1] <= 40
    assert long_document(5000).startswith(heard.text)
    whole = await client.complete("long 5000", **most)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["choices"][0]["message"]["content"] == heard.text


async def test_reasoning_can_exhaust_max_tokens(client: OpenAIClient) -> None:
    heard = await client.stream("hello", model=R1, max_completion_tokens=10)
    assert heard.reasoning
    assert heard.text.strip() == ""
    assert heard.finish_reasons == ["length"]


async def test_empty_answer_finishes(client: OpenAIClient) -> None:
    heard = await client.stream("empty")
    assert (heard.text, heard.finish_reasons) == ("", ["stop"])


async def test_streaming_speed(server: ModelStandIn, client: OpenAIClient) -> None:
    server.tokens_per_second = 200
    began = asyncio.get_running_loop().time()
    heard = await client.stream("long 400")
    took = asyncio.get_running_loop().time() - began
    tokens = heard.usages[-1][1]
    assert tokens / took == pytest.approx(200, rel=0.4)
    assert len(heard.chunks) > 5


async def test_requests_are_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    heard = await client.stream("one", "two", "three", temperature=0.5)
    (record,) = server.requests
    assert record.body["messages"] == conversation("one", "two", "three")
    assert record.body["temperature"] == 0.5
    assert record.is_completed
    assert record.disconnected_at is None
    assert record.token_usage == heard.usages[-1]


async def test_disconnect_during_answer_is_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    server.tokens_per_second = 40
    stream = await client.openai.chat.completions.create(model=LLAMA, messages=conversation("long 5000"), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    record = server.requests[-1]
    await server.wait_for(lambda: record.disconnected_at, 2)
    assert not record.is_completed
    prompt, completion = record.token_usage
    assert 0 < completion < 200
    assert server.usage[LLAMA] == prompt + completion, "what was said is paid for"


async def test_disconnect_during_silence_is_recorded(server: ModelStandIn, client: OpenAIClient) -> None:
    task = asyncio.create_task(client.stream("stall"))
    await server.wait_for(lambda: server.requests and server.requests[-1].token_usage[1])
    task.cancel()
    await server.wait_for(lambda: server.requests[-1].disconnected_at, 2)
    assert not server.requests[-1].is_completed
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cut_stream_fails_after_half_of_text(client: OpenAIClient) -> None:
    with pytest.raises(openai.APIConnectionError):
        await client.stream("cut")


def test_first_source_is_cited() -> None:
    sources = "\n\n".join(
        f"[{number}] shop.pdf, page {number}\n<<<\n{words}\n>>>"
        for number, words in enumerate(("Three years.", "Thirty days.", "At nine."), 1)
    )
    shown = {"role": "system", "content": f"Sources follow.\n\n{sources}"}
    script = scripted_answer({"model": LLAMA, "messages": [shown, *conversation("How long?")]})
    assert "I was shown 3 of your sources. One says “Three years.” [1]." in script.text
