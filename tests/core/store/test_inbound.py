"""How events become turns: duplicates, batches and limits, on both databases."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from core.port import Attachment, Batch, EventKind, Sender
from core.store import batches, claims, conversations, inbound, schema, turns
from core.store.answers import get_answer
from core.store.claims import CancelResult
from core.store.database import Store
from core.store.inbound import NOTICE_SECONDS, AcceptResult, InboundLimits, seconds_until_accepted
from core.store.turns import Refusal, Turn, TurnState
from core.timings import Timings
from tests.core.store.turn_helpers import (
    accept,
    accept_event,
    answer,
    claim,
    end_batch_window,
    make_older,
    message_event,
)

FUTURE_TURN = 2**31
UNNAMED = Batch()
ALBUM = Batch("album")


async def test_redelivered_event_opens_no_turn(store: Store) -> None:
    assert await accept(store, "u1") is AcceptResult.NEW
    assert await accept(store, "u1") is AcceptResult.DUPLICATE
    assert len(await claim(store)) == 1


async def test_event_that_cannot_be_read_again_is_not_stored(store: Store) -> None:
    event = message_event("u1")
    invalid = replace(event, sender=replace(event.sender, language=["en"]))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await store.write(partial(accept_event, conversation_key="ann", person_key="telegram:5"), invalid)
    assert await claim(store) == []


async def test_concurrent_duplicates_open_one_turn(store: Store) -> None:
    results = await asyncio.gather(*(accept(store, "u1") for _ in range(8)))
    assert results.count(AcceptResult.NEW) == 1


async def test_turns_over_queue_limit_are_stored_as_refused(store: Store) -> None:
    limits = InboundLimits(max_queued=5)
    results = [await accept(store, f"u{number}", limits=limits) for number in range(8)]
    assert results == [AcceptResult.NEW] * 6 + [AcceptResult.QUEUE_FULL] * 2
    refused = [turn for turn in await claim(store) if turn.refusal is Refusal.QUEUE_FULL]
    assert [turn.incoming.key for turn in refused] == ["u6", "u7"]


async def test_open_turns_are_limited_per_person(store: Store) -> None:
    limits = InboundLimits(max_queued=5, max_open=3)
    results = [await accept(store, f"u{n}", conversation=f"chat {n}", limits=limits) for n in range(5)]
    assert results == [AcceptResult.NEW] * 3 + [AcceptResult.QUEUE_FULL] * 2
    accept_other = partial(accept_event, conversation_key="bob", person_key="telegram:6", limits=limits)
    assert await store.write(accept_other, message_event("v")) is AcceptResult.NEW


async def test_rate_limit_notice_once_in_some_seconds(store: Store) -> None:
    limits = InboundLimits(max_per_minute=3)
    results = [await accept(store, f"u{n}", limits=limits) for n in range(6)]
    assert results == [AcceptResult.NEW] * 3 + [AcceptResult.RATE_LIMITED] + [AcceptResult.DROPPED] * 2
    refused = [turn for turn in await claim(store) if turn.refusal is Refusal.RATE_LIMITED]
    assert [turn.incoming.key for turn in refused] == ["u3"]
    await store.write(make_older, NOTICE_SECONDS + 1)
    assert await accept(store, "u6", limits=limits) is AcceptResult.RATE_LIMITED


async def test_refused_messages_do_not_prolong_the_wait(store: Store) -> None:
    limits = InboundLimits(max_per_minute=2)
    wait = partial(seconds_until_accepted, limits=limits, is_exempt=False)
    for number in range(2):
        assert await store.read(wait, "telegram:5") == 0
        await accept(store, f"u{number}", limits=limits)
    for number in range(3):
        await store.write(make_older, 15)
        assert await accept(store, f"v{number}", limits=limits) is AcceptResult.RATE_LIMITED
        assert await store.read(wait, "telegram:5") == pytest.approx(45 - 15 * number, abs=5)
    await store.write(make_older, 15)
    assert await accept(store, "w", limits=limits) is AcceptResult.NEW


async def test_exempt_turns_have_a_limit_of_their_own(store: Store) -> None:
    limits = InboundLimits(max_per_minute=2)
    accept_exempt = partial(accept_event, is_exempt=True, ordered=False, limits=limits)
    results = [await store.write(accept_exempt, message_event(f"x{n}")) for n in range(3)]
    assert results == [AcceptResult.NEW] * 2 + [AcceptResult.RATE_LIMITED]
    await store.write(make_older, NOTICE_SECONDS + 1)
    results = [await accept(store, f"u{n}", limits=limits) for n in range(3)]
    assert results == [AcceptResult.NEW] * 2 + [AcceptResult.RATE_LIMITED]


async def accept_stop(store: Store, key: str, *, limits: InboundLimits = InboundLimits()) -> AcceptResult:  # noqa: B008
    event = replace(message_event(key, ""), kind=EventKind.COMMAND, command="stop")
    return await store.write(partial(accept_event, ordered=False, is_stop=True, limits=limits), event)


async def test_equal_requests_to_stop_share_a_turn(store: Store) -> None:
    await accept(store, "question")
    assert [await accept_stop(store, f"stop {n}") for n in range(3)] == [AcceptResult.NEW] + [AcceptResult.MERGED] * 2
    assert await accept_stop(store, "stop 1") is AcceptResult.DUPLICATE
    await accept(store, "another question")
    assert await accept_stop(store, "stop 3") is AcceptResult.NEW, "the first one does not stop the new question"
    for turn in await claim(store):
        await store.write(turns.finish_turn, turn, TurnState.DONE)
    assert await accept_stop(store, "stop 4") is AcceptResult.NEW


async def test_requests_to_stop_are_limited_per_minute(store: Store) -> None:
    limits = InboundLimits(max_per_minute=3)
    results = [await accept_stop(store, f"stop {n}", limits=limits) for n in range(6)]
    assert results == [
        AcceptResult.NEW,
        *[AcceptResult.MERGED] * 2,
        AcceptResult.RATE_LIMITED,
        *[AcceptResult.DROPPED] * 2,
    ]


def conversation_keys(connection: Connection) -> list[str]:
    return sorted(connection.scalars(select(schema.conversations.c.key)))


def delete_turn(connection: Connection, turn_id: int) -> None:
    """As the retention does, which keeps the messages."""
    connection.execute(delete(schema.turns).where(schema.turns.c.id == turn_id))


async def test_refused_messages_create_no_conversations(store: Store) -> None:
    limits = InboundLimits(max_open=1)
    results = [await accept(store, f"u{n}", conversation=f"chat {n}", limits=limits) for n in range(3)]
    assert results == [AcceptResult.NEW] + [AcceptResult.QUEUE_FULL] * 2
    limits = InboundLimits(max_per_minute=1)
    results = [await accept(store, f"v{n}", conversation=f"chat {n}", limits=limits) for n in range(3)]
    assert results == [AcceptResult.RATE_LIMITED] + [AcceptResult.DROPPED] * 2
    assert await store.read(conversation_keys) == ["chat 0"]
    claimed = await claim(store)
    assert [turn.refusal for turn in claimed] == [None, *[Refusal.QUEUE_FULL] * 2, Refusal.RATE_LIMITED]


async def test_redelivered_refused_message_is_refused_once(store: Store) -> None:
    await accept(store, "u1")
    refused = partial(accept, store, "u2", conversation="another", limits=InboundLimits(max_open=1))
    results = await asyncio.gather(*(refused() for _ in range(8)))
    assert Counter(results) == {AcceptResult.QUEUE_FULL: 1, AcceptResult.DUPLICATE: 7}
    assert await store.read(conversation_keys) == ["ann"]


async def test_conversation_survives_refused_messages(store: Store) -> None:
    await accept(store, "u1")
    assert await accept(store, "u2", limits=InboundLimits(max_open=1)) is AcceptResult.QUEUE_FULL
    assert await store.read(conversation_keys) == ["ann"]
    (asked, refused) = await claim(store)
    assert (refused.seq, refused.refusal) == (None, Refusal.QUEUE_FULL)
    assert asked.conversation_id


async def test_conversation_without_turns_keeps_its_messages_when_an_event_is_refused(store: Store) -> None:
    await accept(store, "old")
    (turn,) = await claim(store)
    await answer(store, turn, "hello", "hi")
    await accept(store, "elsewhere", conversation="another")
    await store.write(delete_turn, turn.id)
    assert await accept(store, "u1", limits=InboundLimits(max_open=1)) is AcceptResult.QUEUE_FULL
    assert await store.read(get_answer, turn.id) == "hi"
    assert await store.read(conversation_keys) == ["ann", "another"]


async def test_limit_per_minute_ignores_turns_before_clock_was_set_back(store: Store) -> None:
    limits = InboundLimits(max_per_minute=2)
    assert [await accept(store, f"u{n}", limits=limits) for n in range(2)] == [AcceptResult.NEW] * 2
    await store.write(set_clock_back, 3600)
    results = [await accept(store, f"v{n}", limits=limits) for n in range(3)]
    assert results == [AcceptResult.NEW] * 2 + [AcceptResult.RATE_LIMITED]


async def test_batch_does_not_wait_after_clock_was_set_back(store: Store) -> None:
    timings = Timings(batch_window=5.0)
    event = replace(message_event("u1"), batch=UNNAMED)
    assert await store.write(partial(accept_event, incoming=event, timings=timings)) is AcceptResult.NEW
    assert await claim(store) == []
    await store.write(set_clock_back, 3600)
    assert [turn.incoming.key for turn in await claim(store)] == ["u1"]


def set_clock_back(connection: Connection, seconds: float) -> None:
    """As if the database's clock had been set back since the turns were stored."""
    columns = schema.turns.c
    values = {"created_at": columns.created_at + seconds, "not_before": columns.not_before + seconds}
    connection.execute(update(schema.turns).values(**values))


