"""What counts towards the daily limits of a person and a chat, besides answers: notes, searches and summaries."""

from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.store.token_usage import UsageKind, get_daily_usage
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

PERSONAL_KEY = "io-key-of-ann-0123456789"
ANN = "person:fake:5"


async def embedding_tokens(chat: FakeAdapter) -> int:
    ledger = chat.services.ledger
    quotas = await ledger.get_quotas(chat.key_id, [DEFAULT_EMBEDDING_MODEL], UsageKind.EMBEDDINGS)
    return quotas[DEFAULT_EMBEDDING_MODEL].usage.tokens


async def counted_tokens(chat: FakeAdapter) -> int:
    """Ann's tokens today."""
    return (await chat.store.read(get_daily_usage, [ANN], chat.services.ledger.today()))[ANN].tokens


async def test_notes_count_for_the_daily_limit(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_tokens=1000) as chat:
        replies = [await chat.ask(f"/remember {number} {'several words ' * 150}") for number in range(4)]
        assert replies[0].startswith("Remembered")
        assert "It needs more embedding tokens than today's limit leaves you (see /usage)" in replies[-1]
        assert 0 < await embedding_tokens(chat) <= 1000
        assert await counted_tokens(chat) == await embedding_tokens(chat)
        assert "Remembered" in await chat.ask("/remember something", user="6"), "others have their own limit"


async def test_searches_count_for_the_daily_limit(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_tokens=10_000) as chat:
        await chat.ask("/remember The dentist's number is 555-0142.")
        before = await embedding_tokens(chat)
        await chat.ask("repeat: the dentist's number")
        searched = await embedding_tokens(chat)
        assert searched > before
        assert await counted_tokens(chat) == searched + sum(model.requests[-1].token_usage)


async def chat_until_summarised(chat: FakeAdapter, model: ModelStandIn) -> list[Any]:
    """Fill a small window. Returns the requests for summaries."""

    def summary_requests() -> list[Any]:
        return [request for request in model.requests if "You keep the memory" in str(request.body["messages"][0])]

    model.answer = lambda _body: "Noted. " * 40
    await chat.ask("/model AceMath")
    for number in range(12):
        await chat.ask(f"{number}: " + "some more words to fill the window " * 40)
        if summary_requests():
            break
    await wait_until(lambda: chat.store.read(has_summary), 30)
    return summary_requests()


def has_summary(connection: Any) -> bool:
    return bool(connection.exec_driver_sql("SELECT count(*) FROM summaries").scalar())


async def test_summary_is_paid_with_the_personal_key(tmp_path: Path, model: ModelStandIn) -> None:
    model.add_account(PERSONAL_KEY)
    async with running_engine(tmp_path, model, secret_key="a passphrase", person_tokens=100_000) as chat:
        await chat.ask(f"/key {PERSONAL_KEY}")
        requests = await chat_until_summarised(chat, model)
        assert {request.api_key for request in requests} == {PERSONAL_KEY}
        assert await counted_tokens(chat) == 0


async def test_summary_counts_for_the_daily_limit(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, person_tokens=100_000) as chat:
        requests = await chat_until_summarised(chat, model)
        assert requests

        async def is_everything_counted() -> bool:
            spent = sum(sum(request.token_usage) for request in model.requests)
            return await counted_tokens(chat) == spent + await embedding_tokens(chat)

        await wait_until(is_everything_counted, 30)
