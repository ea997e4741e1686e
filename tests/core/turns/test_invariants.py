"""Invariants of a running process, on both databases.

tests/core/store/test_invariants.py tests those that the database keeps by itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import http_error
from core.delivery.rate_limiter import Priority, RateLimiter
from core.port import AccountKey, Attachment, EventKind, Incoming, Part, Place, Sender
from core.store import claims, inbound
from core.store.answer_parts import finish_delivery, save_part
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.lease_keeper import Lease
from core.store.memories import delete_all
from core.store.schema import messages, turns
from core.store.turns import LostLeaseError, Turn
from core.texts import answers as texts
from core.timings import Timings
from core.turns.answer import AnswerPipeline
from core.turns.claimed_turn import ClaimedTurn
from core.turns.dispatch import Dispatcher
from core.turns.engine import MAX_ATTEMPTS, Engine
from tests.core.turns.fake_adapter import EDITING, UNLIMITED, FakeAdapter, running_engine
from tests.postgresql import endless_transactions, open_store, postgresql_url
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

PLACE = Place("fake", "1", "6", is_private=True)
ACCOUNTS = [AccountKey("fake", "1")]
ANSWER = ("word " * 80).strip()
PART = Part("a part")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return postgresql_url()


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.tokens_per_second = 20
    model.answer = lambda _body: ANSWER
    return model


def expire_leases(connection: Connection) -> None:
    connection.execute(update(turns).values(lease_expires_at=0))


def lease_expiry(connection: Connection) -> float:
    return float(connection.scalars(select(turns.c.lease_expires_at)).one())


def turn_attempts(connection: Connection) -> list[int]:
    return list(connection.scalars(select(turns.c.attempt)))


def turn_states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.state).order_by(turns.c.id)))


def accept_question(connection: Connection, user: str) -> None:
    question = Incoming(
        EventKind.PROMPT, f"question of {user}", replace(PLACE, chat=user), Sender("fake", user, "Bob"), "hello"
    )
    inbound.accept_event(
        connection, question, conversation_key=user, person_key=f"fake:{user}", ordered=True, limits=InboundLimits()
    )


def accept_and_claim(connection: Connection, owner: str, lease_seconds: float) -> Turn:
    accept_question(connection, "6")
    (turn,) = claims.claim_turns(connection, owner, ACCOUNTS, lease_seconds=lease_seconds, limit=1)
    return turn


# A process that was frozen


EFFECTS: dict[str, Callable[[ClaimedTurn], Awaitable[object]]] = {
    "final": lambda claimed: claimed.deliver("the answer"),
    "preview": lambda claimed: claimed.outbox.put(0, PART, Priority.PREVIEW),
    "part": lambda claimed: claimed.outbox.put(0, PART, Priority.CONTROL),
    "edit": lambda claimed: claimed.outbox.edit_message("1", PART),
    "deletion": lambda claimed: claimed.outbox.delete_message("1"),
    "warning": lambda claimed: claimed.outbox.send_until_confirmed(1, PART),
}


@pytest.mark.parametrize("effect", EFFECTS)
async def test_resumed_process_shows_nothing_after_takeover(database_url: str, effect: str) -> None:
    """What it shows might appear above the messages of the new owner."""
    adapter = FakeAdapter(EDITING)
    store = Store(database_url)
    await store.open()
    try:
        turn = await store.write(accept_and_claim, "frozen", 30)
        expired = Lease(time.monotonic() - Timings().lease_duration)
        claimed = ClaimedTurn(turn, expired, store, adapter, RateLimiter(UNLIMITED))
        async with asyncio.timeout(20):
            with pytest.raises(LostLeaseError):
                await EFFECTS[effect](claimed)
    finally:
        await store.close()
    assert adapter.calls == []


@pytest.mark.slow
async def test_nothing_is_shown_after_lease_expires(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """The trust in a lease counts from the last renewal that the database confirmed."""
    model.tokens_per_second = 40
    adapter, timings = FakeAdapter(EDITING), Timings(lease_duration=2.0, heartbeat_interval=0.2)
    async with running_engine(tmp_path, model, adapter, timings=timings, database_url=database_url):
        await adapter.say("hello")
        await adapter.wait_until(lambda: len(adapter.calls) > 2)
        adapter.store.start_outage(Engine._heartbeat, Engine._claim)
        expires_at = time.monotonic() + timings.lease_duration
        await adapter.store.wait_for_failures(Engine._heartbeat, 2)
        await adapter.store.wait_for_failures(Engine._claim, 4)
        assert time.monotonic() > expires_at
        assert [call for call in adapter.calls if call.started_at > expires_at] == []
        model.tokens_per_second = 2000
        adapter.store.end_outage()
        await adapter.wait_for_states("done")
    assert len(model.requests) == 1, "no other process had the turn"
    assert adapter.texts == [ANSWER]


# Database outages


@pytest.mark.slow
async def test_claims_and_heartbeats_survive_database_outage(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 40
    timings = Timings(claim_interval=0.1, heartbeat_interval=0.1)
    async with running_engine(tmp_path, model, timings=timings, database_url=database_url) as adapter:
        await adapter.say("the first")
        await model.wait_for(lambda: len(model.requests) == 1)
        adapter.store.start_outage(Engine._claim, Engine._heartbeat)
        await adapter.say("during the outage", user="7")
        await asyncio.gather(
            adapter.store.wait_for_failures(Engine._claim, 3), adapter.store.wait_for_failures(Engine._heartbeat, 3)
        )
        adapter.store.end_outage()
        await adapter.wait_for_states("done", "done")
    assert len(model.requests) == 2, "no question was asked twice"


@pytest.mark.slow
@pytest.mark.parametrize("function", [save_part, AnswerPipeline._store_answer, finish_delivery])
async def test_answer_survives_short_database_outage(
    database_url: str, tmp_path: Path, model: ModelStandIn, function: Callable[..., object]
) -> None:
    """The answer is paid for, and the person has read most of it."""
    model.tokens_per_second = 200
    async with running_engine(tmp_path, model, FakeAdapter(EDITING), database_url=database_url) as adapter:
        adapter.store.start_outage(function)
        await adapter.say("hello")
        await adapter.store.wait_for_failures(function)
        adapter.store.end_outage()
        await adapter.wait_for_states("done")
        assert await adapter.store.read(turn_attempts) == [1]
    assert len(model.requests) == 1
    assert adapter.texts == [ANSWER]


async def test_heartbeat_renews_only_running_turns(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """The response to a claim was lost: this process has the turn, and does not know."""
    async with running_engine(tmp_path, model, database_url=database_url) as adapter:
        model.tokens_per_second = 4
        await adapter.say("keeps the heartbeats going")
        await model.wait_for(lambda: len(model.requests) == 1)
        await adapter.store.write(accept_and_claim, adapter.engine._owner, 0.5)
        await model.wait_for(lambda: len(model.requests) == 2, 15)
        assert not model.requests[0].is_completed
        await adapter.engine.close(0)


@pytest.mark.slow
async def test_turn_is_kept_while_reads_are_slow(tmp_path: Path, model: ModelStandIn) -> None:
    """Another process would answer the question again."""
    model.tokens_per_second, url = 4, postgresql_url()
    async with running_engine(tmp_path, model, database_url=url) as adapter, open_store(url) as watcher:
        await adapter.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        async with endless_transactions(url) as endless:
            slow = [asyncio.create_task(adapter.store.read(endless)) for _ in range(20)]
            await asyncio.wait(slow, timeout=0.5)
            before = await watcher.read(lease_expiry)

            async def is_renewed() -> bool:
                return await watcher.read(lease_expiry) > before

            await wait_until(is_renewed)
        await asyncio.gather(*slow)
        await adapter.engine.close(0)


# Several processes, shutdown


async def test_stop_reaches_writing_process(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    writing, other = FakeAdapter(EDITING), FakeAdapter(EDITING, first_number=1000)
    async with running_engine(tmp_path, model, writing, database_url=database_url):
        await writing.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        async with running_engine(tmp_path, model, other, database_url=database_url):
            writing.engine._is_closing = True  # the other process claims the turn of the command
            await other.say("/stop")
            await model.wait_for(lambda: model.requests[0].disconnected_at is not None)
            await writing.wait_for_states("stopped", "done")
    assert not model.requests[0].is_completed
    assert any(texts.STOPPED in text for text in writing.texts)


async def test_shutdown_releases_leases(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, FakeAdapter(EDITING), database_url=database_url) as adapter:
        await adapter.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        await adapter.engine.close(0)
        (turn,) = await adapter.store.write(claims.claim_turns, "next", ACCOUNTS, lease_seconds=30, limit=5)
        assert turn.attempt == 2
        calls = list(adapter.calls)
    assert adapter.calls == calls


async def test_stored_answer_is_not_requested_again(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2000
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.say("hello")
        await dying.started["send"].wait()
        assert await dying.store.read(turn_states) == ["delivering"]
        await dying.engine.close(0)
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("done")
    assert heir.texts == [ANSWER]
    assert len(model.requests) == 1


async def die_while_delivering(adapter: FakeAdapter) -> None:
    async with asyncio.timeout(30):
        await adapter.started["send"].wait()
    await adapter.engine.close(0)


async def test_failed_answer_has_failed_after_another_process_delivers_it(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    model.fault_hook = lambda _body: http_error(400)
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.say("hello")
        await die_while_delivering(dying)
        assert await dying.store.read(turn_states) == ["delivering"]
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("failed")
        reason = await heir.store.read(lambda connection: connection.scalar(select(turns.c.failure)))
        assert (reason or "").startswith("The model service rejected this request."), "for `parley top`"
    assert len(heir.texts) == 1


async def test_reason_of_a_failure_is_the_same_after_another_process_delivers_it(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    model.fault_hook = lambda _body: http_error(400)
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    question = Incoming(
        EventKind.PROMPT, "k", PLACE, Sender("fake", "6", "Ann"), "hi", attachments=(Attachment("video"),)
    )
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.inbox(question)
        await die_while_delivering(dying)
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("failed")
        reason = await heir.store.read(lambda connection: connection.scalar(select(turns.c.failure)))
    assert heir.texts[0].startswith("*" + texts.attachments_not_read(["video"]))
    assert (reason or "").startswith("The model service rejected this request."), "not what else the note says"


async def test_failure_is_delivered_after_the_memory_was_cleared(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    model.fault_hook = lambda _body: http_error(400)
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.say("hello")
        await die_while_delivering(dying)
        await dying.store.write(delete_all, "fake:1:5::")
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("failed")
    assert [text.startswith("*The model service rejected this request.") for text in heir.texts] == [True]


async def test_answer_that_was_erased_before_its_delivery_says_so(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    def erase(connection: Connection) -> None:
        connection.execute(delete(messages))
        connection.execute(update(turns).values(note=None, failure=None, buttons_json=None))

    model.tokens_per_second = 2000
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.say("hello")
        await die_while_delivering(dying)
        await dying.store.write(erase)
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("done")
    assert heir.texts == [f"*{texts.ANSWER_NOT_STORED}*"]


async def test_stopped_answer_is_stopped_after_another_process_delivers_it(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    dying, heir = FakeAdapter(), FakeAdapter()
    dying.close_gate("send")
    async with running_engine(tmp_path, model, dying, database_url=database_url):
        await dying.say("hello")
        await model.wait_for(lambda: len(model.requests) == 1)
        await dying.say("/stop")
        await die_while_delivering(dying)
    async with running_engine(tmp_path, model, heir, database_url=database_url):
        await heir.wait_for_states("stopped", "done")
    assert any(texts.STOPPED in text for text in heir.texts)


# Turns that break their process


@pytest.mark.slow
async def test_poison_question_is_abandoned_with_notice(
    database_url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    async def fail(_: Dispatcher, claimed: ClaimedTurn) -> None:
        attempts.append(claimed.turn.attempt)
        await claimed.store.write(expire_leases)
        raise RuntimeError("a defect")

    monkeypatch.setattr(Dispatcher, "run", fail)
    async with running_engine(tmp_path, model, database_url=database_url) as adapter:
        await adapter.say("hello")
        await adapter.wait_for_states("failed")
        assert attempts == list(range(1, MAX_ATTEMPTS + 1))
        (notice,) = adapter.texts
    assert texts.INTERNAL_ERROR in notice


async def test_suspect_turns_are_isolated(
    database_url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question ends every process that runs it, together with all other turns of that process."""
    attempts: list[tuple[str, int]] = []
    run = Dispatcher.run

    async def run_or_die(dispatcher: Dispatcher, claimed: ClaimedTurn) -> None:
        text, attempt = claimed.turn.incoming.text, claimed.turn.attempt
        attempts.append((text, attempt))
        if text == "poison" or attempt <= claims.SUSPECT_ATTEMPTS:
            await asyncio.sleep(0)  # let the other turns start
            await claimed.store.write(expire_leases)
            raise LostLeaseError
        await run(dispatcher, claimed)

    monkeypatch.setattr(Dispatcher, "run", run_or_die)
    model.tokens_per_second = 2000
    async with running_engine(tmp_path, model, database_url=database_url) as adapter:
        for user, text in enumerate(("one", "poison", "two")):
            await adapter.say(text, user=f"{user}")
        await adapter.wait_for_states("done", "failed", "done")
    assert adapter.texts.count(ANSWER) == 2
    assert max(attempt for text, attempt in attempts if text != "poison") <= claims.SUSPECT_ATTEMPTS + 2
    assert ("poison", MAX_ATTEMPTS) in attempts


