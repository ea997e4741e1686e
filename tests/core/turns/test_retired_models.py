"""What people are told once the operator's default model is no longer offered."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import http_error
from core.app import open_services
from core.buttons import ButtonAction, encode_action, short_digest
from core.settings import Settings
from core.timings import Timings
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.sqlite import sqlite_url

pytestmark = pytest.mark.slow

LLAMA, PHI, GEMMA = "meta-llama/Llama-3.3-70B-Instruct", "microsoft/phi-4", "google/gemma-2-9b-it"
TIMINGS = Timings(model_retry_delay=0.001, max_model_retry_delay=0.002)
NOTICE = "Llama-3.3-70B-Instruct is no longer available. phi-4 answers here from now on."


async def answer_with_default(folder: Path, model: ModelStandIn, chat: FakeAdapter) -> None:
    """Have the default model answer in the chat; then the service drops it."""
    async with running_engine(folder, model, chat):
        assert await chat.ask("repeat: one") == "one"
        await chat.wait_for_states("done")
    model.models.pop(LLAMA)
    settings = {"api_key": model.api_key, "base_url": model.base_url, "database_url": sqlite_url(folder)}
    async with open_services(Settings(**settings)) as services:  # type: ignore[arg-type]
        await services.models.fetch()


async def test_notice_is_given_once_though_a_substitute_answers(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    model.fault_hook = lambda body: http_error(503) if body["model"] == PHI else None
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI, GEMMA), timings=TIMINGS) as chat:
        told = await chat.ask("repeat: two")
        assert NOTICE in told
        assert "phi-4 is unavailable. Answered by gemma-2-9b-it." in told
        await chat.wait_for_states("done", "done")
        later = await chat.ask("repeat: three")
        assert "Answered by gemma-2-9b-it." in later
        assert NOTICE not in later


async def test_answer_of_a_chosen_model_names_no_successor(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        await chat.press(encode_action(ButtonAction.RETRY_WITH, f"1:{short_digest(GEMMA)}"), next(iter(chat.messages)))
        await chat.wait_for_states("done", "done")
        assert model.requests[-1].body["model"] == GEMMA
        assert "from now on" not in "".join(chat.texts)


async def test_compared_answers_name_no_successor(tmp_path: Path, model: ModelStandIn) -> None:
    chat = FakeAdapter()
    await answer_with_default(tmp_path, model, chat)
    async with running_engine(tmp_path, model, chat, fallbacks=(PHI,), timings=TIMINGS) as chat:
        await chat.say("/compare gemma-2-9b-it phi-4 repeat: two")
        await chat.wait_until(lambda: sum("two" in text for text in chat.texts) == 2)
        assert "from now on" not in "".join(chat.texts)
