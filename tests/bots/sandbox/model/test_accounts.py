"""Keys, quotas, days, plans, and changes of the model list."""

import asyncio
from datetime import datetime
from uuid import UUID

import openai
import pytest

from bots.sandbox.model import Endpoint, ModelListFormat, ModelStandIn, UsageKey
from core.api.catalogue import Model, parse_models
from core.api.client import ModelApi
from core.api.model_data import BUILTIN_MODELS
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, OpenAIClient
from tests.clock import FakeClock


async def test_usage_is_sum_of_answers(server: ModelStandIn, client: OpenAIClient) -> None:
    server.add_account("other")
    other = OpenAIClient(server, "other")
    answers = await asyncio.gather(
        *(client.stream(f"long {n}") for n in range(100, 1000, 100)),
        *(other.stream(f"long {n}") for n in range(100, 600, 100)),
        client.stream("hello", model=R1),
    )
    embeddings = await client.openai.embeddings.create(model=EMBEDDER, input=["one", "two words"])
    used = [sum(answer.usages[-1]) for answer in answers]
    key = server.api_key
    assert dict(server.usage.today) == {
        UsageKey(key, LLAMA, Endpoint.CHAT): sum(used[:9]),
        UsageKey("other", LLAMA, Endpoint.CHAT): sum(used[9:14]),
        UsageKey(key, R1, Endpoint.CHAT): used[14],
        UsageKey(key, EMBEDDER, Endpoint.EMBEDDINGS): embeddings.usage.total_tokens,
    }
    assert server.usage[LLAMA] == sum(used[:14])
    assert server.usage.tokens_used(api_key="other") == sum(used[9:14])
    assert server.usage.tokens_used(api_key=key, endpoint=Endpoint.CHAT) == sum(used[:9]) + used[14]
    await other.close()


async def test_quotas_are_per_account(server: ModelStandIn, client: OpenAIClient) -> None:
    server.add_account("small", quotas={LLAMA: 10})
    small = OpenAIClient(server, "small")
    await small.complete("hello")
    with pytest.raises(openai.RateLimitError):
        await small.complete("hello")
    assert (await client.complete("hello"))["choices"], "other accounts have their own quota"
    (rejected,) = server.rejected_requests
    assert (rejected.status, rejected.api_key) == (429, "small")
    del server.accounts["small"]
    with pytest.raises(openai.AuthenticationError):
        await small.complete("hello")
    await small.close()


async def test_embeddings_have_quota(server: ModelStandIn, client: OpenAIClient) -> None:
    server.quotas[EMBEDDER] = 3
    await client.openai.embeddings.create(model=EMBEDDER, input="one two three four five")
    with pytest.raises(openai.RateLimitError):
        await client.openai.embeddings.create(model=EMBEDDER, input="one")


async def test_quota_resets_daily() -> None:
    clock = FakeClock(datetime.fromisoformat("2026-11-23T23:59:58+00:00").timestamp())
    server = ModelStandIn(tokens_per_second=1_000_000, quotas={LLAMA: 10}, clock=clock)
    await server.start()
    client = OpenAIClient(server)
    await client.complete("hello")
    with pytest.raises(openai.RateLimitError):
        await client.complete("hello")
    clock.now += 3  # past midnight in UTC
    again = (await client.complete("hello"))["usage"]["total_tokens"]
    assert server.usage[LLAMA] == again
    with pytest.raises(openai.RateLimitError):
        await client.complete("hello")
    server.usage.start_new_day()
    assert server.usage[LLAMA] == 0
    assert (await client.complete("hello"))["choices"]
    await client.close()
    await server.close()


async def test_quota_error_wording_is_configurable(server: ModelStandIn, client: OpenAIClient) -> None:
    server.quotas[LLAMA] = 0
    server.quota_message = "Back off and retry."
    server.quota_headers = {"retry-after": "3600"}
    with pytest.raises(openai.RateLimitError) as caught:
        await client.complete("hello")
    assert caught.value.body == {"detail": "Back off and retry."}
    assert caught.value.response.headers["retry-after"] == "3600"


async def test_model_requires_higher_plan(server: ModelStandIn, client: OpenAIClient) -> None:
    server.paid_models.add(R1)
    status, body, _ = await client.http(
        "POST", "chat/completions", {"model": R1, "messages": [{"role": "user", "content": "x"}]}
    )
    assert status == 402
    assert isinstance(body["detail"], str)
    server.add_account("rich", is_paid=True)
    rich = OpenAIClient(server, "rich")
    assert (await rich.complete("hello", model=R1))["choices"]
    await rich.close()


@pytest.mark.parametrize("list_format", ModelListFormat)
async def test_models_can_be_removed_and_added(
    server: ModelStandIn, client: OpenAIClient, list_format: ModelListFormat
) -> None:
    server.list_format = list_format
    api = ModelApi(server.base_url, server.api_key)
    before = {model.id for model in await api.list_models()}
    assert before == set(BUILTIN_MODELS) - {EMBEDDER}
    server.models.pop(LLAMA)
    server.add_model(Model("qwen/New-72B", 65_536, has_vision=True, daily_quota=7))
    after = {model.id: model for model in await api.list_models()}
    assert set(after) == before - {LLAMA} | {"qwen/New-72B"}
    if list_format is not ModelListFormat.MINIMAL:
        assert after["qwen/New-72B"].context_window == 65_536
        assert after["qwen/New-72B"].has_vision
    if list_format is ModelListFormat.DOCUMENTED:
        assert after["qwen/New-72B"].daily_quota == 7
    with pytest.raises(openai.BadRequestError) as caught:
        await client.complete("hello", model=LLAMA)
    assert "'qwen/New-72B'" in str(caught.value.body)
    assert (await client.complete("hello", model="qwen/New-72B"))["choices"]
    await api.close()


async def test_each_list_format_has_own_fields(server: ModelStandIn, client: OpenAIClient) -> None:
    entries = {}
    for list_format in ModelListFormat:
        server.list_format = list_format
        _, body, _ = await client.http("GET", "models")
        entries[list_format] = next(m for m in body["data"] if TINY in (m.get("id"), m.get("name")))
        assert len(parse_models(body)) == 30
    assert entries[ModelListFormat.RECORDED]["context_window"] == 4_000
    assert entries[ModelListFormat.RECORDED]["max_model_len"] is None
    assert "context_window" not in entries[ModelListFormat.MINIMAL]
    assert entries[ModelListFormat.MINIMAL]["permission"]
    documented = entries[ModelListFormat.DOCUMENTED]
    assert UUID(documented["model_id"]).version == 5
    assert documented["metadata"]["context_window"] == 4_000
    assert documented["chat_daily_quota_tier_1"] == 1_000_000
    assert documented["api_completions_daily_quota_tier_1"] == 500_000