async def accept_batch(
    store: Store,
    key: str,
    text: str,
    batch: Batch | None,
    *,
    max_chars: int = batches.MAX_BATCH_CHARS,
    **fields: Any,
) -> AcceptResult:
    event = replace(message_event(key, text), batch=batch, **fields)
    accept_slowly = partial(accept_event, timings=Timings(batch_window=60), max_batch_chars=max_chars)
    return await store.write(accept_slowly, event)


async def claim_batch(store: Store) -> Turn:
    """Claim the turn of a batch as soon as no more messages can follow."""
    assert await claim(store) == []
    await store.write(end_batch_window)
    (turn,) = await claim(store)
    return turn


async def next_text(store: Store, finished: Turn) -> str:
    """The text of the turn that follows."""
    await store.write(turns.finish_turn, finished, TurnState.DONE)
    (turn,) = await claim(store)
    return turn.incoming.text


async def test_split_text_is_one_question(store: Store) -> None:
    assert await accept_batch(store, "u1", "begins", UNNAMED) is AcceptResult.NEW
    assert await claim(store) == [], "more messages may follow"
    assert await accept_batch(store, "u2", "goes on", UNNAMED) is AcceptResult.MERGED
    assert await accept_batch(store, "u3", "ends", None) is AcceptResult.MERGED
    assert await accept_batch(store, "u2", "goes on", UNNAMED) is AcceptResult.DUPLICATE
    turn = await claim_batch(store)
    assert turn.incoming.text == "begins\ngoes on\nends"
    assert turn.incoming.key == "u1"
    assert await accept_batch(store, "u4", "another", None) is AcceptResult.NEW, "the batch is being answered"
    assert await next_text(store, turn) == "another"


