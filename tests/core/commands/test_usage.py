"""/usage: what went over the bot's key, and what over a person's own."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.store.grants import Role, grant
from tests.core.turns.fake_adapter import running_engine

PERSONAL_KEY = "io-key-of-ann-0123456789"
ANN, BOB = "5", "6"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=2000)
    made.add_account(PERSONAL_KEY)
    await made.start()
    yield made
    await made.close()


async def test_personal_key_usage_is_separate(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase", person_tokens=100_000) as chat:
        await chat.store.write(grant, f"quick:person:{BOB}", Role.OPERATOR, "Bob")
        await chat.ask("repeat: on the bot's key")
        house = sum(model.requests[-1].token_usage)
        assert "left, shared by everyone" in await chat.ask("/usage")
        await chat.ask(f"/key {PERSONAL_KEY}")
        assert "no tokens on your own key today" in await chat.ask("/usage")
        await chat.ask("repeat: on my own key, which is longer")
        own = sum(model.requests[-1].token_usage)
        shown = await chat.ask("/usage")
        assert "today on your own key" in shown
        assert re.search(rf" {own}  Llama\S+ \(1 answer; [\d,]+ left\)", shown)
        assert f"You also used {house} tokens on the bot's key today." in shown
        assert "shared" not in shown
        assert "of 100,000 tokens" not in shown, "bounds are for the bot's key"
        everybody = await chat.ask("/usage", user=BOB)
        assert re.search(rf"on the bot's key:\s+```\s+\S+ +{house}  Llama", everybody)
        assert f"Everyone, on their own keys: {own} tokens" in everybody


async def test_personal_key_usage_is_separate_after_removal(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.ask("repeat: on the bot's key")
        house = sum(model.requests[-1].token_usage)
        await chat.ask(f"/key {PERSONAL_KEY}")
        await chat.ask("repeat: on my own key, which is longer")
        own = sum(model.requests[-1].token_usage)
        await chat.ask("/key remove")
        shown = await chat.ask("/usage")
        assert re.search(rf" {house}  Llama\S+ \(1 answer; [\d,]+ left, shared by everyone\)", shown)
        assert f"You also used {own} tokens on your own key today." in shown


async def test_low_personal_quota_does_not_warn_operator(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase", quotas={LLAMA: 300}) as chat:
        await chat.store.write(grant, f"quick:person:{BOB}", Role.OPERATOR, "Bob")
        await chat.ask(f"/key {PERSONAL_KEY}")
        await chat.ask(f"repeat: {'many words ' * 150}")
        assert await chat.ask("repeat: his", user=BOB) == "his"
