"""Good answers: models, completions streamed and whole, reasoning, usage."""

import asyncio
from typing import Any

import openai
import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.script import answer, long
from core.api.table import TABLE
from tests import specs
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, Client, said


async def test_the_published_models_are_listed(client: Client, described: None) -> None:
    status, body, _ = await client.http("GET", "models", headers={})
    assert status == 200, "the list needs no key"
    assert specs.model_errors("ListModelsResponse", body) == []
    windows = {model["id"]: model["context_window"] for model in body["data"]}
    assert windows == {id_: window for id_, window, _ in TABLE if id_ != EMBEDDER}
    assert windows[TINY] == 4_000
    assert [model.id async for model in client.openai.models.list()] == list(windows)


async def test_the_embedding_model_has_a_list_of_its_own(client: Client, described: None) -> None:
    status, body, _ = await client.http("GET", "embedding-models")
    assert status == 200
    assert specs.model_errors("ListModelsResponse", body) == []
    assert [model["id"] for model in body["data"]] == [EMBEDDER]


async def test_a_whole_answer(client: Client, described: None) -> None:
    body = await client.complete("repeat: It is all here.")
    assert specs.model_errors("CreateChatCompletionResponse", body) == []
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "It is all here."
    assert choice["finish_reason"] == "stop"
    assert "reasoning_content" not in choice["message"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] < len("It is all here.")


async def test_a_streamed_answer(client: Client, described: None) -> None:
    heard = await client.stream("long 3000", stream_options={"include_usage": True})
    assert heard.text == long(3000)
    assert heard.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert heard.finishes == ["stop"]
    assert heard.chunks[-1]["choices"] == []
    for chunk in heard.chunks:
        assert specs.model_errors("CreateChatCompletionStreamResponse", chunk) == []
    last = next(c for c in reversed(heard.chunks) if c["choices"])
    assert last["choices"][0]["delta"]["content"], "the end comes with the last of the text"


async def test_the_same_question_gets_the_same_answer(client: Client) -> None:
    whole, streamed = await asyncio.gather(client.complete("hello"), client.stream("hello"))
    assert whole["choices"][0]["message"]["content"] == streamed.text
    assert "hello" in streamed.text
    assert "Llama-3.3-70B-Instruct" in streamed.text
    usage = whole["usage"]
    assert streamed.usages[-1] == (usage["prompt_tokens"], usage["completion_tokens"])


async def test_every_chunk_tells_the_use_so_far(client: Client) -> None:
    heard = await client.stream("long 2000")
    assert len(heard.usages) == len(heard.chunks)
    assert len({prompt for prompt, _ in heard.usages}) == 1
    spent = [completion for _, completion in heard.usages]
    assert spent == sorted(spent)
    assert spent[0] == 0
    assert spent[-1] > 300


async def test_reasoning_comes_unasked_and_apart(client: Client, described: None) -> None:
    heard = await client.stream("repeat: yes", model=R1)
    assert heard.thought
    assert heard.text == "\n\nyes"
    assert heard.finishes == ["stop"]
    whole = await client.complete("repeat: yes", model=R1)
    assert specs.model_errors("CreateChatCompletionResponse", whole) == []
    message = whole["choices"][0]["message"]
    assert message["reasoning_content"] == heard.thought
    assert message["content"].strip() == "yes"
    assert whole["usage"]["completion_tokens"] == heard.usages[-1][1]
    assert whole["usage"]["completion_tokens"] > 20, "thinking is paid for"


async def test_a_model_that_does_not_reason_thinks_when_told(client: Client) -> None:
    assert (await client.stream("think about it", extra_body={"reasoning_content": True})).thought
    assert not (await client.stream("hello", extra_body={"reasoning_content": True})).thought


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
async def test_the_longest_answer_is_held(client: Client, name: str) -> None:
    most: dict[str, Any] = {name: 40}
    heard = await client.stream("long 5000", **most)
    assert heard.finishes == ["length"]
    assert heard.usages[-1][1] <= 40
    assert long(5000).startswith(heard.text)
    whole = await client.complete("long 5000", **most)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["choices"][0]["message"]["content"] == heard.text


async def test_thinking_may_eat_the_whole_budget(client: Client) -> None:
    heard = await client.stream("hello", model=R1, max_completion_tokens=10)
    assert heard.thought
    assert heard.text.strip() == ""
    assert heard.finishes == ["length"]


async def test_an_empty_answer_ends_well(client: Client) -> None:
    heard = await client.stream("empty")
    assert (heard.text, heard.finishes) == ("", ["stop"])


async def test_the_pace_is_that_of_a_model(server: ModelStandIn, client: Client) -> None:
    server.tokens_per_second = 200
    began = asyncio.get_running_loop().time()
    heard = await client.stream("long 400")
    took = asyncio.get_running_loop().time() - began
    tokens = heard.usages[-1][1]
    assert tokens / took == pytest.approx(200, rel=0.4)
    assert len(heard.chunks) > 5


async def test_what_was_asked_is_recorded(server: ModelStandIn, client: Client) -> None:
    heard = await client.stream("one", "two", "three", temperature=0.5)
    (record,) = server.requests
    assert record.body["messages"] == said("one", "two", "three")
    assert record.body["temperature"] == 0.5
    assert record.completed
    assert record.disconnected_at is None
    assert record.usage == heard.usages[-1]


async def test_who_leaves_in_mid_answer_is_noticed(server: ModelStandIn, client: Client) -> None:
    server.tokens_per_second = 40
    stream = await client.openai.chat.completions.create(
        model=LLAMA, messages=said("long 5000"), stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    record = server.requests[-1]
    await server.wait(lambda: record.disconnected_at, 2)
    assert not record.completed
    prompt, completion = record.usage
    assert 0 < completion < 200
    assert server.used[LLAMA] == prompt + completion, "what was said is paid for"


async def test_who_leaves_while_nothing_is_said_is_noticed(
    server: ModelStandIn, client: Client
) -> None:
    task = asyncio.create_task(client.stream("stall"))
    await server.wait(lambda: server.requests and server.requests[-1].usage[1])
    task.cancel()
    await server.wait(lambda: server.requests[-1].disconnected_at, 2)
    assert not server.requests[-1].completed
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cut_stream_is_an_error_after_half_of_the_text(client: Client) -> None:
    with pytest.raises(openai.APIConnectionError):
        await client.stream("cut")


def test_of_several_sources_the_first_is_quoted_by_its_number() -> None:
    sources = "\n\n".join(
        f"[{number}] shop.pdf, page {number}\n<<<\n{words}\n>>>"
        for number, words in enumerate(("Three years.", "Thirty days.", "At nine."), 1)
    )
    shown = {"role": "system", "content": f"Sources follow.\n\n{sources}"}
    script = answer({"model": LLAMA, "messages": [shown, *said("How long?")]})
    assert "I was shown 3 of your sources. One says “Three years.” [1]." in script.text
