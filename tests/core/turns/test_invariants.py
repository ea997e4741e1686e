"""The rules that were found by breaking them, as a living process keeps them, on both databases.

Those that the database keeps by itself are in core/store/test_rules.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from bots.sandbox.model import ModelStandIn
from core.delivery.preview import Preview
from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import StoreError
from core.port import AccountKey, Capabilities, EventKind, Incoming, Part, Place, PreviewMode, Sender
from core.store import claims, inbound
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.lease_keeper import Lease
from core.store.schema import turns as table
from core.store.turns import LostLeaseError, Turn
from core.texts import answers as texts
from core.timings import Timings
from core.turns.claimed_turn import ClaimedTurn
from core.turns.dispatch import Dispatcher
from core.turns.engine import MAX_ATTEMPTS
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter, running_engine
from tests.postgresql import postgresql_url

PLACE = Place("quick", "1", "6", is_private=True)
HERE = [AccountKey("quick", "1")]
ANSWER = "word " * 80
PART = Part("a part")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'parley.sqlite3'}"
    return postgresql_url()


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=20, answer=lambda _body: ANSWER)
    await made.start()
    yield made
    await made.close()


class RecordingAdapter(FakeAdapter):
    """Notes when it did anything that people see; shows answers as `preview` says."""

    def __init__(self, preview_mode: PreviewMode = PreviewMode.EDIT) -> None:
        super().__init__()
        self.preview_mode = preview_mode
        self.done: list[tuple[float, str]] = []
        self.sending = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(UNLIMITED, preview_mode=self.preview_mode, preview_interval=0.1, deduplicates_sends=True)

    def _record(self, what: str) -> None:
        self.done.append((time.monotonic(), what))

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        self.sending.set()
        await self.may_send.wait()
        self._record("send")
        return await super().send(place, part, key=key)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        self._record("edit")
        await super().edit(place, message_id, part)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        self._record("delete")

    async def show_typing(self, place: Place) -> None:
        self._record("typing")

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        self._record("draft")


async def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def wait_for_states(store: Store, *states: str) -> None:
    async with asyncio.timeout(20):
        while await store.read(turn_states) != list(states):
            await asyncio.sleep(0.02)


def turn_states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(table.c.state).order_by(table.c.id)))


def expire_leases(connection: Connection) -> None:
    connection.execute(update(table).values(lease_expires_at=0))


def claimed(connection: Connection, owner: str, lease: float) -> Turn:
    """A question of somebody's, kept and claimed by `owner` in the same instant."""
    asked = Incoming(EventKind.PROMPT, "u1", PLACE, Sender("quick", "6", "Bob"), "hello")
    inbound.accept_event(
        connection,
        asked,
        conversation_key="bob",
        person_key="quick:6",
        ordered=True,
        limits=InboundLimits(),
    )
    (turn,) = claims.claim_turns(connection, owner, HERE, lease_seconds=lease, limit=1)
    return turn


# -- a process that was frozen


async def show_preview(held: ClaimedTurn) -> None:
    preview = Preview(held.adapter, held.rate_limiter, held.outbox, held.turn.id, on_gone=held.stop_requested.set)
    preview.update("what it had read before")
    await preview.run()


EFFECTS: dict[str, Callable[[ClaimedTurn], Awaitable[object]]] = {
    "final": lambda held: held.deliver("the answer"),
    "preview": lambda held: held.outbox.put(0, PART, Priority.PREVIEW),
    "page": lambda held: held.outbox.put(0, PART, Priority.CONTROL),
    "change": lambda held: held.outbox.edit_message("1", PART),
    "removal": lambda held: held.outbox.delete_message("1"),
    "doubt": lambda held: held.outbox.send_until_confirmed(1, PART),
    "growing message": show_preview,
    "growing draft": show_preview,
    "typing": show_preview,
}
PREVIEW_MODES = {"growing draft": PreviewMode.DRAFT, "typing": PreviewMode.OFF}


@pytest.mark.parametrize("effect", EFFECTS)
async def test_resumed_process_shows_nothing_after_takeover(url: str, effect: str) -> None:
    """Its lease may have run out: what it would show might stand above the new owner's words."""
    store = Store(url)
    await store.open()
    turn = await store.write(claimed, "frozen", 30)
    chat = RecordingAdapter(PREVIEW_MODES.get(effect, PreviewMode.EDIT))
    expired = Lease(time.monotonic() - Timings().lease_duration)
    thawed = ClaimedTurn(turn, "frozen", expired, store, chat, RateLimiter(UNLIMITED))
    acting = asyncio.ensure_future(EFFECTS[effect](thawed))
    await wait_until(lambda: acting.done() or bool(chat.done))
    acting.cancel()
    (outcome,) = await asyncio.gather(acting, return_exceptions=True)
    await store.close()
    assert chat.done == []
    assert isinstance(outcome, LostLeaseError)