def mark_suspect(connection: Connection, turn_id: int) -> None:
    connection.execute(update(turns).where(turns.c.id == turn_id).values(failed_attempts=claims.SUSPECT_ATTEMPTS))


@pytest.mark.slow
async def test_suspect_turn_does_not_wait_for_later_turns(
    database_url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    """On a busy bot there is always a later turn."""
    async with running_engine(tmp_path, model, turns_at_once=1, database_url=database_url) as adapter:
        await adapter.say("the one that is answered", user="5")
        await model.wait_for(lambda: len(model.requests) == 1)
        for user in ("6", "7", "8"):
            await adapter.say(f"of {user}", user=user)
        await adapter.store.write(mark_suspect, 2)
        model.tokens_per_second = 2000
        await adapter.wait_for_states(*["done"] * 4)
    prompts = [request.body["messages"][-1]["content"] for request in model.requests]
    assert prompts[1:] == ["of 6", "of 7", "of 8"]


@pytest.mark.slow
async def test_isolation_ends_after_success(database_url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """One by one, the suspects would wait longer than the failure itself lasted."""
    store = Store(database_url)
    await store.open()
    for number in range(8):
        await store.write(accept_question, f"{number}")
        await store.write(mark_suspect, number + 1)
    await store.close()
    concurrent: list[int] = []

    async def are_done() -> bool:
        open_requests = sum(not request.is_completed for request in model.requests)
        assert open_requests < 2 or model.requests[0].is_completed, "the first suspect runs alone"
        concurrent.append(open_requests)
        return await adapter.store.read(turn_states) == ["done"] * 8

    model.tokens_per_second = 40
    async with running_engine(tmp_path, model, database_url=database_url) as adapter:
        await wait_until(are_done, 60)
    assert max(concurrent) > 2
