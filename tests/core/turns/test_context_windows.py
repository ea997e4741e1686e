"""Windows of all sizes in one conversation, against a service that counts with its own tokeniser."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.turns.fake_adapter import running_engine

SIZES = {
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


@pytest.mark.slow
async def test_alternating_windows_never_overflow(
    tmp_path: Path,
) -> None:
    model = ModelStandIn(tokens_per_second=1_000_000, answer=answer)
    await model.start()
    try:
        async with running_engine(tmp_path, model, quotas={"*": 0}) as chat:
            for turn in range(200):
                name = list(SIZES.values())[turn % 5]
                assert "Model: " in await chat.ask(f"/model {name}")
                text = WORDS[turn % 4] * (10 + (turn * 7) % 60)
                assert (await chat.ask(f"{turn}. {text}")).startswith("ответ")
                asked = [r.body for r in model.requests if "You keep" not in str(r.body)]
                assert asked[-1]["model"] == name
        assert [(one.status, one.detail) for one in model.rejected_requests] == []
        largest = [r for r in model.requests if r.body["model"] == SIZES[512_000]][-1]
        assert largest.body["messages"][1]["content"].startswith("0. "), "all of it is shown"
    finally:
        await model.close()


async def test_requested_length_is_bounded_by_window(tmp_path: Path) -> None:
    model = ModelStandIn(tokens_per_second=1_000_000, answer=answer)
    await model.start()
    try:
        async with running_engine(tmp_path, model, quotas={"*": 0}) as chat:
            await chat.ask("/settings length 100000")
            for name in list(SIZES.values())[:3]:
                await chat.ask(f"/model {name}")
                assert (await chat.ask("hello " * 100)).startswith("ответ")
        assert [(one.status, one.detail) for one in model.rejected_requests] == []
    finally:
        await model.close()
