"""Short questions that one person sends one after another during an answer get one answer, on both databases."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from core.port import Attachment, EventKind, Quote, QuoteKind, Sender
from core.store import claims, inbound, turns
from core.store.answers import store_answer
from core.store.batches import MAX_JOINED_AGE, MAX_JOINED_CHARS, MAX_JOINED_QUESTIONS
from core.store.database import Store
from core.store.inbound import MAX_MARKED_QUESTIONS, AcceptResult, InboundLimits
from core.store.incoming_codec import StoredIncoming, decode_incoming, encode_incoming
from core.store.turns import TurnState
from tests.core.store.turn_helpers import accept_event, answer, claim, make_older, message_event

BOB = Sender("telegram", "6", "Bob")
NEW, WAITING, MERGED = AcceptResult.NEW, AcceptResult.WAITING, AcceptResult.MERGED


async def write(
    store: Store,
    number: int,
    text: str = "",
    *,
    sender: Sender | None = None,
    limits: InboundLimits | None = None,
    **fields: Any,
) -> AcceptResult:
    """Ann, or `sender`, sends a message in the conversation."""
    event = replace(message_event(f"u{number}", text or f"text {number}"), message_id=str(number), **fields)
    event = replace(event, sender=sender or event.sender)
    accept = partial(accept_event, person_key=f"telegram:{event.sender.user}", limits=limits or InboundLimits())
    return await store.write(accept, event)


async def edit(store: Store, number: int, text: str) -> AcceptResult:
    event = replace(message_event(f"e{number} {text}", text), kind=EventKind.EDIT, message_id=str(number))
    accept = partial(inbound.accept_edit, conversation_key="ann", person_key="telegram:5", limits=InboundLimits())
    return await store.write(accept, event)


def test_mark_is_stored_under_the_name_that_earlier_versions_use() -> None:
    stored = encode_incoming(message_event("1")).removesuffix("}") + ',"was_first_waiting":true}'
    incoming = decode_incoming(stored)
    assert incoming is not None
    assert incoming.was_first_waiting


async def test_questions_that_wait_are_joined(store: Store) -> None:
    assert [await write(store, number) for number in (1, 2, 3, 4)] == [NEW, WAITING, MERGED, MERGED]
    assert await write(store, 3) is AcceptResult.DUPLICATE, "a redelivery"
    (first,) = await claim(store)
    assert first.incoming.text == "text 1"
    await answer(store, first, "text 1", "1.")
    (joined,) = await claim(store)
    assert joined.incoming.text == "text 2\ntext 3\ntext 4"
    assert isinstance(joined.incoming, StoredIncoming)
    assert joined.incoming.was_first_waiting, "its message has a mark to remove"
    assert await write(store, 5) is WAITING, "the joined question is being answered"
    await answer(store, joined, "", "2.")
    (last,) = await claim(store)
    assert last.incoming.text == "text 5"


async def test_question_that_is_next_stays_alone(store: Store) -> None:
    await write(store, 1)
    await write(store, 2)
    (first,) = await claim(store)
    await answer(store, first, "text 1", "1.")
    assert await write(store, 3) is WAITING, "text 2 may be claimed at any moment"
    (second,) = await claim(store)
    assert second.incoming.text == "text 2"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * (MAX_JOINED_CHARS + 1)},
        {"text": " "},
        {"sender": BOB},
        {"attachments": (Attachment("file", "a.txt"),)},
        {"quotes": (Quote(QuoteKind.REPLY, "quoted"),)},
        {"kind": EventKind.COMMAND, "command": "ask"},
        {"interaction_token": "token"},
    ],
    ids=str,
)
async def test_other_questions_are_not_joined(store: Store, fields: dict[str, Any]) -> None:
    await write(store, 1)
    await write(store, 2)
    assert await write(store, 3, **fields) is (NEW if "interaction_token" in fields else WAITING)
    assert await write(store, 4) is WAITING, "the last one is another kind of question"
    texts = []
    for _ in range(4):
        (turn,) = await claim(store)
        texts.append(turn.incoming.text)
        await store.write(turns.finish_turn, turn, TurnState.DONE)
    assert texts == ["text 1", "text 2", fields.get("text", "text 3"), "text 4"]


async def test_first_waiting_questions_of_each_person_are_marked(store: Store) -> None:
    ask: dict[str, Any] = {"kind": EventKind.COMMAND, "command": "ask"}
    results = [await write(store, number, **ask) for number in range(6)]
    assert results == [NEW, *[WAITING] * MAX_MARKED_QUESTIONS, NEW, NEW]
    assert await write(store, 6, sender=BOB, **ask) is WAITING
    marked = []
    for number in range(7):
        (turn,) = await claim(store)
        assert isinstance(turn.incoming, StoredIncoming)
        marked.append(turn.incoming.was_first_waiting)
        await answer(store, turn, "", f"{number}.")
    assert marked == [False, True, True, True, False, False, True]


async def test_question_of_a_person_whose_other_one_is_being_answered_counts(store: Store) -> None:
    await write(store, 1)
    await write(store, 2, sender=BOB)
    await claim(store)
    assert await write(store, 3) is WAITING


@pytest.mark.parametrize("fields", [{"message_id": None}, {"interaction_token": "token"}], ids=str)
async def test_platform_itself_shows_that_a_command_waits(store: Store, fields: dict[str, Any]) -> None:
    await write(store, 1)
    event = replace(message_event("u2"), kind=EventKind.COMMAND, command="ask", message_id="2")
    assert await store.write(partial(accept_event, incoming=replace(event, **fields))) is NEW


async def test_full_queue_still_joins(store: Store) -> None:
    limits = InboundLimits(max_queued=1)
    assert [await write(store, number, limits=limits) for number in (1, 2, 3)] == [NEW, WAITING, MERGED]
    assert await write(store, 4, sender=BOB, limits=limits) is AcceptResult.QUEUE_FULL
    limits = InboundLimits(max_per_minute=3)
    assert await write(store, 5, limits=limits) is AcceptResult.RATE_LIMITED, "a joined message counts, too"


async def test_joined_questions_are_limited(store: Store) -> None:
    results = [await write(store, number) for number in range(MAX_JOINED_QUESTIONS + 2)]
    assert results == [NEW, WAITING, *[MERGED] * (MAX_JOINED_QUESTIONS - 1), WAITING]


async def test_stop_drops_all_that_wait(store: Store) -> None:
    for number in (1, 2, 3, 4):
        await write(store, number)
    (running,) = await claim(store)
    result = await store.write(claims.cancel_turns, running.conversation_id, running.id + 100)
    assert (result.running, result.dropped) == ([running.id], 3)
    await store.write(turns.finish_turn, running, TurnState.STOPPED)
    assert await claim(store) == []


@pytest.mark.parametrize("is_finished", [False, True])
async def test_command_separates_questions(store: Store, is_finished: bool) -> None:
    """What /stop drops, and what /new leaves in the old conversation, was written before it."""
    await write(store, 1)
    await write(store, 2)
    event = replace(message_event("stop", ""), kind=EventKind.COMMAND, command="stop")
    await store.write(partial(accept_event, ordered=False), event)
    running, command = await claim(store)
    if is_finished:
        await store.write(turns.finish_turn, command, TurnState.DONE)
    assert await write(store, 3) is WAITING
    assert await write(store, 4) is MERGED, "text 3 is newer than the command"
    result = await store.write(claims.cancel_turns, command.conversation_id, command.id)
    assert (result.running, result.dropped) == ([running.id], 1)
    await store.write(turns.finish_turn, running, TurnState.STOPPED)
    (last,) = [turn for turn in await claim(store) if turn.seq is not None]
    assert last.incoming.text == "text 3\ntext 4"


async def test_old_question_stays_alone(store: Store) -> None:
    """A new question that took its age would be refused as too old."""
    await write(store, 1)
    await write(store, 2)
    await store.write(make_older, MAX_JOINED_AGE - 5)
    assert await write(store, 3) is MERGED
    await store.write(make_older, 10)
    assert await write(store, 4) is WAITING


async def test_stop_tells_whose_mark_to_remove(store: Store) -> None:
    for number in (1, 2, 3):
        await write(store, number)
    await write(store, 4, "x" * (MAX_JOINED_CHARS + 1))
    await write(store, 5, kind=EventKind.COMMAND, command="ask", interaction_token="token")
    (running,) = await claim(store)
    result = await store.write(claims.cancel_turns, running.conversation_id, running.id + 100)
    assert [question.message_id for question in result.marked] == ["2", "4"]


async def test_edit_changes_one_of_the_joined_questions(store: Store) -> None:
    for number in (1, 2, 3):
        await write(store, number)
    assert await edit(store, 3, "better 3") is MERGED
    (first,) = await claim(store)
    await answer(store, first, "text 1", "1.")
    (joined,) = await claim(store)
    assert joined.incoming.text == "text 2\nbetter 3"
    assert await edit(store, 2, "better 2") is MERGED, "it is answered anew"
    (again,) = await claim(store)
    assert (again.id, again.incoming.text) == (joined.id, "better 2\nbetter 3")
    text = again.incoming.text
    await store.write(partial(store_answer, prompt=text, answer="2.", note="", model="m"), again)
    await store.write(turns.finish_turn, again, TurnState.DONE)
    assert await edit(store, 3, "best 3") is NEW
    (edited,) = await claim(store)
    assert edited.incoming.text == "better 2\nbest 3", "the answer is to both of them"
