r"""Makes one question of several messages.

A client may split a long text or an album into several messages. The first event opens a turn that waits a moment,
and the following ones are merged into it:

    "begins"   -> turn 1, text "begins", may be claimed 1.2 s later
    "goes on"  -> merged: text "begins\ngoes on", may be claimed 1.2 s after this event
    "ends"     -> merged: one question with three parts

Short questions that a person sends one after another while an answer is being written are joined in the same way:

    "why?"        -> turn 1, being answered
    "and when?"   -> turn 2, waits for turn 1
    "and where?"  -> joined: "and when?\nand where?" gets one answer
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Float, Select, bindparam, select

from core.port import EventKind, Incoming, QuoteKind
from core.store.incoming_codec import MessagePiece, StoredIncoming, decode_incoming
from core.store.schema import IS_OPEN, database_now, turns
from core.store.turns import TurnState, restart_turn
from core.timings import Timings

MAX_BATCH_ATTACHMENTS = 20
MAX_BATCH_QUOTES = 20
MAX_BATCH_CHARS = 200_000
MAX_JOINED_CHARS = 200
"""The longest question that is answered together with others."""
MAX_JOINED_QUESTIONS = 10
MAX_JOINED_AGE = 60.0
"""Seconds since the first of them was stored: the age of the joined question is that of the first."""


def merge_into_batch(
    connection: Connection, incoming: Incoming, conversation_id: int, person_key: str, timings: Timings, max_chars: int
) -> bool:
    """Merge `incoming` into a question that waits for more, or that it was sent with. False if there is none.

    Clients send the comment on a forwarded message as a message of its own, some of them first. A question that is
    being answered starts again with what came with it.
    """
    if incoming.kind not in (EventKind.PROMPT, EventKind.FORWARD):
        return False
    first = find_batch(connection, incoming, conversation_id, person_key, timings)
    if first is None:
        return False
    merged = _merge(first.incoming, incoming)
    if len(merged.attachments) > MAX_BATCH_ATTACHMENTS or len(merged.quotes) > MAX_BATCH_QUOTES:
        return False
    if len(merged.text) > max_chars:
        return False
    if first.incoming.compared_model:
        _merge_into_companions(connection, first.id, incoming, timings)
    return restart_turn(connection, first.id, merged, wait_seconds=timings.batch_window)


def _merge_into_companions(connection: Connection, turn_id: int, incoming: Incoming, timings: Timings) -> None:
    """Merge `incoming` into the question for the other model of a comparison."""
    for row in connection.execute(SELECT_COMPANIONS, {"turn_id": turn_id}).all():
        if (companion := decode_incoming(row.incoming_json)) is not None:
            restart_turn(connection, row.id, _merge(companion, incoming), wait_seconds=timings.batch_window)


def join_waiting(connection: Connection, incoming: Incoming, conversation_id: int, person_key: str) -> bool:
    """Join a short question with the last one of the conversation, if that is the same person's and waits as well.

    At least two questions of the conversation must be open, of which the first is being answered. A command or press
    after the waiting question, such as /stop or /new, separates the two, even if it is finished.
    """
    if not _is_joinable(incoming):
        return False
    last = connection.execute(SELECT_LAST_TURN, {"conversation_id": conversation_id}).first()
    if last is None or last.seq is None or last.person_key != person_key or last.age > MAX_JOINED_AGE:
        return False
    stored = decode_incoming(last.incoming_json)
    if stored is None or len(stored.pieces) >= MAX_JOINED_QUESTIONS:
        return False
    if not all(_is_joinable(replace(stored, text=text)) for _, text in split_batch(stored)):
        return False
    return restart_turn(connection, last.id, _merge(stored, incoming), only_queued=True)


def _is_joinable(incoming: Incoming) -> bool:
    """Whether it is a short message of text, and nothing else."""
    is_plain = not (incoming.attachments or incoming.quotes or incoming.batch or incoming.interaction_token)
    is_message = incoming.kind is EventKind.PROMPT and incoming.message_id is not None
    is_short = len(incoming.text.strip()) > 0 and len(incoming.text) <= MAX_JOINED_CHARS
    return is_message and is_plain and is_short


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    id: int
    incoming: StoredIncoming


def find_batch(
    connection: Connection, incoming: Incoming, conversation_id: int, person_key: str, timings: Timings
) -> OpenQuestion | None:
    """The question that waits for more, or that `incoming` was sent with."""
    question = _find_waiting(connection, incoming, conversation_id, person_key, timings)
    return question or _find_comment(connection, incoming, conversation_id, person_key, timings)


def _find_waiting(
    connection: Connection, incoming: Incoming, conversation_id: int, person_key: str, timings: Timings
) -> OpenQuestion | None:
    """The question that waits for more of the batch to which `incoming` belongs."""
    question = _find_open_question(connection, conversation_id, person_key, timings.max_batch, SELECT_WAITING_QUESTION)
    if question is None or question.incoming.batch is None:
        return None
    batch_id = incoming.batch.id if incoming.batch else None
    return question if question.incoming.batch.id == batch_id else None


def _find_comment(
    connection: Connection, incoming: Incoming, conversation_id: int, person_key: str, timings: Timings
) -> OpenQuestion | None:
    """The question that was sent with the forwarded message `incoming`, and just before it."""
    is_forward = not incoming.text and any(quote.kind is QuoteKind.FORWARD for quote in incoming.quotes)
    if not is_forward:
        return None
    question = _find_open_question(connection, conversation_id, person_key, timings.batch_window, SELECT_OPEN_QUESTION)
    if question is None or question.incoming.kind is not EventKind.PROMPT or question.incoming.batch is not None:
        return None
    return replace(question, incoming=replace(question.incoming, batch=incoming.batch))


SELECT_OPEN_QUESTION = (
    select(turns.c.id, turns.c.incoming_json)
    .where(
        turns.c.conversation_id == bindparam("conversation_id"),
        turns.c.person_key == bindparam("person_key"),
        turns.c.seq.is_not(None),
        turns.c.state.in_((TurnState.QUEUED, TurnState.RUNNING)),
        turns.c.created_at > database_now() - bindparam("max_age", type_=Float),
        IS_OPEN,
    )
    .order_by(turns.c.id.desc())
    .limit(1)
)
THIS_TURN = turns.alias()
SELECT_COMPANIONS = (
    select(turns.c.id, turns.c.incoming_json)
    .join(THIS_TURN, (turns.c.conversation_id == THIS_TURN.c.conversation_id) & (turns.c.seq == THIS_TURN.c.seq))
    .where(THIS_TURN.c.id == bindparam("turn_id"), turns.c.id != THIS_TURN.c.id, IS_OPEN)
)
SELECT_LAST_TURN = (
    select(
        turns.c.id,
        turns.c.seq,
        turns.c.person_key,
        turns.c.incoming_json,
        (database_now() - turns.c.created_at).label("age"),
    )
    .where(turns.c.conversation_id == bindparam("conversation_id"), turns.c.state != TurnState.MERGED)
    .order_by(turns.c.id.desc())
    .limit(1)
)
SELECT_WAITING_QUESTION = SELECT_OPEN_QUESTION.where(turns.c.not_before > database_now())


def _find_open_question(
    connection: Connection, conversation_id: int, person_key: str, max_age: float, statement: Select[tuple[int, str]]
) -> OpenQuestion | None:
    """The person's last question, if it is at most `max_age` seconds old and has no answer yet."""
    parameters = {"conversation_id": conversation_id, "person_key": person_key, "max_age": max_age}
    row = connection.execute(statement, parameters).first()
    incoming = decode_incoming(row.incoming_json) if row else None
    return OpenQuestion(row.id, incoming) if row and incoming else None


