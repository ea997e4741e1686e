"""Which model answers, and how the person and the operator learn of it."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from core.app import open_services
from core.buttons import ButtonAction, encode_action
from core.port import EventKind, Incoming, Place, Sender
from core.settings import Settings
from tests.core.commands.conftest import LLAMA
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

UNKNOWN = "meta-llama/Llama-3.3-70B"


def make_settings(folder: Path, model: ModelStandIn, **changed: object) -> Settings:
    values = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": sqlite_url(folder),
        **changed,
    }
    return Settings(**values)  # type: ignore[arg-type]


async def fetch_models(folder: Path, model: ModelStandIn) -> None:
    """Store the service's list of models in the database."""
    async with open_services(make_settings(folder, model)) as services:
        await services.models.fetch()


async def test_unavailable_default_is_logged_at_start(tmp_path: Path, model: ModelStandIn) -> None:
    configured = make_settings(tmp_path, model, default_model=UNKNOWN, fallbacks=("no/such", LLAMA))
    with structlog.testing.capture_logs() as logs:
        async with open_services(configured) as services:
            refreshing = asyncio.create_task(services.models.refresh_periodically())
            await wait_until(lambda: len(logs) == 2)
            refreshing.cancel()
    assert [entry["setting"] for entry in logs] == ["PARLEY_DEFAULT_MODEL", "PARLEY_FALLBACKS"]
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert (logs[0]["model"], logs[0]["successor"]) == (UNKNOWN, LLAMA)
    assert logs[0]["suggestions"][0] == LLAMA


async def test_misspelt_models_in_settings_are_logged(tmp_path: Path, model: ModelStandIn) -> None:
    configured = make_settings(
        tmp_path,
        model,
        quotas={"*": 10, LLAMA: 5, "phi-4": 7, "mixedbread-ai/mxbai-embed-large-v1": 9},
        contexts={"no/such": 1000, "my/own-embedder": 512},
        embedding_model="my/own-embedder",
    )
    await fetch_models(tmp_path, model)
    async with open_services(configured) as services:
        unknown_models = services.models.find_unknown_models()
    assert {(unknown.setting, unknown.model): unknown.suggestions for unknown in unknown_models} == {
        ("PARLEY_EMBEDDING_MODEL", "my/own-embedder"): (),
        ("PARLEY_QUOTAS", "phi-4"): ("microsoft/phi-4",),
        ("PARLEY_CONTEXTS", "no/such"): (),
    }


async def test_answering_model_is_shown(tmp_path: Path, model: ModelStandIn) -> None:
    await fetch_models(tmp_path, model)
    async with running_engine(tmp_path, model, default_model=UNKNOWN, fallbacks=("microsoft/phi-4",)) as chat:
        await chat.ask("repeat: hello")
        assert model.requests[-1].body["model"] == "microsoft/phi-4"
        reply = await chat.ask("/model")
        assert "Model: **phi-4** (" in reply
        assert "in place of Llama-3.3-70B, the default, which is no longer available" in reply
        assert "**phi-4** will answer" in await chat.ask("/start")
        assert "Model: phi-4" in await chat.ask("/settings")
        assert "phi-4 · 16k · 499k tokens left" in await chat.ask("/models phi-4")
        await chat.press(encode_action(ButtonAction.SHOW_SETTING, ""), next(iter(chat.messages)))
        await chat.wait_until(lambda: "Model: phi-4" in chat.texts[-1])
        await chat.inbox(Incoming(EventKind.ADDED, "u1", Place("fake", "1", "-7"), Sender("fake", "5", "Ann"), ""))
        await chat.wait_for_text("Ask me anything, and **phi-4** will answer")


async def test_removed_choice_shows_successor(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.ask("/model phi-4")
        assert "Model: **phi-4** (chosen for this chat by Ann)" in await chat.ask("/model")
    model.models.pop("microsoft/phi-4")
    await fetch_models(tmp_path, model)
    async with running_engine(tmp_path, model, chat):
        reply = await chat.ask("/model")
        assert "Model: **Llama-3.3-70B-Instruct** (in place of phi-4, chosen for" in reply


async def test_removed_default_shows_fallback(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/model llama-3.3")
        model.models.pop(LLAMA)
        reply = await chat.ask("repeat: 1")
        assert re.search("is no longer available. Llama-3.1-Nemotron.* answers here from now on", reply)
        assert "**Llama-3.1-Nemotron" in await chat.ask("/model")
        assert await chat.ask("repeat: 2") == "2"
        assert "Llama-3.1-Nemotron" in model.requests[-1].body["model"]


async def test_model_that_is_back_can_be_chosen_at_once(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        removed = model.models.pop("microsoft/phi-4")
        await chat.models.fetch()
        assert chat.models.find("phi-4").model is None
        model.add_model(removed)
        assert "Model: **phi-4**" in await chat.ask("/model phi-4")
        await chat.ask("repeat: hello")
        assert model.requests[-1].body["model"] == "microsoft/phi-4"


async def test_group_greeting_explains_mention(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "Write to me, and **Llama-3.3" in await chat.ask("/start")
        before = len(chat.messages)
        await chat.say("/start", group="-7")
        await chat.wait_until(lambda: len(chat.messages) > before)
        assert "Use /ask, reply to me or mention me, and **Llama-3.3" in list(chat.messages.values())[-1]


async def test_reset_names_the_default(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/model phi-4")
        await chat.ask("/model mistral-large me")
        reset = "Model reset (this chat). **Mistral-Large-Instruct-2411**, chosen for all your chats, answers here."
        assert await chat.ask("/model reset") == reset
        assert await chat.ask("/model reset me") == "Back to the default: **Llama-3.3-70B-Instruct**"
        assert "Model: **Llama-3.3-70B-Instruct** (the default)" in await chat.ask("/model")


@pytest.mark.parametrize("word", ["reset", "default", "off", "Standard", "сброс", "по умолчанию", "默认"])
async def test_model_is_reset_by_other_words(tmp_path: Path, model: ModelStandIn, word: str) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("/model phi-4 me")
        assert await chat.ask(f"/model {word} me") == "Back to the default: **Llama-3.3-70B-Instruct**"


async def test_model_may_have_the_name_of_a_reset_word(tmp_path: Path, model: ModelStandIn) -> None:
    model.add_model(replace(model.models["microsoft/phi-4"], id="default"))
    async with running_engine(tmp_path, model) as chat:
        await chat.models.fetch()
        assert "Model: **default**" in await chat.ask("/model default")
        assert "Back to the default" in await chat.ask("/model reset")


async def test_model_of_server_needs_server(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert await chat.ask("/model phi-4 server") == "This chat isn't on a server."
