"""Stores each inbound event once, as a turn of its own or as part of a batch (`core.store.batches`)."""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, ScalarSelect, bindparam, case, delete, func, select
from sqlalchemy import insert as plain_insert

from core.port import EventKind, Incoming
from core.scopes import chat_key
from core.store.answers import get_question
from core.store.batches import MAX_BATCH_CHARS, find_batch, join_waiting, merge_into_batch, split_batch, with_texts
from core.store.conversations import IS_EMPTY
from core.store.dialect import InsertFactory, insert_factory, sum_statement
from core.store.edited_questions import MAX_COMPARED_TURNS, AskedQuestion, find_question
from core.store.incoming_codec import (
    MessagePiece,
    as_stored,
    decode_incoming,
    encode_incoming,
    erase_content,
    text_length,
)
from core.store.schema import IS_OPEN, conversations, database_now, turns
from core.store.turns import Refusal, TurnState, restart_turn
from core.timings import Timings

LIMIT_SECONDS = 60
MAX_MARKED_QUESTIONS = 3
"""How many questions of a person are marked as waiting in one conversation: each mark costs two requests."""
NOTICE_SECONDS = 10
"""A person who sends too fast is told so once in this time."""


class AcceptResult(StrEnum):
    NEW = "new"
    WAITING = "waiting"
    """Like `NEW`: a question that waits for the answer to another one, and is among its sender's first in the
    conversation that do (`MAX_MARKED_QUESTIONS`)."""
    MERGED = "merged"
    """The event was merged into a waiting question, or asks to stop what an open turn stops already."""
    DUPLICATE = "duplicate"
    """A redelivery: the event is already stored."""
    QUEUE_FULL = Refusal.QUEUE_FULL.value
    """This person or conversation has too many open questions; stored as a refused turn."""
    RATE_LIMITED = Refusal.RATE_LIMITED.value
    """This person sent too many events within a minute; stored as a refused turn."""
    IGNORED = "ignored"
    """An edit that changes no question without an answer, and not the last one, or a forwarded message that was not
    sent with a question, or one too many of these within a minute; not stored."""
    DROPPED = "dropped"
    """Like `RATE_LIMITED`, but the person was just notified; not stored."""


@dataclass(frozen=True, slots=True)
class InboundLimits:
    """Limits on events and open questions; 0: no limit."""

    max_queued: int = 0
    """Questions waiting in one conversation."""
    max_open: int = 0
    """Unfinished turns in all conversations."""
    max_per_minute: int = 0


