"""Errors in the recorded formats of IO Intelligence."""

import ast
import io
from typing import Any

import msgspec
import openai
import pytest

from bots.sandbox.model import ModelStandIn
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, TINY, OpenAIClient, conversation

COMPLETION = {"model": LLAMA, "messages": conversation("hello")}


async def error_of(client: OpenAIClient, **body: Any) -> tuple[int, Any]:
    status, answer, headers = await client.http("POST", "chat/completions", {**COMPLETION, **body})
    assert status >= 400, answer
    assert set(answer) == {"detail"}
    assert headers["x-request-id"]
    assert not [name for name in headers if "ratelimit" in name or name == "retry-after"]
    return status, answer["detail"]


@pytest.mark.parametrize("stream", [True, False])
async def test_wrong_key_is_refused(server: ModelStandIn, stream: bool) -> None:
    client = OpenAIClient(server, "wrong")
    assert await error_of(client, stream=stream) == (401, "Invalid API Key")
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.complete("hello")
    assert caught.value.body == {"detail": "Invalid API Key"}
    await client.close()


async def test_missing_key_and_x_api_key_header(server: ModelStandIn, client: OpenAIClient) -> None:
    status, _, _ = await client.http("POST", "chat/completions", COMPLETION, headers={})
    assert status == 401
    status, _, _ = await client.http("POST", "chat/completions", COMPLETION, headers={"x-api-key": server.api_key})
    assert status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_unknown_model_error_lists_models(server: ModelStandIn, client: OpenAIClient, stream: bool) -> None:
    status, detail = await error_of(client, model="nobody/nothing", stream=stream)
    assert status == 400
    start = "The requested model is not available for Chat Completions API. Available models: "
    assert detail.startswith(start)
    assert ast.literal_eval(detail.removeprefix(start)) == [
        model.id for model in server.models.values() if not model.is_embedding_model
    ]


async def test_embedding_and_chat_models_are_distinct(client: OpenAIClient) -> None:
    status, detail = await error_of(client, model=EMBEDDER)
    assert (status, EMBEDDER in detail) == (400, False)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.openai.embeddings.create(model=LLAMA, input="hello")
    assert caught.value.body == {
        "detail": f"The requested model is not available for Embeddings API. Available models: ['{EMBEDDER}']"
    }


@pytest.mark.parametrize(
    ("body", "error_type", "location"),
    [
        ({"temperature": "warm"}, "float_parsing", ["body", "temperature"]),
        ({"temperature": 3}, "less_than_equal", ["body", "temperature"]),
        ({"max_completion_tokens": "many"}, "int_parsing", ["body", "max_completion_tokens"]),
        ({"messages": "hello"}, "list_type", ["body", "messages"]),
        ({"messages": [{"content": "x"}]}, "missing", ["body", "messages", 0, "role"]),
        ({"messages": [{"role": "user"}]}, "missing", ["body", "messages", 0, "content"]),
        (
            {"messages": [{"role": "cat", "content": "x"}]},
            "literal_error",
            ["body", "messages", 0, "role"],
        ),
        ({"model": 7}, "string_type", ["body", "model"]),
        ({"stream": "often"}, "bool_parsing", ["body", "stream"]),
        ({"n": 21}, "less_than_equal", ["body", "n"]),
        ({"reasoning": {"effort": "huge"}}, "literal_error", ["body", "reasoning", "effort"]),
        ({"reasoning_effort": "huge"}, "literal_error", ["body", "reasoning_effort"]),
    ],
)
async def test_invalid_field_is_refused(
    client: OpenAIClient, body: dict[str, Any], error_type: str, location: list[str | int]
) -> None:
    status, detail = await error_of(client, **body)
    assert status == 422
    assert [(item["type"], item["loc"]) for item in detail] == [(error_type, location)]
    assert {"type", "loc", "msg", "input"} <= set(detail[0])


async def test_missing_field_and_invalid_json(client: OpenAIClient) -> None:
    status, body, _ = await client.http("POST", "chat/completions", {"stream": True})
    assert status == 422
    assert [item["loc"] for item in body["detail"]] == [["body", "model"], ["body", "messages"]]
    status, body, _ = await client.http("POST", "chat/completions", b"{oops")
    assert (status, body["detail"][0]["type"]) == (422, "json_invalid")


async def test_unknown_fields_are_accepted(client: OpenAIClient) -> None:
    body = await client.complete("hello", extra_body={"top_k": 40, "guided_choice": ["x"]})
    assert body["choices"]


async def test_prompt_over_window_is_refused(client: OpenAIClient) -> None:
    status, detail = await error_of(client, model=TINY, messages=conversation("word " * 5000))
    assert status == 400
    assert "This model's maximum context length is 4000 tokens." in detail
    status, detail = await error_of(client, model=TINY, max_tokens=4000)
    assert "you requested 4000 output tokens" in detail
    assert (await client.complete("hello", model=TINY, max_tokens=3000))["choices"]


async def test_daily_quota_is_enforced(server: ModelStandIn, client: OpenAIClient) -> None:
    server.quotas[LLAMA] = 100
    used = 0
    while used < 100:
        used += (await client.complete("hello"))["usage"]["total_tokens"]
    assert server.usage[LLAMA] == used
    status, _ = await error_of(client)
    assert status == 429
    with pytest.raises(openai.RateLimitError):
        await client.stream("hello")
    assert server.usage[LLAMA] == used, "errors use no tokens"
    assert (await client.complete("hello", model=TINY))["choices"], "each model has its own quota"


async def test_too_large_request_is_refused(client: OpenAIClient) -> None:
    large = msgspec.json.encode({**COMPLETION, "messages": conversation("x" * 34_000_000)})
    status, page, _ = await client.http("POST", "chat/completions", io.BytesIO(large))
    assert status == 413
    assert b"Request Entity Too Large" in page
