"""The list of models: where it comes from, and which model a name, a search or a retired choice means."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.refusals import refuse
from core.api.catalogue import DEFAULT_CONTEXT_TOKENS, Model
from core.api.client import ModelApi
from core.api.model_data import BUILTIN_MODELS, DEFAULT_EMBEDDING_MODEL
from core.conversation.model_registry import EMBEDDING_CONTEXT_TOKENS, ModelRegistry, catalogue_key
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from core.store.key_values import set_value
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.api.raw_server import raw_server, response
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

PHI = "microsoft/phi-4"
DEFAULTS = Settings()
OFFERED = {
    model.id: model
    for model in (
        Model("b/Small-3B", 32_000),
        Model("a/large-70B", 64_000),
        Model("c/thinker-8B", 32_000, has_reasoning=True),
        Model("d/some-embed", 256, is_embedding_model=True),
    )
}


class RegistryHarness:
    def __init__(self, store: Store, service: ModelStandIn, api: ModelApi, timings: Timings) -> None:
        self.store = FaultyStore(store)
        self.service = service
        self._api = api
        self._timings = timings

    def create(self, settings: Settings = DEFAULTS) -> ModelRegistry:
        return ModelRegistry(self._api, self.store.as_store(), settings, timings=self._timings)

    async def learn_context_limit(self, model: str, tokens: int) -> None:
        await self._api.facts.learn_context_limit(model, tokens, is_counted=False)

    async def fetched(self, settings: Settings = DEFAULTS) -> ModelRegistry:
        registry = self.create(settings)
        await registry.fetch()
        return registry


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def harness(tmp_path: Path, clock: FakeClock) -> AsyncIterator[RegistryHarness]:
    store, service = Store(sqlite_url(tmp_path)), ModelStandIn()
    await store.open()
    await service.start()
    service.models = dict(OFFERED)
    api = ModelApi(service.base_url, service.api_key)
    timings = Timings(clock=clock, catalogue_refresh_interval=3600, catalogue_retry_interval=60)
    yield RegistryHarness(store, service, api, timings)
    await api.close()
    await service.close()
    await store.close()


def ids(models: list[Model]) -> list[str]:
    return [model.id for model in models]


# Where the list comes from


async def test_published_table_serves_until_the_list_is_fetched(harness: RegistryHarness) -> None:
    registry = harness.create()
    await registry.load()
    assert not registry.is_loaded
    assert PHI in ids(registry.chat_models())
    assert registry.successor("gone/model") is None, "it may be offered"
    assert registry.find_unknown_models() == []


async def test_fetched_list_outlives_the_process(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    assert registry.is_loaded
    assert ids(registry.chat_models()) == ["a/large-70B", "b/Small-3B", "c/thinker-8B"], "ordered by name"
    restarted = harness.create()
    await restarted.load()
    assert restarted.is_loaded
    assert restarted.chat_models() == registry.chat_models()
    assert restarted.embedding_models() == registry.embedding_models()


async def test_unreadable_list_is_replaced_by_the_published_table(harness: RegistryHarness) -> None:
    await harness.store.write(set_value, catalogue_key(DEFAULTS), "{")
    registry = harness.create()
    with structlog.testing.capture_logs() as logs:
        await registry.load()
    assert [entry["event"] for entry in logs] == ["model.catalogue_unreadable"]
    assert not registry.is_loaded
    assert PHI in ids(registry.chat_models())


async def test_empty_list_keeps_the_previous_one(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    harness.service.models = {}
    with pytest.raises(ModelError) as caught:
        await registry.fetch()
    assert caught.value.failure is ModelFailure.EMPTY
    assert not await registry.refresh()
    assert len(registry.chat_models()) == 3


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"404 page not found", "text/plain"),
        (b"<html>Welcome</html>", "text/html"),
        (b'{"error":"Unexpected endpoint"}', ""),
    ],
    ids=["unknown path", "website", "error with status 200"],
)
async def test_wrong_address_is_logged_with_advice(harness: RegistryHarness, body: bytes, content_type: str) -> None:
    answer = response(404 if content_type == "text/plain" else 200, body, content_type=content_type)
    async with raw_server(lambda _n: [answer]) as server:
        api = ModelApi(server.url, "secret-key")
        with structlog.testing.capture_logs() as logs:
            assert not await ModelRegistry(api, harness.store.as_store(), Settings()).refresh()
        await api.close()
    (entry,) = logs
    assert (entry["event"], entry["failure"]) == ("model.catalogue_not_fetched", ModelFailure.WRONG_ADDRESS)
    assert "IOINTELLIGENCE_BASE_URL is probably wrong" in entry["advice"]


async def test_list_that_cannot_be_stored_is_used(harness: RegistryHarness) -> None:
    harness.store.start_outage(set_value)
    registry = harness.create()
    assert await registry.refresh()
    assert len(registry.chat_models()) == 3


async def test_search_without_a_match_fetches_the_list_at_most_every_ten_seconds(
    harness: RegistryHarness, clock: FakeClock
) -> None:
    registry = await harness.fetched()
    harness.service.add_model(Model("e/new-7B"))
    assert ids((await registry.find_offered("large")).models) == ["a/large-70B"]
    assert registry.get("e/new-7B") is None, "nothing was missing"
    assert ids((await registry.find_offered("new")).models) == ["e/new-7B"]
    harness.service.add_model(Model("f/newest-7B"))
    assert (await registry.find_offered("newest")).model is None
    await clock.advance(10)
    assert ids((await registry.find_offered("newest")).models) == ["f/newest-7B"]


async def test_search_does_not_wait_for_a_service_that_hangs(harness: RegistryHarness) -> None:
    async with raw_server(lambda _n: []) as server:
        api = ModelApi(server.url, "secret-key")
        timings = Timings(catalogue_search_timeout=0.01)
        registry = ModelRegistry(api, harness.store.as_store(), DEFAULTS, timings=timings)
        assert (await registry.find_offered("no such model")).model is None
        await api.close()


async def test_list_is_fetched_again_sooner_after_a_failure(harness: RegistryHarness, clock: FakeClock) -> None:
    registry = harness.create(Settings(default_model=PHI, embedding_model=DEFAULT_EMBEDDING_MODEL))
    harness.service.models = {}
    with structlog.testing.capture_logs() as logs:
        refreshing = asyncio.create_task(registry.refresh_periodically())
        await clock.wait_for_timer()
        assert clock.pending() == [60]
        harness.service.models = dict(OFFERED)
        await clock.advance(60)
        await clock.wait_for_timer()
        assert clock.pending() == [3600]
        await clock.advance(3600)
        await clock.wait_for_timer()
        refreshing.cancel()
    warnings = [entry for entry in logs if entry["event"] == "model.not_offered"]
    assert [(entry["setting"], entry["model"]) for entry in warnings] == [("PARLEY_DEFAULT_MODEL", PHI)], "once"
    assert warnings[0]["successor"] in OFFERED


@pytest.mark.parametrize("failure", [None, ModelFailure.AUTHENTICATION, ModelFailure.REGION])
async def test_refused_account_is_reported_once_at_start(
    harness: RegistryHarness, clock: FakeClock, failure: ModelFailure | None
) -> None:
    """The service lists its models without a key."""
    if failure is ModelFailure.AUTHENTICATION:
        harness.service.accounts.clear()
    elif failure is ModelFailure.REGION:
        harness.service.fault_hook = refuse("region")
    registry = harness.create()
    with structlog.testing.capture_logs() as logs:
        refreshing = asyncio.create_task(registry.refresh_periodically())
        await clock.wait_for_timer()
        await clock.advance(3600)
        await clock.wait_for_timer()
        refreshing.cancel()
    reports = [entry for entry in logs if entry["event"] == "model.account_refused"]
    assert [entry["failure"] for entry in reports] == ([failure] if failure else [])
    assert all(entry["advice"] and entry["log_level"] == "error" for entry in reports)


# Models by kind, size and name


async def test_models_are_ordered_by_size(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    assert ids(registry.chat_models_by_size()) == ["b/Small-3B", "c/thinker-8B", "a/large-70B"]


async def test_configured_embedding_model_need_not_be_listed(harness: RegistryHarness) -> None:
    """IO Intelligence lists its embedding models elsewhere; other services list them among the others."""
    await harness.store.write(set_value, catalogue_key(DEFAULTS), msgspec.json.encode(list(OFFERED.values())).decode())

    async def embedding_models(model: str) -> list[Model]:
        registry = harness.create(Settings(embedding_model=model))
        await registry.load()
        assert ids(registry.chat_models()) == ["a/large-70B", "b/Small-3B", "c/thinker-8B"]
        return registry.embedding_models()

    listed = OFFERED["d/some-embed"]
    own = Model("my/own-embedder", EMBEDDING_CONTEXT_TOKENS, is_embedding_model=True)
    assert await embedding_models("my/own-embedder") == [listed, own]
    assert await embedding_models(DEFAULT_EMBEDDING_MODEL) == [listed, BUILTIN_MODELS[DEFAULT_EMBEDDING_MODEL]]
    assert await embedding_models("d/some-embed") == [listed]


async def test_names_are_short(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    assert registry.display_name("a/large-70B") == "large-70B"
    assert registry.display_name("someone/gone-7B") == "gone-7B"
    assert registry.display_name("plain") == "plain"
    assert registry.get("a/large-70B") is not None
    assert registry.get("someone/gone-7B") is None


async def test_suggestions_begin_with_the_best_match(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    everything = ids(registry.chat_models())
    assert ids(registry.suggest("")) == ids(registry.suggest("  ")) == everything
    assert ids(registry.suggest("thinker")) == ["c/thinker-8B"]
    assert ids(registry.suggest(" SMALL ")) == ["b/Small-3B"]
    suggested = ids(registry.suggest("b"))
    assert sorted(suggested) == sorted(set(suggested)), "none twice"
    assert "b/Small-3B" in suggested
    found = registry.find("thinker").model
    assert found is not None
    assert found.id == "c/thinker-8B"


async def test_models_that_only_transcribe_do_not_chat(harness: RegistryHarness) -> None:
    harness.service.models |= {id_: Model(id_, is_speech_model=True) for id_ in ("z/whisper", "y/whisper")}
    registry = await harness.fetched()
    assert registry.speech_model() == "y/whisper"
    assert ids(registry.chat_models()) == ["a/large-70B", "b/Small-3B", "c/thinker-8B"]


@pytest.mark.parametrize(
    ("seeing", "fallbacks", "chosen"),
    [
        ([], (), None),
        (["x/seeing-8B", "x/seeing-70B"], (), "x/seeing-70B"),
        (["x/seeing-8B", "x/seeing-70B"], ("b/Small-3B", "x/seeing-8B"), "x/seeing-8B"),
        (["x/seeing-8B"], ("b/Small-3B",), "x/seeing-8B"),
    ],
    ids=["none", "most similar", "configured fallback", "fallback without vision"],
)
async def test_picture_is_for_a_model_with_vision(
    harness: RegistryHarness, seeing: list[str], fallbacks: tuple[str, ...], chosen: str | None
) -> None:
    harness.service.models |= {id_: Model(id_, 64_000, has_vision=True) for id_ in seeing}
    registry = await harness.fetched(Settings(fallbacks=fallbacks))
    assert registry.vision_model("a/large-70B") == chosen
    assert [registry.has_vision(id_) for id_ in seeing] == [True] * len(seeing)
    assert not registry.has_vision("a/large-70B")
    assert not registry.has_vision("someone/gone-7B")


# Windows


async def test_window_is_the_configured_then_the_listed_one(harness: RegistryHarness) -> None:
    registry = await harness.fetched(Settings(contexts={"b/Small-3B": 5000, "my/unlisted": 700}))
    assert registry.context_tokens("a/large-70B") == 64_000
    assert registry.context_tokens("b/Small-3B") == 5000
    assert registry.context_tokens("my/unlisted") == 700
    assert registry.context_tokens("someone/gone-7B") == DEFAULT_CONTEXT_TOKENS


async def test_smaller_window_that_the_service_reports_counts(harness: RegistryHarness) -> None:
    registry = await harness.fetched()
    await harness.learn_context_limit("a/large-70B", 100_000)
    assert registry.context_tokens("a/large-70B") == 64_000
    await harness.learn_context_limit("a/large-70B", 4096)
    assert registry.context_tokens("a/large-70B") == 4096
    await harness.learn_context_limit("someone/gone-7B", 1024)
    assert registry.context_tokens("someone/gone-7B") == 1024


# Successors


async def test_offered_model_has_no_successor(harness: RegistryHarness) -> None:
    assert (await harness.fetched()).successor("a/large-70B") is None


@pytest.mark.parametrize(
    ("settings", "successor"),
    [
        (Settings(successors={"x/old-70B": "c/thinker-8B"}, default_model="b/Small-3B"), "c/thinker-8B"),
        (Settings(successors={"x/old-70B": "gone/too"}, default_model="b/Small-3B"), "b/Small-3B"),
        (Settings(default_model="gone/too", fallbacks=("gone/as-well", "b/Small-3B")), "b/Small-3B"),
        (Settings(default_model="gone/too"), "a/large-70B"),
    ],
    ids=["configured successor", "default model", "configured fallback", "most similar"],
)
async def test_successor_is_configured_or_similar(harness: RegistryHarness, settings: Settings, successor: str) -> None:
    assert (await harness.fetched(settings)).successor("x/old-70B") == successor