def _merge(first: StoredIncoming, incoming: Incoming) -> StoredIncoming:
    """Merge two events into one. Messages are sorted by time of writing, because deliveries may arrive out of order."""
    texts = [*split_batch(first), (incoming.message_id or "", incoming.text)]
    # Without the white space that the stored question will not have, so that edits find each message in it.
    texts = [(message_id, text.strip()) for message_id, text in texts if text.strip()]
    texts.sort(key=lambda piece: message_order(piece[0]))
    return replace(
        with_texts(first, texts),
        attachments=first.attachments + incoming.attachments,
        quotes=tuple(sorted(first.quotes + incoming.quotes, key=lambda quote: message_order(quote.message_id))),
    )


def with_texts(batch: StoredIncoming, texts: Sequence[tuple[str, str]]) -> StoredIncoming:
    """`batch`, consisting of other message IDs and texts."""
    return replace(
        batch,
        text="\n".join(text for _, text in texts),
        pieces=tuple(MessagePiece(message_id, len(text)) for message_id, text in texts),
    )


def message_order(message_id: str | None) -> tuple[int, str]:
    """Message IDs grow on every platform."""
    return len(message_id or ""), message_id or ""


def split_batch(batch: StoredIncoming) -> Iterator[tuple[str, str]]:
    """The message IDs and texts that `batch` consists of."""
    offset = 0
    for message_id, length in batch.pieces or (MessagePiece(batch.message_id or "", len(batch.text)),):
        yield message_id, batch.text[offset : offset + length]
        offset += length + 1