def accept_event(
    connection: Connection,
    incoming: Incoming,
    *,
    conversation_key: str,
    person_key: str,
    ordered: bool,
    is_stop: bool = False,
    is_exempt: bool = False,
    is_companion: bool = False,
    limits: InboundLimits,
    timings: Timings = Timings(),
    max_batch_chars: int = MAX_BATCH_CHARS,
) -> AcceptResult:
    """Store `incoming` and open a turn for it, or merge it into a waiting turn.

    `ordered` turns run one after another; the others overtake. Equal requests to stop (`is_stop`) share a turn. Exempt
    turns do not count towards the others' limit per minute, and have the same limit for themselves. A companion runs
    at the same time as the last ordered turn, instead of after it.
    """
    event_key = f"{incoming.place.account_key}:{incoming.key}"
    if _is_stored(connection, event_key):
        return AcceptResult.DUPLICATE
    conversation_id, seq = _advance_conversation(connection, conversation_key, int(ordered and not is_companion))
    if _is_stored(connection, event_key):  # by a transaction that locked the conversation's row until now
        _delete_if_empty(connection, conversation_id)
        return AcceptResult.DUPLICATE
    columns: dict[str, Any] = {
        "conversation_id": conversation_id,
        "chat_key": chat_key(incoming.place),
        "event_key": event_key,
        "incoming_json": encode_incoming(incoming),
        "person_key": person_key,
        "is_exempt": is_exempt,
    }
    if incoming.batch is None and any(file.is_audio for file in incoming.attachments):
        # Edits of its caption have to find that behind the transcript.
        text = incoming.text.strip()
        pieces = (MessagePiece(incoming.message_id or "", len(text)),)
        incoming = as_stored(incoming, text=text, pieces=pieces)
        columns["incoming_json"] = encode_incoming(incoming)
    is_merged = ordered and merge_into_batch(
        connection, incoming, conversation_id, person_key, timings, max_batch_chars
    )
    exceeded, open_count = None, 0
    if not is_merged:
        exceeded, open_count = _check_limits(
            connection, conversation_id, person_key, limits, ordered=ordered, is_exempt=is_exempt
        )
    # A question that is joined makes the queue no longer.
    if open_count > 1 and ordered and exceeded in (None, AcceptResult.QUEUE_FULL):
        is_merged = join_waiting(connection, incoming, conversation_id, person_key)
        exceeded = None if is_merged else exceeded
    if exceeded is not None:
        _delete_if_empty(connection, conversation_id)
        columns["conversation_id"] = None
    if exceeded is AcceptResult.DROPPED:
        return exceeded
    if is_merged or (is_stop and not exceeded and _has_equal_turn(connection, incoming, conversation_id, person_key)):
        columns["incoming_json"] = erase_content(columns["incoming_json"])
        connection.execute(INSERT_MERGED_TURN, columns)
        return AcceptResult.MERGED
    opens_batch = ordered and not exceeded and incoming.batch is not None
    is_marked = (
        ordered
        and not (exceeded or is_companion)
        and _can_be_marked(incoming)
        and open_count > 0
        and _count_waiting(connection, conversation_id, person_key) < MAX_MARKED_QUESTIONS
    )
    if is_marked:
        columns["incoming_json"] = encode_incoming(as_stored(incoming, was_first_waiting=True))
    columns |= {
        "seq": seq if ordered and not exceeded else None,
        "refusal": Refusal(exceeded) if exceeded else None,
        "batch_window": timings.batch_window if opens_batch else 0.0,
    }
    if connection.scalar(_insert_queued_turn(insert_factory(connection)), columns) is None:
        return AcceptResult.DUPLICATE
    return exceeded or (AcceptResult.WAITING if is_marked else AcceptResult.NEW)


def accept_edit(
    connection: Connection, incoming: Incoming, *, conversation_key: str, person_key: str, limits: InboundLimits
) -> AcceptResult:
    """Give a question its new text. One that is being answered starts again; the last answered one is asked again.

    The latter is a turn of its own, with `EventKind.EDIT` and without files.
    """
    event_key = f"{incoming.place.account_key}:{incoming.key}"
    if connection.scalar(select(conversations.c.id).where(conversations.c.key == conversation_key)) is None:
        return AcceptResult.IGNORED
    conversation_id, _ = _advance_conversation(connection, conversation_key, 0)  # locks it
    if _is_stored(connection, event_key):
        return AcceptResult.DUPLICATE
    question = _find_edited(connection, incoming, conversation_id, person_key)
    refusal = _check_edit(connection, question, conversation_id, person_key, limits)
    columns: dict[str, Any] = {
        "conversation_id": conversation_id,
        "chat_key": chat_key(incoming.place),
        "event_key": event_key,
        "person_key": person_key,
        "is_exempt": False,
    }
    if refusal is not None:
        return _refuse_edit(connection, incoming, refusal, columns)
    if question is not None and question.is_open:
        if restart_turn(connection, question.id, question.incoming):
            columns["incoming_json"] = erase_content(encode_incoming(incoming))
            connection.execute(INSERT_MERGED_TURN, columns)
            return AcceptResult.MERGED
        question = _find_edited(connection, incoming, conversation_id, person_key)  # its answer was stored meanwhile
    if question is None or question.is_open:
        return AcceptResult.IGNORED
    _, seq = _advance_conversation(connection, conversation_key, 1)
    columns |= {"seq": seq, "refusal": None, "batch_window": 0.0, "incoming_json": encode_incoming(question.incoming)}
    connection.execute(_insert_queued_turn(insert_factory(connection)), columns)
    return AcceptResult.NEW


