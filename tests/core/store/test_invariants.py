"""The rules that were found by breaking them, on both databases, each under its own name.

Those that need a living process are in core/turns/test_rules. Shown elsewhere: an event that comes
twice opens one turn, a turn is claimed by one of many, a heartbeat renews what is named alone, a
lease that was given back is free at once (`test_turns`); what is sent again and what is not
(core/delivery/test_outbox); a message is acknowledged when it is kept (bots/telegram/test_receiving
and test_webhook); what was missed is looked up (bots/discord/test_backfill).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text

from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.store import answer_parts as answer_part_store
from core.store import answers, claims, conversations, inbound, turns
from core.store.answer_parts import PartState, SentPart
from core.store.answers import TokenCount
from core.store.database import Store
from core.store.history import load_history
from core.store.inbound import AcceptResult, InboundLimits
from core.store.schema import answer_parts, messages, reasoning
from core.store.schema import turns as table
from core.store.turns import LostLeaseError, Turn, TurnState
from tests.postgresql import postgresql_url

PLACE = Place("telegram", "1", "5", is_private=True)
ENDPOINTS = [AccountKey("telegram", "1")]
MANY = 20_000  # finished turns, and so many that a plan matters


async def accept(store: Store, key: str, *, to: str = "ann") -> AcceptResult:
    incoming = Incoming(EventKind.PROMPT, key, PLACE, Sender("telegram", "5", "Ann"), "hello")
    return await store.write(
        inbound.accept_event,
        incoming,
        conversation_key=to,
        person_key="telegram:5",
        ordered=True,
        limits=InboundLimits(),
    )


async def claim(store: Store, owner: str = "me", lease: float = 30) -> list[Turn]:
    return await store.write(claims.claim_turns, owner, ENDPOINTS, lease_seconds=lease, limit=50)


async def answer(store: Store, turn: Turn, question: str, said: str) -> None:
    await store.write(
        answers.store_answer,
        turn,
        "me",
        prompt=question,
        answer=said,
        note="",
        model="m",
        usage=TokenCount(1, 1),
    )
    await store.write(turns.finish_turn, turn, "me", TurnState.DONE)


def stored_turns(connection: Connection) -> list[Any]:
    """Everything a write on a turn could have changed."""
    rows: list[Any] = list(connection.execute(select(table)).mappings())
    for other in (messages, answer_parts, reasoning):
        rows += connection.execute(select(other)).mappings()
    return rows


WRITES: dict[str, Callable[[Connection, Turn, str], object]] = {
    "reply": partial(
        answers.store_answer, prompt="?", answer="!", note="", model="m", usage=TokenCount(1, 1), reasoning="hm"
    ),
    "reply again": partial(
        answers.store_answer,
        prompt="?",
        answer="!",
        note="",
        model="m",
        usage=TokenCount(1, 1),
        replaces_last=True,
    ),
    "finish": partial(turns.finish_turn, state=TurnState.DONE),
    "a part sent": partial(answer_part_store.save_part, position=0, part=SentPart(PartState.SENT, "7", "x")),
    "a part gone": partial(answer_part_store.save_part, position=1, part=None),
    "heartbeat": lambda connection, turn, owner: claims.heartbeat(connection, owner, [turn.id], lease_seconds=300),
    "release": lambda connection, turn, owner: claims.release_turns(connection, owner, [turn.id]),
}


@pytest.mark.parametrize("write", WRITES)
async def test_writes_are_fenced_by_owner(store: Store, write: str) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease=-1)
    (heir,) = await claim(store, "heir")
    await store.write(answer_part_store.save_part, heir, "heir", 1, SentPart(PartState.SENT, "6", "x"))
    before = await store.read(stored_turns)
    if write in ("heartbeat", "release"):
        assert not await store.write(WRITES[write], old, "frozen")
    else:
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[write], old, "frozen")
    assert await store.read(stored_turns) == before


@pytest.mark.parametrize("write", [name for name in WRITES if name not in ("heartbeat", "release")])
async def test_writes_are_fenced_by_attempt(store: Store, write: str) -> None:
    """A process that lost a turn and claimed it again: what it did the first time is void."""
    await accept(store, "u1")
    (old,) = await claim(store, "me", lease=-1)
    (again,) = await claim(store, "me")
    assert (old.attempt, again.attempt) == (1, 2)
    await store.write(answer_part_store.save_part, again, "me", 1, SentPart(PartState.SENT, "6", "x"))
    before = await store.read(stored_turns)
    with pytest.raises(LostLeaseError):
        await store.write(WRITES[write], old, "me")
    assert await store.read(stored_turns) == before


async def test_ended_turn_is_not_written(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.finish_turn, turn, "me", TurnState.STOPPED)
    before = await store.read(stored_turns)
    for name in ("reply", "finish", "a part sent"):
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[name], turn, "me")
    assert await store.write(claims.heartbeat, "me", [turn.id], lease_seconds=30) == {}
    assert await store.read(stored_turns) == before


async def test_interrupted_turn_precedes_later_ones(store: Store) -> None:
    """The first open turn of a conversation is next, whether it waits or its holder died."""
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store, "dead", lease=-1)
    (taken,) = await claim(store)
    assert taken.id == first.id
    assert await claim(store, "other") == []
    await store.write(turns.finish_turn, taken, "me", TurnState.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_history_holds_only_earlier_turns(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    found = []
    for number in (1, 2, 3):
        (turn,) = await claim(store)
        found.append(turn)
        await answer(store, turn, f"{number}?", f"{number}.")

    async def shown(turn: Turn) -> list[str]:
        said = (await store.read(load_history, turn.conversation_id, turn.seq, 50)).messages
        return [message.text for message in said]

    assert [await shown(turn) for turn in found] == [[], ["1?", "1."], ["1?", "1.", "2?", "2."]]


async def test_leases_use_database_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is a day ahead takes nothing that others hold."""
    await accept(store, "u1")
    await claim(store, "holder", lease=30)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 86_400)
    assert await claim(store, "from tomorrow") == []