async def test_nothing_is_shown_after_lease_expires(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from the last heartbeat that was kept, not from the last that was tried."""
    model.tokens_per_second = 40
    chat, timings = RecordingAdapter(), Timings(lease_duration=2.0, heartbeat_interval=0.2)
    async with running_engine(tmp_path, model, chat, timings=timings, database_url=url):
        away = UnavailableStore(chat.store, {"_heartbeat"}, monkeypatch)
        await chat.say("hello")
        await wait_until(lambda: len(chat.done) > 2)
        away.start_outage()
        last = time.monotonic() + 2.0
        model.tokens_per_second = 2000  # for the next request
        await wait_until(lambda: len(model.requests) == 2)
        again = time.monotonic()
        away.end_outage()
        assert away.refused["_heartbeat"] > 1
        assert [what for at, what in chat.done if last < at < again - 0.1] == []
        await wait_for_states(chat.store, "done")
    assert [text.strip() for text in chat.messages.values()] == [ANSWER.strip()]


class UnavailableStore:
    """The database, between `begin` and `end`, for some transactions."""

    def __init__(self, store: Store, names: set[str], patch: pytest.MonkeyPatch) -> None:
        self.refused = dict.fromkeys(names, 0)
        self._away = False
        for way in ("write", "write_with_priority"):
            patch.setattr(store, way, self._guarded(getattr(store, way)))

    def _guarded(self, write: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def guarded(function: Callable[..., object], *args: object, **more: object) -> object:
            name = getattr(function, "__name__", "")
            if self._away and name in self.refused:
                self.refused[name] += 1
                raise StoreError("The database cannot be used: just now")
            return await write(function, *args, **more)

        return guarded

    def start_outage(self) -> None:
        self._away = True

    def end_outage(self) -> None:
        self._away = False


# -- the loops


async def test_claims_and_heartbeats_survive_database_outage(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.tokens_per_second = 40
    chat, timings = RecordingAdapter(), Timings(claim_interval=0.1, heartbeat_interval=0.1)
    async with running_engine(tmp_path, model, chat, timings=timings, database_url=url):
        away = UnavailableStore(chat.store, {"_claim", "_heartbeat"}, monkeypatch)
        await chat.say("the first")
        await wait_until(lambda: len(model.requests) == 1)
        away.start_outage()
        await chat.say("while it was away", user="7")
        await wait_until(lambda: min(away.refused.values()) > 2)
        away.end_outage()
        await wait_until(lambda: len(model.requests) == 2)
        await wait_for_states(chat.store, "done", "done")
    assert len(model.requests) == 2, "nothing was given up and begun again"


@pytest.mark.parametrize("what", ["save_part", "settle_reservation", "_store_answer", "finish_turn"])
async def test_answer_survives_short_database_outage(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It was paid for, and the person has read most of it."""
    model.tokens_per_second = 200
    chat = RecordingAdapter()
    async with running_engine(tmp_path, model, chat, database_url=url):
        away = UnavailableStore(chat.store, {what}, monkeypatch)
        away.start_outage()
        await chat.say("hello")
        await wait_until(lambda: away.refused[what] > 0)
        away.end_outage()
        await wait_for_states(chat.store, "done")
        assert await chat.store.read(attempts) == [1]
    assert len(model.requests) == 1
    assert [text.strip() for text in chat.messages.values()] == [ANSWER.strip()]


def attempts(connection: Connection) -> list[int]:
    return list(connection.scalars(select(table.c.attempt)))


async def test_heartbeat_renews_only_running_turns(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """A claim whose answer to us was lost: it is ours, and nobody works on it."""
    chat = RecordingAdapter()
    async with running_engine(tmp_path, model, chat, database_url=url):
        assert chat.engine is not None
        model.tokens_per_second = 4
        await chat.say("keeps the heartbeats going")
        await wait_until(lambda: len(model.requests) == 1)
        await chat.store.write(claimed, chat.engine._owner, 0.5)
        await wait_until(lambda: len(model.requests) == 2, 15)
        assert not model.requests[0].is_completed
        await chat.engine.close(0)


async def test_stop_reaches_writing_process(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    one, other = RecordingAdapter(), RecordingAdapter()
    other._numbers = itertools.count(1000)
    async with running_engine(tmp_path, model, one, database_url=url):
        await one.say("hello")
        await wait_until(lambda: len(model.requests) == 1)
        async with running_engine(tmp_path, model, other, database_url=url):
            assert one.engine is not None
            one.engine._is_closing = True  # it begins nothing more: the other carries the stop out
            await other.say("/stop")
            await wait_until(lambda: model.requests[0].disconnected_at is not None)
            await wait_for_states(one.store, "stopped", "done")
    assert not model.requests[0].is_completed
    assert any(texts.STOPPED in text for text in one.messages.values())


# -- the end, and what comes after


async def test_shutdown_releases_leases(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    chat = RecordingAdapter()
    async with running_engine(tmp_path, model, chat, database_url=url):
        assert chat.engine is not None
        await chat.say("hello")
        await wait_until(lambda: len(model.requests) == 1)
        await chat.engine.close(0)
        (turn,) = await chat.store.write(claims.claim_turns, "heir", HERE, lease_seconds=30, limit=5)
        assert turn.attempt == 2
        shown_then = len(chat.done)
    assert len(chat.done) == shown_then


async def test_stored_answer_is_not_requested_again(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second = 2000
    dying, heir = RecordingAdapter(PreviewMode.OFF), RecordingAdapter(PreviewMode.OFF)
    dying.may_send.clear()
    async with running_engine(tmp_path, model, dying, database_url=url):
        assert dying.engine is not None
        await dying.say("hello")
        await dying.sending.wait()
        assert await dying.store.read(turn_states) == ["delivering"]
        await dying.engine.close(0)
    async with running_engine(tmp_path, model, heir, database_url=url):
        await wait_for_states(heir.store, "done")
    assert [text.strip() for text in heir.messages.values()] == [ANSWER.strip()]
    assert len(model.requests) == 1


async def test_poison_question_is_abandoned_with_notice(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    async def breaks(_: Dispatcher, held: ClaimedTurn) -> None:
        tried.append(held.turn.attempt)
        await held.store.write(expire_leases)
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(Dispatcher, "run", breaks)
    async with running_engine(tmp_path, model, RecordingAdapter(), database_url=url) as chat:
        await chat.say("hello")
        await wait_for_states(chat.store, "failed")
        assert tried == list(range(1, MAX_ATTEMPTS + 1))
        (said,) = chat.messages.values()
    assert texts.INTERNAL_ERROR in said


async def test_suspect_turns_are_isolated(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, int]] = []
    answered = Dispatcher.run

    async def dies(dispatch: Dispatcher, held: ClaimedTurn) -> None:
        """One question ends every process that tries it, whatever else that is at."""
        text = held.turn.incoming.text
        tried.append((text, held.turn.attempt))
        if text == "poison" or held.turn.attempt <= claims.SUSPECT_ATTEMPTS:
            await asyncio.sleep(0)  # the others are begun as well
            await held.store.write(expire_leases)
            raise LostLeaseError
        await answered(dispatch, held)

    monkeypatch.setattr(Dispatcher, "run", dies)
    model.tokens_per_second = 2000
    async with running_engine(tmp_path, model, RecordingAdapter(PreviewMode.OFF), database_url=url) as chat:
        for number, text in enumerate(("one", "poison", "two")):
            await chat.say(text, user=f"{number}")
        async with asyncio.timeout(20):
            while sorted(await chat.store.read(turn_states)) != ["done", "done", "failed"]:
                await asyncio.sleep(0.05)
        shown = [text.strip() for text in chat.messages.values()]
    assert shown.count(ANSWER.strip()) == 2
    assert [attempt for text, attempt in tried if text != "poison"][-1] <= claims.SUSPECT_ATTEMPTS + 2
    assert ("poison", MAX_ATTEMPTS) in tried


def mark_suspect(connection: Connection, turn: int) -> None:
    connection.execute(update(table).where(table.c.id == turn).values(attempt=claims.SUSPECT_ATTEMPTS))


async def test_suspect_turn_does_not_wait_for_later_turns(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """Where more is asked than can be answered at once, there is always one that comes later."""
    async with running_engine(tmp_path, model, turns_at_once=1, database_url=url) as chat:
        await chat.say("the one that is answered", user="5")
        await wait_until(lambda: len(model.requests) == 1)
        for user in ("6", "7", "8"):
            await chat.say(f"of {user}", user=user)
        await chat.store.write(mark_suspect, 2)
        model.tokens_per_second = 2000
        await wait_for_states(chat.store, *["done"] * 4)
    asked = [request.body["messages"][-1]["content"] for request in model.requests]
    assert asked[1:] == ["of 6", "of 7", "of 8"]


async def test_isolation_ends_after_success(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    """One by one they would wait longer than the trouble itself lasted."""
    before = Store(url)
    await before.open()
    for number in range(8):
        bob = Sender("quick", f"{number}", "Bob")
        asked = Incoming(EventKind.PROMPT, f"u{number}", replace(PLACE, chat=bob.user), bob, "hello")
        await before.write(
            inbound.accept_event,
            asked,
            conversation_key=bob.user,
            person_key=bob.user,
            ordered=True,
            limits=InboundLimits(),
        )
        await before.write(mark_suspect, number + 1)
    await before.close()
    most = 0
    model.tokens_per_second = 40
    async with running_engine(tmp_path, model, database_url=url) as chat, asyncio.timeout(60):
        while await chat.store.read(turn_states) != ["done"] * 8:
            open_ = sum(not request.is_completed for request in model.requests)
            assert open_ < 2 or model.requests[0].is_completed, "the first is tried alone"
            most = max(most, open_)
            await asyncio.sleep(0.05)
    assert most > 2