def may_change_question(
    connection: Connection, incoming: Incoming, *, conversation_key: str, person_key: str, timings: Timings = Timings()
) -> bool:
    """Whether an edit or a forwarded message may change a question. Only reads, and delays nobody's writes."""
    conversation_id = connection.scalar(select(conversations.c.id).where(conversations.c.key == conversation_key))
    if conversation_id is None:
        return False
    if incoming.kind is EventKind.EDIT:
        return _find_edited(connection, incoming, conversation_id, person_key) is not None
    return find_batch(connection, incoming, conversation_id, person_key, timings) is not None


def _check_edit(
    connection: Connection,
    question: "_EditedQuestion | None",
    conversation_id: int,
    person_key: str,
    limits: InboundLimits,
) -> AcceptResult | None:
    """The refusal for an edit, None if it is within the limits or changes no question."""
    if question is None:
        return None
    refusal, _ = _check_limits(connection, conversation_id, person_key, limits, ordered=True, is_exempt=False)
    # A question that waits already makes the queue no longer.
    return None if refusal is AcceptResult.QUEUE_FULL and question.is_open else refusal


def _refuse_edit(
    connection: Connection, incoming: Incoming, refusal: AcceptResult, columns: dict[str, Any]
) -> AcceptResult:
    if refusal is not AcceptResult.DROPPED:
        columns |= {"conversation_id": None, "seq": None, "refusal": Refusal(refusal), "batch_window": 0.0}
        columns["incoming_json"] = encode_incoming(incoming)
        connection.execute(_insert_queued_turn(insert_factory(connection)), columns)
    return refusal


INSERT_MERGED_TURN = plain_insert(turns).values(
    state=TurnState.MERGED, created_at=database_now(), finished_at=database_now()
)


@cache
def _insert_queued_turn(insert: InsertFactory) -> Any:
    """Returns the ID of the new turn, or nothing if the event is stored. With `batch_window`, it waits for more."""
    batch_window = bindparam("batch_window", type_=Float)
    statement = insert(turns).values(
        state=TurnState.QUEUED,
        created_at=database_now(),
        not_before=case((batch_window > 0, database_now() + batch_window), else_=0.0),
    )
    return statement.on_conflict_do_nothing(index_elements=["event_key"]).returning(turns.c.id)


@dataclass(frozen=True, slots=True)
class _EditedQuestion:
    id: int
    incoming: Incoming
    """The event with the new text."""
    is_open: bool = False
    """Whether it has no answer yet."""


def _find_edited(
    connection: Connection, incoming: Incoming, conversation_id: int, person_key: str
) -> _EditedQuestion | None:
    """The question that contains the edited message, if it has no answer yet and another text, or is the last."""
    if not incoming.text or incoming.command not in ("", "ask", "new"):
        return None
    is_question = (turns.c.conversation_id == conversation_id, turns.c.seq.is_not(None))
    asked = find_question(connection, incoming, *is_question)
    if asked is None or asked.person_key != person_key:
        return None
    stored = asked.incoming
    if asked.is_open:
        texts = dict(split_batch(stored))
        changed = {**texts, incoming.message_id or "": incoming.text}
        new = with_texts(stored, list(changed.items()))
        return _EditedQuestion(asked.id, new, is_open=True) if changed != texts else None
    again = None if asked.is_followed else _ask_again(connection, asked, incoming)
    return _EditedQuestion(asked.id, again) if again else None


