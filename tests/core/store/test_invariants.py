"""Rules of the store that were found by breaking them, on both databases.

Rules that need a running process are in tests/core/turns/test_invariants.py. Other tests show that a redelivered event
opens one turn (test_inbound.py), that a turn is claimed once, that heartbeats renew only the named turns and that a
released turn is free at once (test_claims.py), what is sent again (tests/core/delivery/test_outbox.py), that events
are acknowledged after they are stored (tests/bots/telegram) and that missed messages are looked up
(tests/bots/discord/test_backfill.py).
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text

from core.api.events import UsageReport
from core.store import answers, claims, conversations, schema, turns
from core.store.answer_parts import PartState, SentPart, save_part
from core.store.database import Store
from core.store.inbound import AcceptResult
from core.store.turns import LostLeaseError, Turn, TurnState
from tests.core.store.turn_helpers import ACCOUNT, accept, accept_event, answer, claim, history_texts, message_event
from tests.postgresql import empty_postgresql_url

FINISHED_TURNS = 20_000
"""So many that the query plan matters."""


def stored_turns(connection: Connection) -> list[Any]:
    """Everything a write to a turn could change."""
    tables = (schema.turns, schema.messages, schema.answer_parts, schema.reasoning)
    return [row for table in tables for row in connection.execute(select(table)).mappings()]


def renewed_leases(connection: Connection, turn: Turn) -> dict[int, bool]:
    return claims.heartbeat(connection, turn.owner, [turn.id], lease_seconds=300).kept


STORE_ANSWER = partial(answers.store_answer, prompt="?", answer="!", note="", model="m", usage=UsageReport(1, 1))
WRITES: dict[str, Callable[[Connection, Turn], object]] = {
    "answer": partial(STORE_ANSWER, reasoning="hm"),
    "retry": partial(STORE_ANSWER, replaces_last=True),
    "finish": partial(turns.finish_turn, state=TurnState.DONE),
    "sent part": partial(save_part, position=0, part=SentPart(PartState.SENT, "7", "x")),
    "deleted part": partial(save_part, position=1, part=None),
    "heartbeat": renewed_leases,
    "release": lambda connection, turn: claims.release_turns(connection, turn.owner, [turn.id]),
}


@pytest.mark.parametrize("write", WRITES)
async def test_writes_are_fenced_by_owner(store: Store, write: str) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease_seconds=-1)
    (heir,) = await claim(store, "heir")
    await store.write(save_part, heir, 1, SentPart(PartState.SENT, "6", "x"))
    before = await store.read(stored_turns)
    if write in ("heartbeat", "release"):
        assert not await store.write(WRITES[write], old)
    else:
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[write], old)
    assert await store.read(stored_turns) == before


@pytest.mark.parametrize("write", [name for name in WRITES if name not in ("heartbeat", "release")])
async def test_writes_are_fenced_by_attempt(store: Store, write: str) -> None:
    """A process that lost a turn and claimed it again cannot continue its first attempt."""
    await accept(store, "u1")
    (old,) = await claim(store, "me", lease_seconds=-1)
    (again,) = await claim(store, "me")
    assert (old.attempt, again.attempt) == (1, 2)
    await store.write(save_part, again, 1, SentPart(PartState.SENT, "6", "x"))
    before = await store.read(stored_turns)
    with pytest.raises(LostLeaseError):
        await store.write(WRITES[write], old)
    assert await store.read(stored_turns) == before


async def test_ended_turn_is_not_written(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.finish_turn, turn, TurnState.STOPPED)
    before = await store.read(stored_turns)
    for name in ("answer", "finish", "sent part"):
        with pytest.raises(LostLeaseError):
            await store.write(WRITES[name], turn)
    assert await store.write(claims.heartbeat, "me", [turn.id], lease_seconds=30) == claims.Heartbeat({}, {turn.id})
    assert await store.read(stored_turns) == before


async def test_interrupted_turn_precedes_later_ones(store: Store) -> None:
    """The first open turn of a conversation is next, whether it waits or its owner died."""
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store, "dead", lease_seconds=-1)
    (again,) = await claim(store)
    assert again.id == first.id
    assert await claim(store, "other") == []
    await store.write(turns.finish_turn, again, TurnState.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_history_holds_only_earlier_turns(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    histories = []
    for number in (1, 2, 3):
        (turn,) = await claim(store)
        await answer(store, turn, f"{number}?", f"{number}.")
        histories.append(await history_texts(store, turn.conversation_id, turn.seq))
    assert histories == [[], ["1?", "1."], ["1?", "1.", "2?", "2."]]


async def test_leases_use_database_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is a day ahead claims nothing that other processes have."""
    await accept(store, "u1")
    await claim(store, "owner", lease_seconds=30)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 86_400)
    assert await claim(store, "process with a wrong clock") == []


