"""A claimed turn that shows previews and then delivers the whole answer."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bots.discord.dialect import DiscordDialect
from core.delivery.rate_limiter import RateLimiter
from core.delivery.splitter import Splitter
from core.markdown.document import Document
from core.port import AccountKey, EventKind, Incoming, Part, Place, Sender
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
ANSWER = "".join(f"**Sentence** {number} of the answer. " for number in range(100)).strip()
DIALECT = DiscordDialect(200)
PARTS = [part.text for part in Splitter(DIALECT).update(ANSWER)]


class CountingDialect(DiscordDialect):
    rendered_chars = 0

    def render(self, document: Document) -> Part:
        part = super().render(document)
        self.rendered_chars += len(part.text)
        return part


def accept_and_claim(connection: Connection) -> Turn:
    accept_event(connection, QUESTION, conversation_key="6", person_key="fake:6", ordered=True, limits=InboundLimits())
    (turn,) = claim_turns(connection, "me", [AccountKey("fake", "1")], lease_seconds=30, limit=1)
    return turn


@pytest.fixture
def dialect() -> CountingDialect:
    return CountingDialect(200)


@pytest.fixture
def adapter(dialect: CountingDialect) -> FakeAdapter:
    adapter = FakeAdapter(EDITING)
    adapter.dialect = dialect  # type: ignore[assignment]  # another dialect with a small limit
    return adapter


@pytest.fixture
async def claimed(tmp_path: Path, adapter: FakeAdapter) -> AsyncIterator[ClaimedTurn]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    turn = await store.write(accept_and_claim)
    yield ClaimedTurn(turn, Lease(time.monotonic()), store, adapter, RateLimiter(UNLIMITED))
    await store.close()


async def test_answer_is_not_split_again_after_its_previews(
    claimed: ClaimedTurn, adapter: FakeAdapter, dialect: CountingDialect
) -> None:
    async with claimed.previewing() as preview:
        preview.update(ANSWER[:-5])
        await adapter.wait_until(lambda: len(adapter.messages) == len(PARTS))
    previewed_chars, dialect.rendered_chars = dialect.rendered_chars, 0
    await claimed.deliver(ANSWER, is_answer=True)
    assert dialect.rendered_chars < previewed_chars / 10
    assert adapter.texts == PARTS


async def test_other_text_than_that_of_the_previews_is_delivered(claimed: ClaimedTurn, adapter: FakeAdapter) -> None:
    async with claimed.previewing() as preview:
        preview.update("It seems that this")
        await adapter.wait_until(lambda: adapter.texts == ["It seems that this"])
    await claimed.deliver(ANSWER, is_answer=True)
    assert adapter.texts == PARTS


async def test_last_part_is_stored_before_the_rest_of_a_longer_answer_is_deleted(
    claimed: ClaimedTurn, adapter: FakeAdapter
) -> None:
    """A process that dies while it deletes them would leave a stored digest that is not that of the message."""
    await claimed.deliver(ANSWER, is_answer=True)
    adapter.close_gate("delete")
    delivery = asyncio.create_task(claimed.deliver("A short answer.", is_stored=True, is_answer=True))
    await adapter.started["delete"].wait()
    assert claimed.outbox.unstored_parts() == {}
    adapter.gates["delete"].set()
    await delivery
    assert adapter.texts == ["A short answer."]


async def test_a_finished_turn_leaves_memory_without_a_garbage_collection(tmp_path: Path, adapter: FakeAdapter) -> None:
    """Collections are rare: until the next one, a busy bot would keep the texts and documents of many answers."""

    async def answer() -> "weakref.ref[asyncio.Event]":
        turn = await store.write(accept_and_claim)
        claimed = ClaimedTurn(turn, Lease(time.monotonic()), store, adapter, RateLimiter(UNLIMITED))
        async with claimed.previewing() as preview:
            preview.update(ANSWER[:-5])
            await adapter.wait_until(lambda: len(adapter.messages) == len(PARTS))
        await claimed.deliver(ANSWER, is_answer=True)
        return weakref.ref(claimed.stop_requested)

    store = Store(sqlite_url(tmp_path))
    await store.open()
    gc.disable()
    try:
        stop_requested = await answer()
        assert stop_requested() is None
    finally:
        gc.enable()
        await store.close()
