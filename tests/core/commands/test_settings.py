"""/settings, and what its values do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.turns.fake_adapter import running_engine


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=5000)
    await made.start()
    yield made
    await made.close()


async def test_length_used_up_by_reasoning_is_reported(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "/settings length" not in await chat.ask("empty")
        await chat.ask("/settings length 20")
        said = await chat.ask("think")
        assert "The model gave no answer." in said
        assert "Answers have 20 tokens here, thinking included: /settings length changes" in said


async def test_invalid_value_is_refused_and_value_can_be_reset(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        assert "takes 0 to 2, not “9”" in await chat.ask("/settings temperature 9")
        await chat.ask("/settings temperature 0.2")
        await chat.ask("repeat: one")
        assert model.requests[-1].body["temperature"] == 0.2
        assert "`/settings NAME reset` takes one back" in await chat.ask("/settings")
        await chat.ask("/settings temperature reset")
        await chat.ask("repeat: two")
        assert "temperature" not in model.requests[-1].body
