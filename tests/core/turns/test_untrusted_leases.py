"""A lease that is not trusted is not lost: the database may only have been slow."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.model import ModelStandIn
from core.delivery.rate_limiter import RateLimiter
from core.port import AccountKey, EventKind, Incoming, Place, PreviewMode, Sender
from core.store import claims, inbound
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.lease_keeper import Lease
from core.store.schema import turns
from core.store.turns import Turn
from core.timings import Timings
from core.turns.answer import AnswerPipeline
from core.turns.claimed_turn import ClaimedTurn
from core.turns.engine import Engine
from tests.clock import FakeClock
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, running_engine
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url

PLACE = Place("fake", "1", "6", is_private=True)
ANSWER = ("word " * 80).strip()
SHORT_LEASES = Timings(lease_duration=1.0, heartbeat_interval=0.2)


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = 40
    model.answer = lambda _body: ANSWER
    return model


@pytest.fixture
async def turn_store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    yield store
    await store.close()


def accept_and_claim(connection: Connection) -> Turn:
    question = Incoming(EventKind.PROMPT, "e1", PLACE, Sender("fake", "6", "Bob"), "hello")
    inbound.accept_event(
        connection, question, conversation_key="6", person_key="fake:6", ordered=True, limits=InboundLimits()
    )
    (turn,) = claims.claim_turns(connection, "me", [AccountKey("fake", "1")], lease_seconds=30, limit=1)
    return turn


def give_to_another_process(connection: Connection) -> None:
    connection.execute(update(turns).values(owner="other", attempt=turns.c.attempt + 1))


@pytest.mark.parametrize("mode", [PreviewMode.EDIT, PreviewMode.DRAFT, PreviewMode.OFF])
async def test_previews_pause_until_the_lease_is_trusted_again(turn_store: Store, mode: PreviewMode) -> None:
    clock = FakeClock()
    timings = Timings(clock=clock)
    adapter = FakeAdapter(replace(EDITING, preview_mode=mode))
    lease = Lease(clock.monotonic() - timings.lease_duration, timings=timings)
    turn = await turn_store.write(accept_and_claim)
    limiter = RateLimiter(adapter.account_rate_limit, timings=timings)
    async with ClaimedTurn(turn, lease, turn_store, adapter, limiter, timings).previewing() as preview:
        preview.update("the first words")
        await clock.advance(10)
        assert adapter.calls == [], "another process may show its own preview"
        lease.extend(clock.monotonic())
        await clock.advance(adapter.capabilities(PLACE).typing_interval)
        await adapter.wait_until(lambda: bool(adapter.calls))


@pytest.mark.slow
async def test_answer_is_stored_while_the_lease_is_not_trusted(tmp_path: Path, model: ModelStandIn) -> None:
    """It is complete and paid for. It is shown once the lease is trusted."""
    async with running_engine(
        tmp_path, model, FakeAdapter(EDITING), timings=SHORT_LEASES, database_url=postgresql_url()
    ) as adapter:
        await adapter.say("hello")
        await adapter.wait_until(lambda: len(adapter.calls) > 2)
        adapter.store.start_outage(Engine._heartbeat, Engine._claim)
        await adapter.store.wait_for_writes(AnswerPipeline._store_answer)
        calls = list(adapter.calls)
        adapter.store.end_outage()
        await adapter.wait_for_states("done")
    assert adapter.calls != calls
    assert adapter.texts == [ANSWER]
    assert len(model.requests) == 1


@pytest.mark.slow
async def test_turn_of_another_process_is_cancelled(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 4
    async with running_engine(tmp_path, model, FakeAdapter(EDITING), database_url=postgresql_url()) as adapter:
        await adapter.say("hello")
        await adapter.wait_until(lambda: bool(adapter.calls))
        await adapter.store.write(give_to_another_process)
        await model.wait_for(lambda: model.requests[0].disconnected_at is not None)


@pytest.mark.slow
async def test_process_alone_with_its_database_keeps_its_turns_while_writes_fail(
    tmp_path: Path, model: ModelStandIn
) -> None:
    """Nobody else can have them, so the answer grows and ends as usual."""
    adapter = FakeAdapter(EDITING)
    async with running_engine(tmp_path, model, adapter, timings=SHORT_LEASES, is_exclusive=True):
        adapter.store.start_outage(Engine._heartbeat)
        await adapter.say("hello")
        await adapter.wait_for_states("done")
        failed_renewals = adapter.store.failures["_heartbeat"]
    assert failed_renewals > SHORT_LEASES.lease_duration / SHORT_LEASES.heartbeat_interval
    assert adapter.texts == [ANSWER]
    assert len(model.requests) == 1
