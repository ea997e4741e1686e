"""The rules that turns keep, on both databases."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from core.port import AccountKey, Attachment, Batch, EventKind, Incoming, Place, Sender
from core.store import (
    answer_parts,
    answers,
    chat_migration,
    claims,
    conversations,
    history,
    inbound,
    schema,
    token_usage,
    turns,
)
from core.store.answer_parts import PartState, SentPart
from core.store.answers import TokenCount
from core.store.claims import CancelResult
from core.store.database import Store
from core.store.inbound import AcceptResult, InboundLimits
from core.store.incoming_codec import encode_incoming
from core.store.token_usage import ModelUsage
from core.store.turns import LostLeaseError, Refusal, Turn, TurnState
from core.timings import Timings

PLACE = Place("telegram", "1", "5", is_private=True)
LAST = 2**31
BOUNDS = InboundLimits(max_queued=5)
ANN = Sender("telegram", "5", "Ann")


def message_event(key: str, text: str = "hello") -> Incoming:
    return Incoming(EventKind.PROMPT, key, PLACE, ANN, text)


async def accept(
    store: Store, key: str, *, to: str = "ann", ordered: bool = True, bounds: InboundLimits = BOUNDS
) -> AcceptResult:
    return await store.write(
        inbound.accept_event,
        message_event(key),
        conversation_key=to,
        person_key="telegram:5",
        ordered=ordered,
        limits=bounds,
    )


async def claim(store: Store, owner: str = "me", lease: float = 30) -> list[Turn]:
    return await store.write(claims.claim_turns, owner, [AccountKey("telegram", "1")], lease_seconds=lease, limit=50)


async def history_of(store: Store, conversation: int, before: int | None = None) -> list[tuple[str, str]]:
    """(role, text) of what a model is shown."""
    past = await store.read(history.load_history, conversation, before, 50)
    return [(message.role, message.text) for message in past.messages]


async def test_redelivered_event_opens_no_turn(store: Store) -> None:
    assert await accept(store, "u1") is AcceptResult.NEW
    assert await accept(store, "u1") is AcceptResult.DUPLICATE
    assert len(await claim(store)) == 1


async def test_concurrent_duplicates_open_one_turn(store: Store) -> None:
    results = await asyncio.gather(*(accept(store, "u1") for _ in range(8)))
    assert results.count(AcceptResult.NEW) == 1


async def test_a_conversation_runs_one_turn_at_a_time_in_order(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await accept(store, "u3", to="bob")
    first = await claim(store)
    assert [turn.incoming.key for turn in first] == ["u1", "u3"]
    assert await claim(store, "other") == []
    await store.write(turns.finish_turn, first[0], "me", TurnState.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_commands_overtake_prompts(store: Store) -> None:
    await accept(store, "u1")
    await claim(store)
    await accept(store, "u2", ordered=False)
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_turn_is_claimed_once(store: Store) -> None:
    for number in range(20):
        await accept(store, f"u{number}", to=f"conversation {number}")
    claims = await asyncio.gather(*(claim(store, f"owner {n}") for n in range(6)))
    ids = [turn.id for claimed in claims for turn in claimed]
    assert len(ids) == len(set(ids)) == 20


async def test_process_claims_only_its_platforms(store: Store) -> None:
    await accept(store, "u1")
    others = [AccountKey("discord", "1"), AccountKey("telegram", "11")]
    assert await store.write(claims.claim_turns, "other", others, lease_seconds=30, limit=50) == []
    assert await store.write(claims.claim_turns, "none", [], lease_seconds=30, limit=50) == []
    assert len(await claim(store)) == 1


async def test_expired_lease_is_taken_over_and_fences_first_owner(
    store: Store,
) -> None:
    await accept(store, "u1")
    (old,) = await claim(store, "frozen", lease=-1)
    (new,) = await claim(store, "heir")
    assert new.id == old.id
    assert new.attempt == 2
    with pytest.raises(LostLeaseError):
        await store.write(turns.finish_turn, old, "frozen", TurnState.DONE)
    with pytest.raises(LostLeaseError):
        await store.write(answer_parts.save_part, old, "frozen", 0, SentPart(PartState.SENT, "1", "x"))
    assert await store.read(answer_parts.list_sent_parts, old.id) == {}
    await store.write(turns.finish_turn, new, "heir", TurnState.DONE)


async def test_heartbeat_renews_named_turns_and_returns_stops(store: Store) -> None:
    await accept(store, "u1", to="a")
    await accept(store, "u2", to="b")
    one, two = await claim(store, lease=-1)
    assert await store.write(claims.heartbeat, "me", [one.id], lease_seconds=30) == {one.id: False}
    assert [turn.id for turn in await claim(store, "other")] == [two.id]
    cancelled = await store.write(claims.cancel_turns, one.conversation_id, LAST)
    assert cancelled.running == [one.id]
    assert await store.write(claims.heartbeat, "me", [one.id], lease_seconds=30) == {one.id: True}


async def test_stop_drops_waiting_turns(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key)
    (running,) = await claim(store)
    assert await store.write(claims.cancel_turns, running.conversation_id, LAST) == CancelResult([running.id], 2)
    await store.write(turns.finish_turn, running, "me", TurnState.STOPPED)
    assert await claim(store) == []


async def test_late_stop_spares_newer_turns(store: Store) -> None:
    await accept(store, "question")
    (old,) = await claim(store)
    await accept(store, "stop", ordered=False)
    (stop,) = await claim(store)
    await store.write(turns.finish_turn, old, "me", TurnState.DONE)
    for key in ("asked since", "waits since"):
        await accept(store, key)
    (new,) = await claim(store)
    assert await store.write(claims.cancel_turns, stop.conversation_id, stop.id) == CancelResult([], 0)
    assert await store.write(claims.heartbeat, "me", [new.id], lease_seconds=30) == {new.id: False}
    await store.write(turns.finish_turn, new, "me", TurnState.DONE)
    assert [turn.incoming.key for turn in await claim(store)] == ["waits since"]


async def test_turns_over_queue_limit_are_stored_as_refused(store: Store) -> None:
    results = [await accept(store, f"u{number}") for number in range(8)]
    assert results == [AcceptResult.NEW] * 6 + [AcceptResult.QUEUE_FULL] * 2
    refused = [turn for turn in await claim(store) if turn.refusal is Refusal.QUEUE_FULL]
    assert [turn.incoming.key for turn in refused] == ["u6", "u7"]


async def test_history_holds_earlier_answered_turns(store: Store) -> None:
    await accept(store, "u1")
    (first,) = await claim(store)
    for key in ("u2", "u3"):
        await accept(store, key)

    async def answer(turn: Turn, question: str, text: str, *, replace: bool = False) -> None:
        await store.write(
            answers.store_answer,
            turn,
            "me",
            prompt=question,
            answer=text,
            note="",
            model="m",
            usage=TokenCount(3, 4),
            replaces_last=replace,
        )
        await store.write(turns.finish_turn, turn, "me", TurnState.DONE)

    await answer(first, "one?", "one.")
    (second,) = await claim(store)
    assert await history_of(store, second.conversation_id, second.seq) == [
        ("user", "one?"),
        ("assistant", "one."),
    ]
    await answer(second, "one?", "another.", replace=True)
    (third,) = await claim(store)
    assert await history_of(store, third.conversation_id, third.seq) == [
        ("user", "one?"),
        ("assistant", "another."),
    ]
    await answer(third, "three?", "three.")
    await store.write(conversations.reset_history, third.conversation_id, third.id)
    assert await history_of(store, third.conversation_id, None) == [
        ("user", "three?"),
        ("assistant", "three."),
    ], "asked after /new"
    await store.write(conversations.reset_history, third.conversation_id, LAST)
    await store.write(conversations.reset_history, third.conversation_id, third.id)
    assert await history_of(store, third.conversation_id, None) == []
    assert await store.read(token_usage.usage_since, "telegram:5", 0) == [ModelUsage("m", 21, 3)]


async def test_a_released_turn_is_free_at_once(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(claims.release_turns, "me", [turn.id])
    assert [taken.id for taken in await claim(store, "other")] == [turn.id]


async def test_open_turns_are_limited_per_person(
    store: Store,
) -> None:
    bounds = InboundLimits(max_queued=5, max_open=3)
    results = [await accept(store, f"u{n}", to=f"chat {n}", bounds=bounds) for n in range(5)]
    assert results == [AcceptResult.NEW] * 3 + [AcceptResult.QUEUE_FULL] * 2
    other = await store.write(
        inbound.accept_event,
        message_event("v"),
        conversation_key="bob",
        person_key="telegram:6",
        ordered=True,
        limits=bounds,
    )
    assert other is AcceptResult.NEW


async def test_rate_limit_notice_once_per_minute(store: Store) -> None:
    bounds = InboundLimits(max_per_minute=3)
    results = [await accept(store, f"u{n}", bounds=bounds) for n in range(6)]
    assert results == [AcceptResult.NEW] * 3 + [AcceptResult.RATE_LIMITED] + [AcceptResult.DROPPED] * 2
    claimed = [turn for turn in await claim(store) if turn.refusal is Refusal.RATE_LIMITED]
    assert [turn.incoming.key for turn in claimed] == ["u3"]


async def test_suspect_turns_are_claimed_one_at_a_time(store: Store) -> None:
    for key in ("u1", "u2", "u3"):
        await accept(store, key, to=key)
    for _ in range(claims.SUSPECT_ATTEMPTS):
        assert len(await claim(store, lease=-1)) == 3
    assert await claim(store) == []
    doubted = [
        await store.write(
            claims.claim_turns,
            "me",
            [AccountKey("telegram", "1")],
            lease_seconds=30,
            limit=1,
            claim_filter=claims.ClaimFilter.SUSPECT,
        )
        for _ in range(4)
    ]
    assert [[turn.incoming.key for turn in taken] for taken in doubted] == [
        ["u1"],
        ["u2"],
        ["u3"],
        [],
    ]


async def test_sole_process_frees_stale_leases(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "dead", lease=3600)
    assert await store.write(claims.expire_leases, [AccountKey("discord", "1")]) == 0
    assert await claim(store) == []
    assert await store.write(claims.expire_leases, [AccountKey("telegram", "1")]) == 1
    assert [taken.id for taken in await claim(store)] == [turn.id]


async def accept_batch(
    store: Store, key: str, text: str, batch: str | None, *, max_chars: int = inbound.MAX_BATCH_CHARS, **fields: Any
) -> AcceptResult:
    incoming = replace(message_event(key, text), batch=None if batch is None else Batch(batch or None), **fields)
    return await store.write(
        inbound.accept_event,
        incoming,
        conversation_key="ann",
        person_key="telegram:5",
        ordered=True,
        limits=BOUNDS,
        timings=Timings(batch_window=60),
        max_batch_chars=max_chars,
    )


async def claim_batch(store: Store) -> list[Turn]:
    """Claim as soon as no more messages can follow."""
    assert await claim(store) == []
    await store.write(end_batch_window)
    return await claim(store)


def end_batch_window(connection: Connection) -> None:
    connection.execute(update(schema.turns).values(not_before=0))


async def test_split_text_is_one_question(store: Store) -> None:
    assert await accept_batch(store, "u1", "begins", "") is AcceptResult.NEW
    assert await claim(store) == [], "the rest may follow"
    assert await accept_batch(store, "u2", "goes on", "") is AcceptResult.MERGED
    assert await accept_batch(store, "u3", "ends", None) is AcceptResult.MERGED
    assert await accept_batch(store, "u2", "goes on", "") is AcceptResult.DUPLICATE
    (turn,) = await claim_batch(store)
    assert turn.incoming.text == "begins\ngoes on\nends"
    assert turn.incoming.key == "u1"
    assert await accept_batch(store, "u4", "another", None) is AcceptResult.NEW, "it is being answered"
    await store.write(turns.finish_turn, turn, "me", TurnState.DONE)
    assert [one.incoming.text for one in await claim(store)] == ["another"]


async def test_reordered_parts_are_sorted(store: Store) -> None:
    for message, text, batch in (
        ("99", "one\nof many", ""),
        ("102", "four", None),
        ("100", "two", ""),
        ("101", "three", ""),
    ):
        await accept_batch(store, f"u{message}", text, batch, message_id=message)
    (turn,) = await claim_batch(store)
    assert turn.incoming.text == "one\nof many\ntwo\nthree\nfour"


async def test_album_is_one_question(store: Store) -> None:
    files = [Attachment("file", f"{name}.pdf") for name in "abc"]
    await accept_batch(store, "u1", "compare these", "album", attachments=(files[0],))
    for number, file in enumerate(files[1:], 2):
        joined = await accept_batch(store, f"u{number}", "", "album", attachments=(file,))
        assert joined is AcceptResult.MERGED
    assert await accept_batch(store, "u9", "and now?", None) is AcceptResult.NEW
    (turn,) = await claim_batch(store)
    assert (turn.incoming.text, turn.incoming.attachments) == ("compare these", tuple(files))
    await store.write(turns.finish_turn, turn, "me", TurnState.DONE)
    assert [one.incoming.text for one in await claim(store)] == ["and now?"]


async def test_redelivered_part_is_joined_once(store: Store) -> None:
    await accept_batch(store, "u1", "begins", "", message_id="1")
    again = await asyncio.gather(*(accept_batch(store, "u2", "ends", "", message_id="2") for _ in range(6)))
    assert Counter(again) == {AcceptResult.MERGED: 1, AcceptResult.DUPLICATE: 5}
    (turn,) = await claim_batch(store)
    assert turn.incoming.text == "begins\nends"


async def test_batch_is_bounded_and_ended_by_stop(store: Store) -> None:
    assert await accept_batch(store, "u1", "1234567", "", max_chars=10) is AcceptResult.NEW
    assert await accept_batch(store, "u2", "1234567", "", max_chars=10) is AcceptResult.NEW
    conversation = await store.read(conversations.find_conversation, "ann")
    assert conversation is not None
    assert await store.write(claims.cancel_turns, conversation, LAST) == CancelResult([], 2)


async def test_batch_belongs_to_one_person(store: Store) -> None:
    await accept_batch(store, "u1", "Ann's", "")
    bobs = replace(message_event("u2", "Bob's"), sender=Sender("telegram", "6", "Bob"))
    accepted = await store.write(
        inbound.accept_event,
        bobs,
        conversation_key="ann",
        person_key="telegram:6",
        ordered=True,
        limits=BOUNDS,
    )
    assert accepted is AcceptResult.NEW


async def test_failed_retry_keeps_previous_answer(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    (first,) = await claim(store)
    kept: dict[str, Any] = {"note": "", "model": "m", "usage": TokenCount(1, 1)}
    await store.write(answers.store_answer, first, "me", prompt="one?", answer="one.", **kept)
    await store.write(turns.finish_turn, first, "me", TurnState.DONE)
    (second,) = await claim(store)
    await store.write(
        answers.store_answer,
        second,
        "me",
        prompt="one?",
        answer="",
        replaces_last=True,
        **kept,
    )
    assert await history_of(store, first.conversation_id, None) == [
        ("user", "one?"),
        ("assistant", "one."),
    ]


async def test_answer_is_stored_once(store: Store) -> None:
    """The database did so, and its word was lost on the way."""
    await accept(store, "u1")
    (turn,) = await claim(store)
    for new in (True, False):
        kept = await store.write(
            answers.store_answer,
            turn,
            "me",
            prompt="hello",
            answer="yes",
            note="",
            model="m",
            usage=TokenCount(1, 1),
        )
        assert kept is new
    assert await history_of(store, turn.conversation_id) == [("user", "hello"), ("assistant", "yes")]


async def test_unreadable_event_blocks_nothing(store: Store) -> None:
    for key in ("u1", "u2"):
        await accept(store, key)
    await store.write(insert_event, "telegram:1:u1", "{")
    for _ in range(claims.SUSPECT_ATTEMPTS):
        assert await claim(store, lease=-1) == []
    assert [turn.incoming.key for turn in await claim(store)] == ["u2"]


async def test_event_of_newer_version_is_left_unclaimed(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store, "newer", lease=-1)
    event = encode_incoming(turn.incoming)
    await store.write(insert_event, "telegram:1:u1", event.replace('"prompt"', '"telepathy"'))
    assert await claim(store, "older", lease=-1) == []
    await store.write(chat_migration.move_chat, AccountKey("telegram", "1"), "another", "place")  # reads it, too
    await store.write(insert_event, "telegram:1:u1", event)
    (again,) = await claim(store, "newer")
    assert again.incoming == turn.incoming


def insert_event(connection: Connection, key: str, event: str) -> None:
    connection.execute(update(schema.turns).where(schema.turns.c.event_key == key).values(incoming_json=event))


async def test_handover_does_not_count_as_attempt(store: Store) -> None:
    await accept(store, "u1")
    for process in range(20):
        (turn,) = await claim(store, f"p{process}")
        assert turn.attempt == min(process + 1, 2)
        await store.write(claims.release_turns, f"p{process}", [turn.id])


async def test_event_payload_can_be_erased(store: Store) -> None:
    await accept(store, "u1")
    (turn,) = await claim(store)
    await store.write(turns.erase_event_text, turn, "me")
    found = await store.read(turns.get_turn, turn.id)
    assert found is not None
    assert found.incoming == replace(turn.incoming, text="")
