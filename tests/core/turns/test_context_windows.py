"""Models with windows of all sizes in one conversation. The service counts with its own tokeniser."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import OVERFLOW_RESPONSES, ModelStandIn
from bots.sandbox.model.faults import http_error
from core.errors import ModelFailure
from core.texts import answers as texts
from tests.core.turns.fake_adapter import running_engine

MODELS_BY_WINDOW = {
    4_000: "nvidia/AceMath-7B-Instruct",
    8_000: "google/gemma-2-9b-it",
    32_000: "ozone-ai/0x-lite",
    128_000: "THUDM/glm-4-9b-chat",
    512_000: "jinaai/ReaderLM-v2",
}
WORDS = ("plain english words ", "слова по-русски ", "漢字とかな", "def f(x): return x+1\n")


def answer(body: dict[str, object]) -> str:
    if "You keep the memory" in str(body["messages"]):
        return "A summary of what was said."
    return "ответ, answer, 答え " * 30


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second, model.answer = 1_000_000, answer
    return model


@pytest.mark.slow
async def test_alternating_windows_never_overflow(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={"*": 0}) as adapter:
        for turn in range(200):
            name = list(MODELS_BY_WINDOW.values())[turn % 5]
            assert "Model: " in await adapter.ask(f"/model {name}")
            text = WORDS[turn % 4] * (10 + (turn * 7) % 60)
            assert (await adapter.ask(f"{turn}. {text}")).startswith("ответ")
            requests = [request.body for request in model.requests if "You keep" not in str(request.body)]
            assert requests[-1]["model"] == name
    assert [(request.status, request.detail) for request in model.rejected_requests] == []
    largest = [request for request in model.requests if request.body["model"] == MODELS_BY_WINDOW[512_000]][-1]
    assert largest.body["messages"][1]["content"].startswith("0. "), "the whole conversation"


async def test_requested_length_is_bounded_by_window(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={"*": 0}) as adapter:
        await adapter.ask("/settings length 100000")
        for name in list(MODELS_BY_WINDOW.values())[:3]:
            await adapter.ask(f"/model {name}")
            assert (await adapter.ask("hello " * 100)).startswith("ответ")
    assert [(request.status, request.detail) for request in model.rejected_requests] == []


@pytest.mark.parametrize(
    ("wording", "is_learned"), [("openai without figures", False), ("vllm", True), ("silent", True)]
)
async def test_window_much_smaller_than_listed_stops_no_conversation(
    tmp_path: Path, model: ModelStandIn, wording: str, is_learned: bool
) -> None:
    llama = "meta-llama/Llama-3.3-70B-Instruct"
    model.models = {llama: replace(model.models[llama], context_window=1500)}
    model.overflow_response = OVERFLOW_RESPONSES[wording]
    async with running_engine(tmp_path, model, contexts={llama: 128_000}, quotas={"*": 0}) as adapter:
        for turn in range(14):
            assert (await adapter.ask(f"{turn}. " + "plain english words " * 20)).startswith("ответ")
        assert (adapter.models.context_tokens(llama) <= 1500) is is_learned


async def test_overflow_of_a_short_question_is_reported_as_it_is(tmp_path: Path, model: ModelStandIn) -> None:
    model.fault_hook = lambda _body: http_error(400, "Your input exceeds the context window of this model")
    async with running_engine(tmp_path, model) as adapter:
        assert texts.FAILURE_TEXTS[ModelFailure.OVERFLOW][:40] in await adapter.ask("hello")
