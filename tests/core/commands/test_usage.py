"""/usage: what went over the bot's key, and what over a person's own."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.store.conversations import grant
from tests.core.turns.quick import quick

OWN = "io-key-of-ann-0123456789"
ANN, BOB = "5", "6"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=2000)
    made.add_key(OWN)
    await made.start()
    yield made
    await made.close()


async def test_what_an_own_key_paid_for_stands_apart(tmp_path: Path, model: ModelStandIn) -> None:
    async with quick(tmp_path, model, secret_key="a passphrase", person_tokens=100_000) as chat:
        await chat.store.write(grant, f"quick:person:{BOB}", "operator", "Bob")
        await chat.ask("repeat: on the bot's key")
        house = sum(model.requests[-1].usage)
        assert "left for all" in await chat.ask("/usage")
        await chat.ask(f"/key {OWN}")
        assert "no tokens on your own key today" in await chat.ask("/usage")
        await chat.ask("repeat: on my own key, which is longer")
        own = sum(model.requests[-1].usage)
        shown = await chat.ask("/usage")
        assert "today on your own key" in shown
        assert re.search(rf" {own}  Llama\S+ \(1 answer, [\d,]+ left\)", shown)
        assert f"On the bot's key you used {house} tokens today." in shown
        assert "for all" not in shown
        assert "of 100,000 tokens" not in shown, "bounds are for the bot's key"
        everybody = await chat.ask("/usage", user=BOB)
        assert re.search(rf"on the bot's key:\s+```\s+\S+ +{house}  Llama", everybody)
        assert f"on people's own keys: {own} tokens" in everybody


async def test_what_an_own_key_paid_for_stands_apart_after_it_was_taken_back(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with quick(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.ask("repeat: on the bot's key")
        house = sum(model.requests[-1].usage)
        await chat.ask(f"/key {OWN}")
        await chat.ask("repeat: on my own key, which is longer")
        own = sum(model.requests[-1].usage)
        await chat.ask("/key remove")
        shown = await chat.ask("/usage")
        assert re.search(rf" {house}  Llama\S+ \(1 answer, [\d,]+ left for all\)", shown)
        assert f"On your own key you used {own} tokens today." in shown


async def test_an_own_quota_near_its_end_is_no_warning_to_the_operator(
    tmp_path: Path, model: ModelStandIn
) -> None:
    async with quick(tmp_path, model, secret_key="a passphrase", quotas={LLAMA: 300}) as chat:
        await chat.store.write(grant, f"quick:person:{BOB}", "operator", "Bob")
        await chat.ask(f"/key {OWN}")
        await chat.ask(f"repeat: {'many words ' * 150}")
        assert await chat.ask("repeat: his", user=BOB) == "his"