async def test_reordered_parts_are_sorted(store: Store) -> None:
    for message_id, text, batch in (
        ("99", "one\nof many", UNNAMED),
        ("102", "four", None),
        ("100", "two", UNNAMED),
        ("101", "three", UNNAMED),
    ):
        await accept_batch(store, f"u{message_id}", text, batch, message_id=message_id)
    turn = await claim_batch(store)
    assert turn.incoming.text == "one\nof many\ntwo\nthree\nfour"


async def test_album_is_one_question(store: Store) -> None:
    files = [Attachment("file", f"{name}.pdf") for name in "abc"]
    await accept_batch(store, "u1", "compare these", ALBUM, attachments=(files[0],))
    for number, file in enumerate(files[1:], 2):
        assert await accept_batch(store, f"u{number}", "", ALBUM, attachments=(file,)) is AcceptResult.MERGED
    assert await accept_batch(store, "u9", "and now?", None) is AcceptResult.NEW
    turn = await claim_batch(store)
    assert (turn.incoming.text, turn.incoming.attachments) == ("compare these", tuple(files))
    assert await next_text(store, turn) == "and now?"


async def test_redelivered_part_is_joined_once(store: Store) -> None:
    await accept_batch(store, "u1", "begins", UNNAMED, message_id="1")
    results = await asyncio.gather(*(accept_batch(store, "u2", "ends", UNNAMED, message_id="2") for _ in range(6)))
    assert Counter(results) == {AcceptResult.MERGED: 1, AcceptResult.DUPLICATE: 5}
    assert (await claim_batch(store)).incoming.text == "begins\nends"