def _ask_again(connection: Connection, asked: AskedQuestion, incoming: Incoming) -> Incoming | None:
    """The edited event, with the other messages of the question; None if their texts were deleted."""
    again = replace(incoming, attachments=(), batch=None)
    pieces = asked.incoming.pieces
    if len(pieces) <= 1:
        return again
    question = get_question(connection, asked.id)
    if question is None:
        return None
    batch = as_stored(again, pieces=pieces)
    texts = dict(split_batch(replace(batch, text=question.text[-text_length(pieces) :])))
    return with_texts(batch, list({**texts, incoming.message_id or "": incoming.text}.items()))


def _advance_conversation(connection: Connection, key: str, turn_count: int) -> tuple[int, int]:
    """Create or lock the conversation. Returns its ID, and the last `seq` after `turn_count` new turns."""
    statement = _advance_statement(insert_factory(connection))
    row = connection.execute(statement, {"key": key, "last_seq": turn_count}).one()
    return row.id, row.last_seq


@cache
def _advance_statement(insert: InsertFactory) -> Any:
    statement = sum_statement(insert, conversations, ("key",), ("last_seq",))
    return statement.returning(conversations.c.id, conversations.c.last_seq)


SELECT_BY_EVENT_KEY = select(turns.c.id).where(turns.c.event_key == bindparam("event_key"))


def is_queued(connection: Connection, event_key: str) -> bool:
    """Whether the turn of this event, as PLATFORM:ACCOUNT:KEY, has not been claimed yet."""
    query = select(turns.c.state).where(turns.c.event_key == event_key)
    return connection.scalar(query) == TurnState.QUEUED


def _is_stored(connection: Connection, event_key: str) -> bool:
    return connection.scalar(SELECT_BY_EVENT_KEY, {"event_key": event_key}) is not None


def _can_be_marked(incoming: Incoming) -> bool:
    """Whether the person asks in a message of their own. An interaction shows by itself that the bot is at work."""
    is_message = incoming.kind in (EventKind.PROMPT, EventKind.COMMAND) and incoming.message_id is not None
    return is_message and incoming.interaction_token is None


IS_OPEN_QUESTION = (turns.c.conversation_id == bindparam("conversation_id"), turns.c.seq.is_not(None), IS_OPEN)
FIRST_OPEN_SEQ = select(func.min(turns.c.seq)).where(*IS_OPEN_QUESTION).scalar_subquery()
COUNT_WAITING_TURNS = (
    select(func.count())
    .select_from(turns)
    .where(*IS_OPEN_QUESTION, turns.c.person_key == bindparam("person_key"), turns.c.seq > FIRST_OPEN_SEQ)
)


def _count_waiting(connection: Connection, conversation_id: int, person_key: str) -> int:
    """How many questions of this person wait for the answer to another one."""
    person = {"conversation_id": conversation_id, "person_key": person_key}
    return connection.scalar(COUNT_WAITING_TURNS, person) or 0


def accept_forward(
    connection: Connection,
    incoming: Incoming,
    *,
    conversation_key: str,
    person_key: str,
    timings: Timings = Timings(),
    max_batch_chars: int = MAX_BATCH_CHARS,
) -> AcceptResult:
    """Merge a forwarded message into the question that was sent with it, and just before it."""
    event_key = f"{incoming.place.account_key}:{incoming.key}"
    if connection.scalar(select(conversations.c.id).where(conversations.c.key == conversation_key)) is None:
        return AcceptResult.IGNORED
    conversation_id, _ = _advance_conversation(connection, conversation_key, 0)  # locks it
    if _is_stored(connection, event_key):
        return AcceptResult.DUPLICATE
    if not merge_into_batch(connection, incoming, conversation_id, person_key, timings, max_batch_chars):
        return AcceptResult.IGNORED
    columns = {
        "conversation_id": conversation_id,
        "chat_key": chat_key(incoming.place),
        "event_key": event_key,
        "person_key": person_key,
        "is_exempt": False,
        "incoming_json": erase_content(encode_incoming(incoming)),
    }
    connection.execute(INSERT_MERGED_TURN, columns)
    return AcceptResult.MERGED


