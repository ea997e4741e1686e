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
from core.delivery.gate import Gate, Priority
from core.delivery.preview import Preview
from core.errors import StoreError
from core.port import Capabilities, Incoming, Kind, Part, Place, Sender
from core.store import accepting, turns
from core.store.accepting import Bounds
from core.store.database import Store
from core.store.schema import turns as table
from core.store.turns import LostLeaseError, Turn
from core.turns import engine, words
from core.turns.dispatch import Dispatch
from core.turns.held import Held
from tests.core.turns.quick import PACE, Quick, quick
from tests.databases import postgresql_url

PLACE = Place("quick", "1", "6", private=True)
HERE = [("quick", "1")]
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


class Seen(Quick):
    """Notes when it did anything that people see; shows answers as `preview` says."""

    def __init__(self, preview: str = "edit") -> None:
        super().__init__()
        self.preview = preview
        self.done: list[tuple[float, str]] = []
        self.sending = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE, preview=self.preview, preview_every=0.1, keyed=True)

    def _note(self, what: str) -> None:
        self.done.append((time.monotonic(), what))

    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        self.sending.set()
        await self.may_send.wait()
        self._note("send")
        return await super().send(place, part, key=key)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self._note("edit")
        await super().edit(place, message, part)

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        self._note("delete")

    async def typing(self, place: Place) -> None:
        self._note("typing")

    async def draft(self, place: Place, draft: int, part: Part) -> None:
        self._note("draft")


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def ended(store: Store, *states: str) -> None:
    async with asyncio.timeout(20):
        while await store.read(now) != list(states):
            await asyncio.sleep(0.02)


def now(connection: Connection) -> list[str]:
    return list(connection.scalars(select(table.c.state).order_by(table.c.id)))


def lapse(connection: Connection) -> None:
    connection.execute(update(table).values(lease_until=0))


def claimed(connection: Connection, owner: str, lease: float) -> Turn:
    """A question of somebody's, kept and claimed by `owner` in the same instant."""
    asked = Incoming(Kind.PROMPT, "u1", PLACE, Sender("quick", "6", "Bob"), "hello")
    accepting.accept(
        connection, asked, key="bob", person="quick:6", ordered=True, bounds=Bounds()
    )  # fmt: skip
    (turn,) = turns.claim(connection, owner, HERE, lease=lease, most=1)
    return turn


# -- a process that was frozen


async def shown(held: Held) -> None:
    preview = Preview(held.chat, held.gate, held.outbox, held.turn.id, gone=held.stop.set)
    preview.show("what it had read before")
    await preview.run()


EFFECTS: dict[str, Callable[[Held], Awaitable[object]]] = {
    "final": lambda held: held.deliver("the answer"),
    "preview": lambda held: held.outbox.put(0, PART, Priority.PREVIEW),
    "page": lambda held: held.outbox.put(0, PART, Priority.CONTROL),
    "change": lambda held: held.outbox.change("1", PART),
    "removal": lambda held: held.outbox.remove("1"),
    "doubt": lambda held: held.outbox.tell(1, PART),
    "growing message": shown,
    "growing draft": shown,
    "typing": shown,
}
AS_DRAFT = {"growing draft": "draft", "typing": "off"}


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_frozen_process_that_wakes_up_shows_nothing_more(url: str, effect: str) -> None:
    """Its lease may have run out: what it would show might stand above the new owner's words."""
    store = Store(url)
    await store.open()
    turn = await store.write(claimed, "frozen", 30)
    chat = Seen(AS_DRAFT.get(effect, "edit"))
    thawed = Held(turn, "frozen", store, chat, Gate(PACE), time.monotonic() - 0.001)
    acting = asyncio.ensure_future(EFFECTS[effect](thawed))
    await until(lambda: acting.done() or bool(chat.done))
    acting.cancel()
    (outcome,) = await asyncio.gather(acting, return_exceptions=True)
    await store.close()
    assert chat.done == []
    assert isinstance(outcome, LostLeaseError)


