"""The rules that were found by breaking them, on both databases, each under its own name.

Those that need a living process are in core/turns/test_rules. Shown elsewhere: an event that comes
twice opens one turn, a turn is claimed by one of many, a heartbeat renews what is named alone, a
lease that was given back is free at once (`test_turns`); what is sent again and what is not
(core/delivery/test_outbox); a message is acknowledged when it is kept (bots/telegram/test_receiving
and test_webhook); what was missed is looked up (bots/discord/test_missed).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text

from core.port import Incoming, Kind, Place, Sender
from core.store import accepting, conversations, turns
from core.store.accepting import Accepted, Bounds
from core.store.database import Store
from core.store.schema import messages, parts, thoughts
from core.store.schema import turns as table
from core.store.summaries import past
from core.store.turns import LostLeaseError, Sent, State, Turn
from tests.databases import postgresql_url

PLACE = Place("telegram", "1", "5", private=True)
HERE = [("telegram", "1")]
MANY = 20_000  # finished turns, and so many that a plan matters


async def accept(store: Store, key: str, *, to: str = "ann") -> Accepted:
    incoming = Incoming(Kind.PROMPT, key, PLACE, Sender("telegram", "5", "Ann"), "hello")
    return await store.write(
        accepting.accept, incoming, key=to, person="telegram:5", ordered=True, bounds=Bounds()
    )


async def claim(store: Store, owner: str = "me", lease: float = 30) -> list[Turn]:
    return await store.write(turns.claim, owner, HERE, lease=lease, most=50)


async def answer(store: Store, turn: Turn, question: str, said: str) -> None:
    await store.write(
        turns.reply, turn, "me", prompt=question, text=said, note="", model="m", usage=(1, 1)
    )
    await store.write(turns.finish, turn, "me", State.DONE)


def kept(connection: Connection) -> list[Any]:
    """Everything a write on a turn could have changed."""
    rows: list[Any] = list(connection.execute(select(table)).mappings())
    for other in (messages, parts, thoughts):
        rows += connection.execute(select(other)).mappings()
    return rows


WRITES: dict[str, Callable[[Connection, Turn, str], object]] = {
    "reply": partial(
        turns.reply, prompt="?", text="!", note="", model="m", usage=(1, 1), thoughts="hm"
    ),
    "reply again": partial(
        turns.reply, prompt="?", text="!", note="", model="m", usage=(1, 1), replace=True
    ),
    "finish": partial(turns.finish, state=State.DONE),
    "a part sent": partial(turns.mark_part, position=0, part=Sent("sent", "7", "x")),
    "a part gone": partial(turns.mark_part, position=1, part=None),
    "heartbeat": lambda connection, turn, owner: turns.heartbeat(
        connection, owner, [turn.id], lease=300
    ),
    "release": lambda connection, turn, owner: turns.release(connection, owner, [turn.id]),
}


@pytest.mark.parametrize("write", WRITES)
async def test_every_write_is_fenced_by_the_owner(store: Store, write: str) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease=-1)
    (heir,) = await claim(store, "heir")
    await store.write(turns.mark_part, heir, "heir", 1, Sent("sent", "6", "x"))
    before = await store.read(kept)
    if write in ("heartbeat", "release"):
        assert not await store.write(WRITES[write], old, "frozen")
    else:
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[write], old, "frozen")
    assert await store.read(kept) == before


@pytest.mark.parametrize("write", [name for name in WRITES if name not in ("heartbeat", "release")])
async def test_every_write_is_fenced_by_the_attempt(store: Store, write: str) -> None:
    """A process that lost a turn and claimed it again: what it did the first time is void."""
    await accept(store, "u1")
    (old,) = await claim(store, "me", lease=-1)
    (again,) = await claim(store, "me")
    assert (old.attempt, again.attempt) == (1, 2)
    await store.write(turns.mark_part, again, "me", 1, Sent("sent", "6", "x"))
    before = await store.read(kept)
    with pytest.raises(LostLeaseError):
        await store.write(WRITES[write], old, "me")
    assert await store.read(kept) == before


async def test_nothing_is_written_to_a_turn_that_has_ended(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.finish, turn, "me", State.STOPPED)
    before = await store.read(kept)
    for name in ("reply", "finish", "a part sent"):
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[name], turn, "me")
    assert await store.write(turns.heartbeat, "me", [turn.id], lease=30) == {}
    assert await store.read(kept) == before


async def test_an_interrupted_turn_goes_before_those_after_it(store: Store) -> None:
    """The first open turn of a conversation is next, whether it waits or its holder died."""
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store, "dead", lease=-1)
    (taken,) = await claim(store)
    assert taken.id == first.id
    assert await claim(store, "other") == []
    await store.write(turns.finish, taken, "me", State.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_the_history_of_a_turn_holds_only_what_was_asked_before_it(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    found = []
    for number in (1, 2, 3):
        (turn,) = await claim(store)
        found.append(turn)
        await answer(store, turn, f"{number}?", f"{number}.")

    async def shown(turn: Turn) -> list[str]:
        said = (await store.read(past, turn.conversation, turn.seq, 50)).messages
        return [one for _, _, one in said]

    assert [await shown(turn) for turn in found] == [[], ["1?", "1."], ["1?", "1.", "2?", "2."]]


async def test_leases_are_by_the_databases_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose clock is a day ahead takes nothing that others hold."""
    await accept(store, "u1")
    await claim(store, "holder", lease=30)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 86_400)
    assert await claim(store, "from tomorrow") == []