def _delete_if_empty(connection: Connection, conversation_id: int) -> None:
    """Delete a conversation in which nothing is: it was just created."""
    connection.execute(delete(conversations).where(conversations.c.id == conversation_id, IS_EMPTY))


def _has_equal_turn(connection: Connection, incoming: Incoming, conversation_id: int, person_key: str) -> bool:
    """Whether an open turn does the same for this person, and nobody has asked a question since."""
    in_conversation = turns.c.conversation_id == conversation_id
    last_question = select(func.max(turns.c.id)).where(in_conversation, turns.c.seq.is_not(None)).scalar_subquery()
    theirs = select(turns.c.incoming_json).where(
        in_conversation,
        turns.c.person_key == person_key,
        turns.c.seq.is_(None),
        IS_OPEN,
        turns.c.id > func.coalesce(last_question, 0),
    )
    stored = map(decode_incoming, connection.scalars(theirs.limit(MAX_COMPARED_TURNS)))
    key = (incoming.kind, incoming.command, incoming.text)
    return any(other is not None and (other.kind, other.command, other.text) == key for other in stored)


def seconds_until_accepted(connection: Connection, person_key: str, limits: InboundLimits, *, is_exempt: bool) -> float:
    """How long a person must wait until the limit per minute allows one more event; 0: not at all."""
    created_at = turns.c.created_at
    counted = select((created_at + LIMIT_SECONDS - database_now()).label("seconds"))
    counted = counted.where(*_counts_in_last_minute(person_key, is_exempt=is_exempt)).order_by(created_at.desc())
    seconds: float | None = connection.scalar(counted.offset(max(0, limits.max_per_minute - 1)).limit(1))
    return max(0.0, seconds or 0.0)


def _counts_in_last_minute(
    person_key: ColumnElement[str] | str, *, is_exempt: ColumnElement[bool] | bool
) -> tuple[ColumnElement[bool], ...]:
    # Turns from the future were created before the clock was set back.
    is_recent = turns.c.created_at.between(database_now() - LIMIT_SECONDS, database_now())
    is_accepted = turns.c.refusal.is_distinct_from(Refusal.RATE_LIMITED)
    return turns.c.person_key == person_key, is_recent, is_accepted, turns.c.is_exempt == is_exempt


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(turns).where(*conditions).scalar_subquery()


IS_THEIRS = turns.c.person_key == bindparam("person_key")
COUNT_OPEN_TURNS = select(
    _count(*_counts_in_last_minute(bindparam("person_key"), is_exempt=bindparam("is_exempt"))).label("in_last_minute"),
    _count(IS_THEIRS, IS_OPEN).label("open_turns"),
    _count(*IS_OPEN_QUESTION).label("queued"),
)
WAS_NOTIFIED = turns.c.created_at.between(database_now() - NOTICE_SECONDS, database_now())
COUNT_NOTICES = select(_count(IS_THEIRS, WAS_NOTIFIED, turns.c.refusal == Refusal.RATE_LIMITED))


def _check_limits(
    connection: Connection,
    conversation_id: int,
    person_key: str,
    limits: InboundLimits,
    *,
    ordered: bool,
    is_exempt: bool,
) -> tuple[AcceptResult | None, int]:
    """The refusal for one more turn, None if it is within the limits; and how many questions are open here."""
    person = {"person_key": person_key}
    count = connection.execute(
        COUNT_OPEN_TURNS, {**person, "is_exempt": is_exempt, "conversation_id": conversation_id}
    ).one()
    if limits.max_per_minute and count.in_last_minute >= limits.max_per_minute:
        was_notified = connection.scalar(COUNT_NOTICES, person)
        return AcceptResult.DROPPED if was_notified else AcceptResult.RATE_LIMITED, count.queued
    is_queue_full = ordered and limits.max_queued and count.queued > limits.max_queued
    if is_queue_full or (limits.max_open and count.open_turns >= limits.max_open):
        return AcceptResult.QUEUE_FULL, count.queued
    return None, count.queued
