"""/usage: tokens on the bot's key and on a person's own key."""

import re
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.scopes import ScopeKind, grant_subject
from core.store.grants import Role, grant
from core.texts.formatting import quota_bar
from core.texts.usage import BAR_CHARS
from tests.core.commands.conftest import LLAMA, PERSONAL_KEY
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow

BOB = "6"
PHI = "microsoft/phi-4"


async def make_bob_operator(chat: FakeAdapter) -> None:
    await chat.store.write(grant, grant_subject(chat.platform, ScopeKind.PERSON, BOB), Role.OPERATOR, "Bob")


async def test_personal_key_usage_is_separate(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase", person_tokens=100_000) as chat:
        await make_bob_operator(chat)
        await chat.ask("repeat: on the bot's key")
        bot_key_tokens = sum(model.requests[-1].token_usage)
        usage = await chat.ask("/usage")
        assert "left, shared by everyone" in usage
        assert f"You have used {bot_key_tokens} of 100,000 tokens today." in usage
        await chat.ask(f"/key {PERSONAL_KEY}")
        assert "no tokens on your own key today" in await chat.ask("/usage")
        await chat.ask("repeat: on my own key, which is longer")
        personal_tokens = sum(model.requests[-1].token_usage)
        usage = await chat.ask("/usage")
        assert "Tokens you used today on your own key; the bars" in usage
        assert re.search(rf" {personal_tokens}  Llama\S+ \(1 answer; [\d,]+ left\)", usage)
        assert f"You also used {bot_key_tokens} tokens on the bot's key today." in usage
        assert "shared" not in usage
        assert "of 100,000 tokens" not in usage, "limits apply to the bot's key only"
        total = await chat.ask("/usage", user=BOB)
        assert re.search(rf"on the bot's key:\s+```\s+\S+ +{bot_key_tokens}  Llama", total)
        assert f"Everyone, on their own keys: {personal_tokens} tokens" in total


async def test_personal_key_usage_is_separate_after_removal(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        await chat.ask("repeat: on the bot's key")
        bot_key_tokens = sum(model.requests[-1].token_usage)
        await chat.ask(f"/key {PERSONAL_KEY}")
        await chat.ask("repeat: on my own key, which is longer")
        personal_tokens = sum(model.requests[-1].token_usage)
        await chat.ask("/key remove")
        usage = await chat.ask("/usage")
        assert re.search(rf" {bot_key_tokens}  Llama\S+ \(1 answer; [\d,]+ left, shared by everyone\)", usage)
        assert f"You also used {personal_tokens} tokens on your own key today." in usage


async def test_low_personal_quota_does_not_warn_operator(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase", quotas={LLAMA: 300}) as chat:
        await make_bob_operator(chat)
        await chat.ask(f"/key {PERSONAL_KEY}")
        await chat.ask(f"repeat: {'many words ' * 150}")
        assert await chat.ask("repeat: his", user=BOB) == "his"


async def test_each_model_has_a_line_with_its_tokens_and_answers(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={LLAMA: 1000, PHI: 0}, person_messages=50) as chat:
        for text in ("repeat: one", "repeat: two", "/model phi-4", "repeat: three"):
            await chat.ask(text)
        await chat.wait_for_states(*["done"] * 4)
        *of_llama, of_phi = [sum(request.token_usage) for request in model.requests]
        lines = (await chat.ask("/usage")).splitlines()
        remaining = 1000 - sum(of_llama)
        bar = quota_bar(remaining / 1000, BAR_CHARS)
        assert lines[:2] == ["Tokens you used today; the bars show what is left of the quotas:", ""]
        rows = lines[3:5]
        assert sorted(rows) == sorted(
            [
                f"{bar} {sum(of_llama):>9}  Llama-3.3-70B-Instruct (2 answers; {remaining} left, shared by everyone)",
                f"{quota_bar(None, BAR_CHARS)} {of_phi:>9}  phi-4 (1 answer)",
            ]
        )
        assert "You have used 3 of 50 questions today." in lines
        assert not any("tokens today" in line for line in lines), "there is no limit on tokens"


async def test_refused_questions_cost_nothing(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        await chat.ask("error 402")
        (quota,) = (await chat.services.ledger.get_quotas(chat.key_id, [LLAMA])).values()
        assert quota.usage.tokens == 0


@pytest.mark.parametrize("has_own_key", [False, True])
async def test_failed_questions_are_no_answers(tmp_path: Path, model: ModelStandIn, has_own_key: bool) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase", fallbacks=(PHI,)) as chat:
        if has_own_key:
            await chat.ask(f"/key {PERSONAL_KEY}")
        await chat.ask("error 402")
        usage = await chat.ask("/usage")
        assert "You have used no tokens" in usage
        assert "Llama" not in usage
        await chat.ask("empty")
        assert re.search(r"Llama\S+ \(0 answers; ", await chat.ask("/usage")), "they cost tokens"
        await chat.ask("repeat: one")
        assert re.search(r"Llama\S+ \(1 answer; ", await chat.ask("/usage"))


async def test_operator_sees_everyones_tokens_most_first(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, quotas={LLAMA: 5000, PHI: 0}) as chat:
        await make_bob_operator(chat)
        assert "Everyone" not in await chat.ask("/usage", user=BOB), "nobody has asked"
        await chat.ask("/model phi-4")
        await chat.ask("repeat: one")
        await chat.ask(f"repeat: {'many words ' * 100}", user=BOB)
        await chat.wait_for_states(*["done"] * 4)
        of_phi, of_llama = [sum(request.token_usage) for request in model.requests]
        assert "Everyone" not in await chat.ask("/usage")
        total = (await chat.ask("/usage", user=BOB)).partition("Everyone, on the bot's key:")[2].splitlines()
        rows = [line.lstrip(" █░") for line in total if "Llama" in line or "phi" in line]
        assert rows == [f"{of_llama}  Llama-3.3-70B-Instruct of 5,000", f"{of_phi}  phi-4"]
        assert "own keys" not in "".join(total)


async def test_reset_is_announced(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        reply = await chat.ask("/usage")
        assert reply.startswith("You have used no tokens today.")
        assert re.search(r"Quotas reset in \d+ (h|min|s)\.", reply)