async def test_an_event_is_kept_with_its_turn_or_not_at_all(store: Store) -> None:
    await accept(store, "u0", to="other")
    before = await store.read(kept)

    def cut_short(connection: Connection) -> None:
        accepting.accept(
            connection,
            Incoming(Kind.PROMPT, "u1", PLACE, Sender("telegram", "5", "Ann"), "hello"),
            key="ann", person="telegram:5", ordered=True, bounds=Bounds(),
        )  # fmt: skip
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await store.write(cut_short)
    assert await store.read(kept) == before
    assert await store.read(conversations.find, "ann") is None
    assert await accept(store, "u1") is Accepted.NEW


async def test_a_claim_finds_the_open_turns_by_the_two_partial_indexes(store: Store) -> None:
    """Among many finished turns; without them a claim took thirty times as long."""
    for number in range(20):
        await accept(store, f"u{number}", to=f"conversation {number}")
    await store.write(fill)
    plan = await store.write(explained)
    assert "ix_turns_open" in plan, plan
    assert "ix_turns_next" in plan, plan
    assert not any(word in plan.lower() for word in ("seq scan", "scan turns\n")), plan


def fill(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO turns (conversation, key, incoming, person, seq, state, created, finished)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
            " SELECT 1, 'telegram:1:old' || i, '{}', 'telegram:6', i, 'done', i, i FROM n"
        ),
        {"many": MANY},
    )
    connection.execute(text("ANALYZE"))


def explained(connection: Connection) -> str:
    """How the database finds what `claim` takes."""
    said: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, given: Any, *_: object) -> None:
        said.append((statement, given))

    event.listen(connection, "before_cursor_execute", note)
    turns.claim(connection, "me", HERE, lease=-1, most=50)
    event.remove(connection, "before_cursor_execute", note)
    ((statement, given),) = said
    sqlite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", given).all()
    return "".join(f"{row[-1]}\n" for row in rows)


async def test_many_replicas_may_start_at_once_on_an_empty_database(
    store: Store, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}" if store.embedded else postgresql_url()
    replicas = [Store(url) for _ in range(8)]
    opened = await asyncio.gather(*(one.open() for one in replicas), return_exceptions=True)
    assert opened == [None] * len(replicas)
    versions = select(func.count()).select_from(text("alembic_version"))
    assert await replicas[0].read(lambda connection: connection.scalar(versions)) == 1
    for one in replicas:
        await one.close()


async def test_an_attempt_is_counted_with_each_claim(store: Store) -> None:
    """By which a question that ends every process that takes it comes to its end."""
    await accept(store, "u1")
    counted = []
    for owner in ("a", "b", "b", "c"):
        (turn,) = await claim(store, owner, lease=-1)
        counted.append(turn.attempt)
    assert counted == [1, 2, 3, 4]