async def test_nothing_is_shown_beyond_a_lease_that_is_not_renewed(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from the last heartbeat that was kept, not from the last that was tried."""
    monkeypatch.setattr(engine, "LEASE", 2.0)
    monkeypatch.setattr(engine, "BEAT", 0.2)
    model.tokens_per_second = 40
    chat = Seen()
    async with quick(tmp_path, model, chat, database_url=url):
        away = Away(chat.store, {"_beat"}, monkeypatch)
        await chat.say("hello")
        await until(lambda: len(chat.done) > 2)
        away.begin()
        last = time.monotonic() + 2.0
        model.tokens_per_second = 2000  # for the next request
        await until(lambda: len(model.requests) == 2)
        again = time.monotonic()
        away.end()
        assert away.refused["_beat"] > 1
        assert [what for at, what in chat.done if last < at < again - 0.1] == []
        await ended(chat.store, "done")
    assert [text.strip() for text in chat.shown.values()] == [ANSWER.strip()]


class Away:
    """The database, between `begin` and `end`, for some transactions."""

    def __init__(self, store: Store, names: set[str], patch: pytest.MonkeyPatch) -> None:
        self.refused = dict.fromkeys(names, 0)
        self._away = False
        for way in ("write", "write_first"):
            patch.setattr(store, way, self._guarded(getattr(store, way)))

    def _guarded(self, write: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def guarded(function: Callable[..., object], *args: object, **more: object) -> object:
            name = getattr(function, "__name__", "")
            if self._away and name in self.refused:
                self.refused[name] += 1
                raise StoreError("The database cannot be used: just now")
            return await write(function, *args, **more)

        return guarded

    def begin(self) -> None:
        self._away = True

    def end(self) -> None:
        self._away = False


# -- the loops


async def test_the_claims_and_the_heartbeats_survive_a_database_that_is_away(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOOK", 0.1)
    monkeypatch.setattr(engine, "BEAT", 0.1)
    model.tokens_per_second = 40
    chat = Seen()
    async with quick(tmp_path, model, chat, database_url=url):
        away = Away(chat.store, {"_claim", "_beat"}, monkeypatch)
        await chat.say("the first")
        await until(lambda: len(model.requests) == 1)
        away.begin()
        await chat.say("while it was away", user="7")
        await until(lambda: min(away.refused.values()) > 2)
        away.end()
        await until(lambda: len(model.requests) == 2)
        await ended(chat.store, "done", "done")
    assert len(model.requests) == 2, "nothing was given up and begun again"


@pytest.mark.parametrize("what", ["mark_part", "end", "_keep", "finish"])
async def test_an_answer_outlasts_a_database_that_is_away_for_a_moment(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It was paid for, and the person has read most of it."""
    model.tokens_per_second = 200
    chat = Seen()
    async with quick(tmp_path, model, chat, database_url=url):
        away = Away(chat.store, {what}, monkeypatch)
        away.begin()
        await chat.say("hello")
        await until(lambda: away.refused[what] > 0)
        away.end()
        await ended(chat.store, "done")
        assert await chat.store.read(attempts) == [1]
    assert len(model.requests) == 1
    assert [text.strip() for text in chat.shown.values()] == [ANSWER.strip()]


def attempts(connection: Connection) -> list[int]:
    return list(connection.scalars(select(table.c.attempt)))


async def test_the_heartbeat_renews_only_what_is_being_worked_on(
    url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    """A claim whose answer to us was lost: it is ours, and nobody works on it."""
    chat = Seen()
    async with quick(tmp_path, model, chat, database_url=url):
        assert chat.engine is not None
        model.tokens_per_second = 4
        await chat.say("keeps the heartbeats going")
        await until(lambda: len(model.requests) == 1)
        await chat.store.write(claimed, chat.engine._owner, 0.5)
        await until(lambda: len(model.requests) == 2, 15)
        assert not model.requests[0].completed
        await chat.engine.close(0)


async def test_a_stop_reaches_the_process_that_writes_from_any_other(
    url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    one, other = Seen(), Seen()
    other._numbers = itertools.count(1000)
    async with quick(tmp_path, model, one, database_url=url):
        await one.say("hello")
        await until(lambda: len(model.requests) == 1)
        async with quick(tmp_path, model, other, database_url=url):
            assert one.engine is not None
            one.engine._closing = True  # it begins nothing more: the other carries the stop out
            await other.say("/stop")
            await until(lambda: model.requests[0].disconnected_at is not None)
            await ended(one.store, "stopped", "done")
    assert not model.requests[0].completed
    assert any(words.STOPPED in text for text in one.shown.values())


# -- the end, and what comes after


async def test_the_end_gives_the_leases_back(url: str, tmp_path: Path, model: ModelStandIn) -> None:
    chat = Seen()
    async with quick(tmp_path, model, chat, database_url=url):
        assert chat.engine is not None
        await chat.say("hello")
        await until(lambda: len(model.requests) == 1)
        await chat.engine.close(0)
        (turn,) = await chat.store.write(turns.claim, "heir", HERE, lease=30, most=5)
        assert turn.attempt == 2
        shown_then = len(chat.done)
    assert len(chat.done) == shown_then


async def test_from_the_kept_answer_on_the_model_is_not_asked_again(
    url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    model.tokens_per_second = 2000
    dying, heir = Seen("off"), Seen("off")
    dying.may_send.clear()
    async with quick(tmp_path, model, dying, database_url=url):
        assert dying.engine is not None
        await dying.say("hello")
        await dying.sending.wait()
        assert await dying.store.read(now) == ["delivering"]
        await dying.engine.close(0)
    async with quick(tmp_path, model, heir, database_url=url):
        await ended(heir.store, "done")
    assert [text.strip() for text in heir.shown.values()] == [ANSWER.strip()]
    assert len(model.requests) == 1


async def test_a_question_that_breaks_every_process_is_given_up_and_that_is_told(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    async def breaks(_: Dispatch, held: Held) -> None:
        tried.append(held.turn.attempt)
        await held.store.write(lapse)
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(Dispatch, "run", breaks)
    async with quick(tmp_path, model, Seen(), database_url=url) as chat:
        await chat.say("hello")
        await ended(chat.store, "failed")
        assert tried == list(range(1, engine.MOST_ATTEMPTS + 1))
        (said,) = chat.shown.values()
    assert words.INTERNAL in said


async def test_who_was_there_at_every_death_is_tried_alone_and_the_others_are_answered(
    url: str, tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, int]] = []
    answered = Dispatch.run

    async def dies(dispatch: Dispatch, held: Held) -> None:
        """One question ends every process that tries it, whatever else that is at."""
        text = held.turn.incoming.text
        tried.append((text, held.turn.attempt))
        if text == "poison" or held.turn.attempt <= turns.DOUBTED:
            await asyncio.sleep(0)  # the others are begun as well
            await held.store.write(lapse)
            raise LostLeaseError
        await answered(dispatch, held)

    monkeypatch.setattr(Dispatch, "run", dies)
    model.tokens_per_second = 2000
    async with quick(tmp_path, model, Seen("off"), database_url=url) as chat:
        for number, text in enumerate(("one", "poison", "two")):
            await chat.say(text, user=f"{number}")
        async with asyncio.timeout(20):
            while sorted(await chat.store.read(now)) != ["done", "done", "failed"]:
                await asyncio.sleep(0.05)
        shown = [text.strip() for text in chat.shown.values()]
    assert shown.count(ANSWER.strip()) == 2
    assert [attempt for text, attempt in tried if text != "poison"][-1] <= turns.DOUBTED + 2
    assert ("poison", engine.MOST_ATTEMPTS) in tried


def doubt(connection: Connection, turn: int) -> None:
    connection.execute(update(table).where(table.c.id == turn).values(attempt=turns.DOUBTED))


async def test_who_is_tried_alone_does_not_wait_for_those_that_come_later(
    url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    """Where more is asked than can be answered at once, there is always one that comes later."""
    async with quick(tmp_path, model, turns_at_once=1, database_url=url) as chat:
        await chat.say("the one that is answered", user="5")
        await until(lambda: len(model.requests) == 1)
        for user in ("6", "7", "8"):
            await chat.say(f"of {user}", user=user)
        await chat.store.write(doubt, 2)
        model.tokens_per_second = 2000
        await ended(chat.store, *["done"] * 4)
    asked = [request.body["messages"][-1]["content"] for request in model.requests]
    assert asked[1:] == ["of 6", "of 7", "of 8"]


async def test_those_who_were_there_at_every_death_wait_less_once_processes_live(
    url: str, tmp_path: Path, model: ModelStandIn
) -> None:
    """One by one they would wait longer than the trouble itself lasted."""
    before = Store(url)
    await before.open()
    for number in range(8):
        bob = Sender("quick", f"{number}", "Bob")
        asked = Incoming(Kind.PROMPT, f"u{number}", replace(PLACE, chat=bob.user), bob, "hello")
        await before.write(
            accepting.accept, asked, key=bob.user, person=bob.user, ordered=True, bounds=Bounds()
        )
        await before.write(doubt, number + 1)
    await before.close()
    most = 0
    model.tokens_per_second = 40
    async with quick(tmp_path, model, database_url=url) as chat, asyncio.timeout(60):
        while await chat.store.read(now) != ["done"] * 8:
            open_ = sum(not request.completed for request in model.requests)
            assert open_ < 2 or model.requests[0].completed, "the first is tried alone"
            most = max(most, open_)
            await asyncio.sleep(0.05)
    assert most > 2
