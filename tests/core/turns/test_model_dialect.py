"""Where the bot's own texts have a dialect of their own, a model's texts are not written in it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bots.discord.dialect import DiscordDialect
from core.commands.request import Reply
from core.delivery.rate_limiter import RateLimiter
from core.port import AccountKey, Dialect, EventKind, Incoming, Place, Sender
from core.store.claims import claim_turns
from core.store.database import Store
from core.store.inbound import InboundLimits, accept_event
from core.store.lease_keeper import Lease
from core.store.turns import Turn
from core.turns.claimed_turn import ClaimedTurn
from tests.core.turns.fake_adapter import EDITING, UNLIMITED, FakeAdapter
from tests.sqlite import sqlite_url

QUESTION = Incoming(
    EventKind.PROMPT, "q", Place("fake", "1", "6", is_private=True), Sender("fake", "6", "Bob"), "hello"
)


class OwnDialect(DiscordDialect):
    def escape_words(self, text: str) -> str:
        return text.replace("/model", "CLICK")


class TwoDialectsAdapter(FakeAdapter):
    model_dialect: Dialect

    def __init__(self) -> None:
        super().__init__(EDITING)
        self.dialect = OwnDialect()  # type: ignore[assignment]
        self.model_dialect = DiscordDialect()


def accept_and_claim(connection: Connection) -> Turn:
    accept_event(connection, QUESTION, conversation_key="6", person_key="fake:6", ordered=True, limits=InboundLimits())
    (turn,) = claim_turns(connection, "me", [AccountKey("fake", "1")], lease_seconds=30, limit=1)
    return turn


@pytest.fixture
def adapter() -> TwoDialectsAdapter:
    return TwoDialectsAdapter()


@pytest.fixture
async def claimed(tmp_path: Path, adapter: TwoDialectsAdapter) -> AsyncIterator[ClaimedTurn]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    turn = await store.write(accept_and_claim)
    yield ClaimedTurn(turn, Lease(time.monotonic()), store, adapter, RateLimiter(UNLIMITED))
    await store.close()


async def test_answer_and_its_previews_are_a_models_text(claimed: ClaimedTurn, adapter: TwoDialectsAdapter) -> None:
    async with claimed.previewing() as preview:
        preview.update("Use /model, I say")
        await adapter.wait_until(lambda: adapter.texts == ["Use /model, I say"])
    await claimed.deliver("Use /model, I say.", note="See /model.", is_answer=True)
    assert adapter.texts == ["Use /model, I say.\n\nSee CLICK."]


async def test_reasoning_is_a_models_text(claimed: ClaimedTurn, adapter: TwoDialectsAdapter) -> None:
    await claimed.reply_and_finish(Reply("Use /model?", is_collapsed=True))
    assert adapter.texts == ["> Use /model?"]


async def test_reply_is_an_own_text(claimed: ClaimedTurn, adapter: TwoDialectsAdapter) -> None:
    await claimed.reply_and_finish(Reply("Use /model."))
    assert adapter.texts == ["Use CLICK."]
