"""Forwarded messages become part of the question that a person sends just before or after them, on both databases."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from core.port import Attachment, Batch, EventKind, Incoming, Quote, QuoteKind, Sender
from core.store import inbound, turns
from core.store.batches import MAX_BATCH_ATTACHMENTS, MAX_BATCH_QUOTES, message_order, split_batch, with_texts
from core.store.database import Store
from core.store.inbound import AcceptResult
from core.store.incoming_codec import as_stored, with_compared_model
from core.store.turns import TurnState
from core.timings import Timings
from tests.core.store.turn_helpers import accept_event, claim, end_batch_window, make_older, message_event

WINDOW = 60.0
TIMINGS = Timings(batch_window=WINDOW)
BOB = Sender("telegram", "6", "Bob")
COMMENT = replace(message_event("u1", "Is this true?"), message_id="1")


def forward(number: int, **fields: Any) -> Incoming:
    """A forwarded message without words of its sender's."""
    quote = Quote(QuoteKind.FORWARD, f"forwarded {number}", message_id=str(number))
    event = replace(message_event(f"u{number}", ""), kind=EventKind.FORWARD, message_id=str(number), quotes=(quote,))
    return replace(event, **fields)


async def accept(store: Store, event: Incoming, **options: Any) -> AcceptResult:
    person = f"telegram:{event.sender.user}"
    if event.kind is EventKind.FORWARD:
        take = partial(inbound.accept_forward, conversation_key="ann", person_key=person, timings=TIMINGS)
        return await store.write(partial(take, **options), event)
    return await store.write(partial(accept_event, person_key=person, timings=TIMINGS, **options), event)


async def claim_questions(store: Store) -> list[Incoming]:
    """The questions that start when the time is over in which more can follow."""
    await store.write(end_batch_window)
    return [turn.incoming for turn in await claim(store)]


@pytest.mark.parametrize("kind", [EventKind.FORWARD, EventKind.PROMPT])
@pytest.mark.parametrize("is_running", [False, True])
async def test_forwards_join_the_comment_before_them(store: Store, kind: EventKind, is_running: bool) -> None:
    """They may arrive in another order, and the comment may be being answered already."""
    await accept(store, COMMENT)
    if is_running:
        await claim(store)
    for number in (10, 9):
        assert await accept(store, forward(number, kind=kind, batch=Batch())) is AcceptResult.MERGED
    assert await accept(store, forward(9, kind=kind, batch=Batch())) is AcceptResult.DUPLICATE
    assert await claim(store) == [], "more may follow"
    (question,) = await claim_questions(store)
    assert question.text == COMMENT.text
    assert [quote.text for quote in question.quotes] == ["forwarded 9", "forwarded 10"]


@pytest.mark.parametrize(
    "comment",
    [
        replace(COMMENT, sender=BOB),
        replace(COMMENT, kind=EventKind.COMMAND, command="ask"),
    ],
    ids=["of somebody else", "command"],
)
async def test_forward_joins_no_other_question(store: Store, comment: Incoming) -> None:
    assert await accept(store, forward(2)) is AcceptResult.IGNORED, "there is no conversation"
    await accept(store, comment)
    assert await accept(store, forward(2)) is AcceptResult.IGNORED
    assert [question.quotes for question in await claim_questions(store)] == [()]


@pytest.mark.parametrize(
    "fields",
    [{"text": "my words"}, {"quotes": (Quote(QuoteKind.REPLY, "quoted"),)}, {"quotes": ()}],
    ids=["with words", "reply", "without quotes"],
)
async def test_other_messages_do_not_join_the_comment(store: Store, fields: dict[str, Any]) -> None:
    await accept(store, COMMENT)
    assert await accept(store, forward(2, **fields)) is AcceptResult.IGNORED


@pytest.mark.parametrize(("age", "is_joined"), [(WINDOW - 10, True), (WINDOW + 10, False)])
async def test_forward_joins_only_a_comment_just_before_it(store: Store, age: float, is_joined: bool) -> None:
    await accept(store, COMMENT)
    await store.write(make_older, age)
    assert await accept(store, forward(2)) is (AcceptResult.MERGED if is_joined else AcceptResult.IGNORED)


async def test_forward_does_not_join_an_answered_question(store: Store) -> None:
    await accept(store, COMMENT)
    (turn,) = await claim(store)
    await store.write(turns.finish_turn, turn, TurnState.DONE)
    assert await accept(store, forward(2)) is AcceptResult.IGNORED


async def test_comment_joins_one_album(store: Store) -> None:
    await accept(store, COMMENT)
    for number in (2, 3):
        assert await accept(store, forward(number, batch=Batch("album"))) is AcceptResult.MERGED
    assert await accept(store, forward(4, batch=Batch("another album"))) is AcceptResult.IGNORED


async def test_batch_of_forwards_is_not_a_comment(store: Store) -> None:
    await accept(store, forward(1, kind=EventKind.PROMPT, batch=Batch("album")))
    other_album = forward(2, kind=EventKind.PROMPT, batch=Batch("another album"))
    assert await accept(store, other_album) is AcceptResult.WAITING


@pytest.mark.parametrize(
    ("limit", "fields"),
    [(MAX_BATCH_QUOTES, {}), (MAX_BATCH_ATTACHMENTS, {"attachments": (Attachment("file", "a.pdf"),)})],
    ids=["quotes", "files"],
)
async def test_comment_takes_a_limited_number_of_forwards(store: Store, limit: int, fields: dict[str, Any]) -> None:
    await accept(store, COMMENT)
    results = [await accept(store, forward(number, **fields)) for number in range(2, limit + 3)]
    assert results == [AcceptResult.MERGED] * limit + [AcceptResult.IGNORED]


async def test_forward_joins_a_comment_for_two_models(store: Store) -> None:
    for key, model, is_companion in (("u1", "phi", False), ("u1#2", "gemma", True)):
        await accept(store, with_compared_model(COMMENT, key, COMMENT.text, model), is_companion=is_companion)
    assert await accept(store, forward(2)) is AcceptResult.MERGED
    questions = await claim_questions(store)
    assert [[quote.text for quote in question.quotes] for question in questions] == [["forwarded 2"]] * 2


def test_batch_is_split_into_its_messages() -> None:
    texts = [("9", "one\nof many"), ("10", ""), ("11", "three")]
    batch = with_texts(as_stored(COMMENT), texts)
    assert batch.text == "one\nof many\n\nthree"
    assert list(split_batch(batch)) == texts
    assert list(split_batch(as_stored(COMMENT))) == [("1", COMMENT.text)]
    assert sorted(["10", "9", None, "100", "99"], key=message_order) == [None, "9", "10", "99", "100"]
