"""Keys, quotas, days, plans, and models that come and go."""

import asyncio
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import openai
import pytest

from bots.sandbox.model import Kind, Listing, ModelStandIn, Use, published_quotas
from core.api.catalogue import Model, builtin, parse
from core.api.client import ModelApi
from tests.bots.sandbox.model.conftest import EMBEDDER, LLAMA, R1, TINY, Client


async def test_the_ledger_is_the_sum_of_all_answers(server: ModelStandIn, client: Client) -> None:
    server.add_key("other")
    other = Client(server, "other")
    answers = await asyncio.gather(
        *(client.stream(f"long {n}") for n in range(100, 1000, 100)),
        *(other.stream(f"long {n}") for n in range(100, 600, 100)),
        client.stream("hello", model=R1),
    )
    made = await client.openai.embeddings.create(model=EMBEDDER, input=["one", "two words"])
    spent = [sum(heard.usages[-1]) for heard in answers]
    key = server.api_key
    assert dict(server.used.today) == {
        Use(key, LLAMA, Kind.CHAT): sum(spent[:9]),
        Use("other", LLAMA, Kind.CHAT): sum(spent[9:14]),
        Use(key, R1, Kind.CHAT): spent[14],
        Use(key, EMBEDDER, Kind.EMBEDDINGS): made.usage.total_tokens,
    }
    assert server.used[LLAMA] == sum(spent[:14])
    assert server.used.of(key="other") == sum(spent[9:14])
    assert server.used.of(key=key, kind=Kind.CHAT) == sum(spent[:9]) + spent[14]
    await other.close()


async def test_accounts_have_quotas_of_their_own(server: ModelStandIn, client: Client) -> None:
    server.add_key("small", quotas={LLAMA: 10})
    small = Client(server, "small")
    await small.complete("hello")
    with pytest.raises(openai.RateLimitError):
        await small.complete("hello")
    assert (await client.complete("hello"))["choices"], "the other account is not touched"
    (turned_away,) = server.refused
    assert (turned_away.status, turned_away.key) == (429, "small")
    del server.accounts["small"]
    with pytest.raises(openai.AuthenticationError):
        await small.complete("hello")
    await small.close()


async def test_embeddings_have_a_quota_too(server: ModelStandIn, client: Client) -> None:
    server.quotas[EMBEDDER] = 3
    await client.openai.embeddings.create(model=EMBEDDER, input="one two three four five")
    with pytest.raises(openai.RateLimitError):
        await client.openai.embeddings.create(model=EMBEDDER, input="one")


async def test_a_quota_is_whole_again_on_the_next_day() -> None:
    now = datetime.fromisoformat("2026-11-23T23:59:58+00:00").timestamp()
    server = ModelStandIn(tokens_per_second=50_000, quotas={LLAMA: 10}, clock=lambda: now)
    await server.start()
    client = Client(server)
    spent = (await client.complete("hello"))["usage"]["total_tokens"]
    with pytest.raises(openai.RateLimitError):
        await client.complete("hello")
    now += 3  # midnight in UTC has passed
    again = (await client.complete("hello"))["usage"]["total_tokens"]
    assert server.used[LLAMA] == again
    assert server.used.ever[Use(server.api_key, LLAMA, Kind.CHAT)] == spent + again
    with pytest.raises(openai.RateLimitError):
        await client.complete("hello")
    server.reset_day()
    assert server.used[LLAMA] == 0
    assert (await client.complete("hello"))["choices"]
    await client.close()
    await server.close()


async def test_how_a_used_up_quota_is_said_can_be_chosen(
    server: ModelStandIn, client: Client
) -> None:
    server.quotas[LLAMA] = 0
    server.quota_says = "Back off and retry."
    server.quota_headers = {"retry-after": "3600"}
    with pytest.raises(openai.RateLimitError) as caught:
        await client.complete("hello")
    assert caught.value.body == {"detail": "Back off and retry."}
    assert caught.value.response.headers["retry-after"] == "3600"


def test_the_published_quotas() -> None:
    assert published_quotas() == dict.fromkeys(builtin(), 500_000)


async def test_a_model_of_a_higher_plan(server: ModelStandIn, client: Client) -> None:
    server.higher_tier.add(R1)
    status, body, _ = await client.http(
        "POST", "chat/completions", {"model": R1, "messages": [{"role": "user", "content": "x"}]}
    )
    assert status == 402
    assert isinstance(body["detail"], str)
    server.add_key("rich", paid=True)
    rich = Client(server, "rich")
    assert (await rich.complete("hello", model=R1))["choices"]
    await rich.close()


@pytest.mark.parametrize("listing", Listing)
async def test_models_vanish_and_appear(
    server: ModelStandIn, client: Client, listing: Listing
) -> None:
    server.listing = listing
    api = ModelApi(server.base_url, server.api_key)
    before = {model.id for model in await api.models()}
    assert before == set(builtin()) - {EMBEDDER}
    server.vanish(LLAMA)
    server.appear(Model("qwen/New-72B", 65_536, vision=True, daily_quota=7))
    after = {model.id: model for model in await api.models()}
    assert set(after) == before - {LLAMA} | {"qwen/New-72B"}
    if listing is not Listing.SPARE:
        assert after["qwen/New-72B"].context == 65_536
        assert after["qwen/New-72B"].vision
    if listing is Listing.DOCUMENTED:
        assert after["qwen/New-72B"].daily_quota == 7
    with pytest.raises(openai.BadRequestError) as caught:
        await client.complete("hello", model=LLAMA)
    assert "'qwen/New-72B'" in str(caught.value.body)
    assert (await client.complete("hello", model="qwen/New-72B"))["choices"]
    await api.close()


async def test_each_listing_has_its_own_fields(server: ModelStandIn, client: Client) -> None:
    shown = {}
    for listing in Listing:
        server.listing = listing
        _, body, _ = await client.http("GET", "models")
        shown[listing] = next(m for m in body["data"] if TINY in (m.get("id"), m.get("name")))
        assert len(parse(body)) == 30
    assert shown[Listing.RECORDED]["context_window"] == 4_000
    assert shown[Listing.RECORDED]["max_model_len"] is None
    assert "context_window" not in shown[Listing.SPARE]
    assert shown[Listing.SPARE]["permission"]
    documented = shown[Listing.DOCUMENTED]
    assert UUID(documented["model_id"]).version == 5
    assert documented["metadata"]["context_window"] == 4_000
    assert documented["chat_daily_quota_tier_1"] == 1_000_000
    assert documented["api_completions_daily_quota_tier_1"] == 500_000


async def test_the_statistics_of_an_account(server: ModelStandIn, client: Client) -> None:
    await client.complete("hello")
    await client.openai.embeddings.create(model=EMBEDDER, input="one")
    status, body, _ = await client.http("GET", "stats/token-usage")
    assert status == 200
    assert {row["category"]: row["usage_per_model"] for row in body["usage"]} == {
        "chat": {},
        "api_completions": {str(uuid5(NAMESPACE_URL, LLAMA)): server.used[LLAMA]},
        "embeddings": {str(uuid5(NAMESPACE_URL, EMBEDDER)): server.used[EMBEDDER]},
    }
    status, _, _ = await client.http("GET", "stats/token-usage", headers={})
    assert status == 401