async def test_batch_is_bounded_and_ended_by_stop(store: Store) -> None:
    assert await accept_batch(store, "u1", "1234567", UNNAMED, max_chars=10) is AcceptResult.NEW
    assert await accept_batch(store, "u2", "1234567", UNNAMED, max_chars=10) is AcceptResult.NEW
    conversation_id = await store.read(conversations.find_conversation, "ann")
    assert conversation_id is not None
    assert await store.write(claims.cancel_turns, conversation_id, FUTURE_TURN) == CancelResult([], 2)


async def test_batch_takes_as_much_as_its_limits_allow(store: Store) -> None:
    await accept_batch(store, "u1", "1234", UNNAMED, max_chars=10)
    assert await accept_batch(store, "u2", "56789", UNNAMED, max_chars=10) is AcceptResult.MERGED, "with the newline"
    assert await accept_batch(store, "u3", "", None, max_chars=10) is AcceptResult.MERGED
    assert await accept_batch(store, "u4", "0", None, max_chars=10) is AcceptResult.NEW


async def test_album_takes_a_limited_number_of_files(store: Store) -> None:
    file = Attachment("file", "a.pdf")
    results = [
        await accept_batch(store, f"u{number}", "", ALBUM, attachments=(file,))
        for number in range(batches.MAX_BATCH_ATTACHMENTS + 1)
    ]
    merged = [AcceptResult.MERGED] * (batches.MAX_BATCH_ATTACHMENTS - 1)
    assert results == [AcceptResult.NEW, *merged, AcceptResult.NEW]


async def test_batch_belongs_to_one_person(store: Store) -> None:
    await accept_batch(store, "u1", "Ann's", UNNAMED)
    event = replace(message_event("u2", "Bob's"), sender=Sender("telegram", "6", "Bob"))
    assert await store.write(partial(accept_event, person_key="telegram:6"), event) is AcceptResult.NEW


async def test_full_queue_takes_the_new_text_of_a_waiting_question(store: Store) -> None:
    limits = InboundLimits(max_open=1)
    question = replace(message_event("u1"), message_id="m1")
    await store.write(partial(accept_event, incoming=question, limits=limits))
    edit = replace(question, kind=EventKind.EDIT, key="u2", text="better")
    accept_edit = partial(inbound.accept_edit, conversation_key="ann", person_key="telegram:5", limits=limits)
    assert await store.write(partial(accept_edit, incoming=edit)) is AcceptResult.MERGED
    [turn] = await claim(store)
    assert turn.incoming.text == "better"
    too_often = partial(
        accept_edit, incoming=replace(edit, key="u3", text="best"), limits=InboundLimits(max_per_minute=1)
    )
    assert await store.write(too_often) is AcceptResult.RATE_LIMITED