async def test_event_and_turn_are_stored_atomically(store: Store) -> None:
    await accept(store, "u0", conversation="other")
    before = await store.read(stored_turns)

    def fail_after_accepting(connection: Connection) -> None:
        accept_event(connection, message_event("u1"))
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await store.write(fail_after_accepting)
    assert await store.read(stored_turns) == before
    assert await store.read(conversations.find_conversation, "ann") is None
    assert await accept(store, "u1") is AcceptResult.NEW


async def test_claim_uses_partial_indexes(store: Store) -> None:
    """Without them, a claim among many finished turns took thirty times as long."""
    for number in range(20):
        await accept(store, f"u{number}", conversation=f"conversation {number}")
    await store.write(insert_finished_turns)
    plan = await store.write(query_plan, claims.claim_turns, "me", [ACCOUNT], lease_seconds=-1, limit=50)
    assert "ix_turns_open" in plan, plan
    assert "ix_turns_next" in plan, plan
    assert not any(word in plan.lower() for word in ("seq scan", "scan turns\n")), plan


async def test_pressed_message_is_found_among_many_by_an_index(store: Store) -> None:
    await accept(store, "u0")
    await store.write(insert_finished_turns)
    plan = await store.write(query_plan, turns.find_turn_of_message, "telegram:1:5:", "77")
    assert "ix_answer_parts_message" in plan, plan


def insert_finished_turns(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO turns (conversation_id, event_key, incoming_json, person_key, seq, state, created_at, finished_at)"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)"
            " SELECT 1, 'telegram:1:old' || i, '{}', 'telegram:6', i, 'done', i, i FROM n"
        ),
        {"many": FINISHED_TURNS},
    )
    connection.execute(
        text(
            "INSERT INTO answer_parts (turn_id, position, state, message_id, digest)"
            " SELECT id, 0, 'sent', 'm' || id, '' FROM turns"
        )
    )
    connection.execute(text("ANALYZE"))


def query_plan(connection: Connection, /, function: Callable[..., object], *args: object, **kwargs: object) -> str:
    """How the database executes the only statement of `function`."""
    statements: list[tuple[str, Any]] = []

    def record(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", record)
    function(connection, *args, **kwargs)
    event.remove(connection, "before_cursor_execute", record)
    ((statement, parameters),) = statements
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "".join(f"{row[-1]}\n" for row in rows)


async def test_replicas_start_concurrently_on_empty_database(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}" if store.is_embedded else empty_postgresql_url()
    replicas = [Store(url) for _ in range(8)]
    results = await asyncio.gather(*(replica.open() for replica in replicas), return_exceptions=True)
    assert results == [None] * len(replicas)
    versions = select(func.count()).select_from(text("alembic_version"))
    assert await replicas[0].read(lambda connection: connection.scalar(versions)) == 1
    for replica in replicas:
        await replica.close()


async def test_claim_increments_attempt(store: Store) -> None:
    """A question that kills every process that claims it is given up by its attempts."""
    await accept(store, "u1")
    attempts = []
    for owner in ("a", "b", "b", "c"):
        (turn,) = await claim(store, owner, lease_seconds=-1)
        attempts.append(turn.attempt)
    assert attempts == [1, 2, 3, 4]