async def test_event_and_turn_are_stored_atomically(store: Store) -> None:
    await accept(store, "u0", to="other")
    before = await store.read(stored_turns)

    def cut_short(connection: Connection) -> None:
        inbound.accept_event(
            connection,
            Incoming(EventKind.PROMPT, "u1", PLACE, Sender("telegram", "5", "Ann"), "hello"),
            conversation_key="ann",
            person_key="telegram:5",
            ordered=True,
            limits=InboundLimits(),
        )
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await store.write(cut_short)
    assert await store.read(stored_turns) == before
    assert await store.read(conversations.find_conversation, "ann") is None
    assert await accept(store, "u1") is AcceptResult.NEW


async def test_claim_uses_partial_indexes(store: Store) -> None:
    """Among many finished turns; without them a claim took thirty times as long."""
    for number in range(20):
        await accept(store, f"u{number}", to=f"conversation {number}")
    await store.write(insert_many)
    plan = await store.write(query_plan)
    assert "ix_turns_open" in plan, plan
    assert "ix_turns_next" in plan, plan
    assert not any(word in plan.lower() for word in ("seq scan", "scan turns\n")), plan


def insert_many(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO turns (conversation_id, event_key, incoming_json, person_key, seq, state, created_at, finished_at)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
            " SELECT 1, 'telegram:1:old' || i, '{}', 'telegram:6', i, 'done', i, i FROM n"
        ),
        {"many": MANY},
    )
    connection.execute(text("ANALYZE"))


def query_plan(connection: Connection) -> str:
    """How the database finds what `claim` takes."""
    said: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, given: Any, *_: object) -> None:
        said.append((statement, given))

    event.listen(connection, "before_cursor_execute", note)
    claims.claim_turns(connection, "me", ENDPOINTS, lease_seconds=-1, limit=50)
    event.remove(connection, "before_cursor_execute", note)
    ((statement, given),) = said
    sqlite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", given).all()
    return "".join(f"{row[-1]}\n" for row in rows)


async def test_replicas_start_concurrently_on_empty_database(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}" if store.is_embedded else postgresql_url()
    replicas = [Store(url) for _ in range(8)]
    opened = await asyncio.gather(*(one.open() for one in replicas), return_exceptions=True)
    assert opened == [None] * len(replicas)
    versions = select(func.count()).select_from(text("alembic_version"))
    assert await replicas[0].read(lambda connection: connection.scalar(versions)) == 1
    for one in replicas:
        await one.close()


async def test_claim_increments_attempt(store: Store) -> None:
    """By which a question that ends every process that takes it comes to its end."""
    await accept(store, "u1")
    counted = []
    for owner in ("a", "b", "b", "c"):
        (turn,) = await claim(store, owner, lease=-1)
        counted.append(turn.attempt)
    assert counted == [1, 2, 3, 4]
