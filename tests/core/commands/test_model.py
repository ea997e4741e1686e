"""/model and what else says who answers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from core.app import services
from core.settings import Settings
from tests.core.turns.quick import Quick, quick

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
WRONG = "meta-llama/Llama-3.3-70B"


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=2000)
    await made.start()
    yield made
    await made.close()


def settings(folder: Path, model: ModelStandIn, **changed: object) -> Settings:
    given = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": f"sqlite:///{folder / 'parley.sqlite3'}",
        **changed,
    }
    return Settings(**given)  # type: ignore[arg-type]


async def listed(folder: Path, model: ModelStandIn) -> None:
    """Ask once which models there are, which the database keeps."""
    async with services(settings(folder, model)) as with_:
        await with_.models.ask()


async def test_a_default_that_is_not_offered_is_warned_of_at_the_start(
    tmp_path: Path, model: ModelStandIn
) -> None:
    given = settings(tmp_path, model, default_model=WRONG, fallbacks=("no/such", LLAMA))
    with structlog.testing.capture_logs() as logs:
        async with services(given) as with_:
            fresh = asyncio.create_task(with_.models.keep_fresh(given))
            async with asyncio.timeout(10):
                while len(logs) < 2:
                    await asyncio.sleep(0.02)
            fresh.cancel()
    assert [one["setting"] for one in logs] == ["PARLEY_DEFAULT_MODEL", "PARLEY_FALLBACKS"]
    assert {one["log_level"] for one in logs} == {"warning"}
    assert (logs[0]["model"], logs[0]["instead"]) == (WRONG, LLAMA)
    assert logs[0]["close"][0] == LLAMA


async def test_misspelt_models_of_quotas_windows_and_embeddings_are_warned_of(
    tmp_path: Path, model: ModelStandIn
) -> None:
    given = settings(
        tmp_path, model,
        quotas={"*": 10, LLAMA: 5, "phi-4": 7, "mixedbread-ai/mxbai-embed-large-v1": 9},
        contexts={"no/such": 1000, "my/own-embedder": 512},
        embedding_model="my/own-embedder",
    )  # fmt: skip
    await listed(tmp_path, model)
    async with services(given) as with_:
        missing = with_.models.missing(given)
    told = {(one.setting, one.model): one.close for one in missing}
    assert told == {
        ("PARLEY_EMBEDDING_MODEL", "my/own-embedder"): (),
        ("PARLEY_QUOTAS", "phi-4"): ("microsoft/phi-4",),
        ("PARLEY_CONTEXTS", "no/such"): (),
    }


async def test_the_model_that_really_answers_is_shown(tmp_path: Path, model: ModelStandIn) -> None:
    await listed(tmp_path, model)
    async with quick(tmp_path, model, default_model=WRONG, fallbacks=("microsoft/phi-4",)) as chat:
        await chat.ask("repeat: hello")
        assert model.requests[-1].body["model"] == "microsoft/phi-4"
        shown = await chat.ask("/model")
        assert "**phi-4** answers here" in shown
        assert "in place of Llama-3.3-70B, the default, which is not offered" in shown
        assert "**phi-4** answers" in await chat.ask("/start")
        assert "Model: phi-4" in await chat.ask("/settings")
        assert "phi-4 · 16k · 499k tokens left" in await chat.ask("/models phi-4")


async def test_a_choice_that_is_gone_shows_its_successor(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = Quick()
    async with quick(tmp_path, model, chat):
        await chat.ask("/model phi-4")
        assert "**phi-4** answers here (chosen for this chat by Ann)" in await chat.ask("/model")
    model.vanish("microsoft/phi-4")
    await listed(tmp_path, model)
    async with quick(tmp_path, model, chat):
        shown = await chat.ask("/model")
        assert "**Llama-3.3-70B-Instruct** answers here (in place of phi-4, chosen for" in shown


async def test_who_follows_a_default_that_is_gone_is_who_answers_in_its_place(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with quick(tmp_path, model) as chat:
        await chat.ask("/model llama-3.3")
        model.vanish(LLAMA)
        assert "is not available any more: answered by Llama-3.1-N" in await chat.ask("repeat: 1")
        assert "**Llama-3.1-Nemotron" in await chat.ask("/model")
        said = await chat.ask("repeat: 2")
        assert "is not offered any more: Llama-3.1-Nemotron" in said
        assert "Llama-3.1-Nemotron" in model.requests[-1].body["model"]


async def test_a_group_is_greeted_with_how_to_ask_there(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with quick(tmp_path, model) as chat:
        assert "Write to me, and **Llama-3.3" in await chat.ask("/start")
        before = len(chat.shown)
        await chat.say("/start", group="-7")
        await chat.until(lambda: len(chat.shown) > before)
        assert (
            "Use /ask, reply to me or mention me, and **Llama-3.3" in list(chat.shown.values())[-1]
        )
