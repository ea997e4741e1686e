"""What arrives, kept: each event once, as a turn of its own or as the rest of one that waits.

`accept` is one transaction's body; it judges what one person may have waiting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, TextClause, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.port import EventKind, Incoming
from core.store.incoming_codec import MessagePiece, StoredIncoming, decode_incoming, encode_incoming
from core.store.schema import IS_OPEN, conversations, database_now, turns
from core.store.turns import TurnState

__all__ = ["AcceptResult", "InboundLimits", "accept_event"]

BATCH_WINDOW_SECONDS = 1.2  # seconds in which the next message of a batch comes
MAX_BATCH_SECONDS = 15.0  # seconds
MAX_BATCH_ATTACHMENTS = 20
MAX_BATCH_CHARS = 200_000  # characters of a batch


class AcceptResult(StrEnum):
    NEW = "new"
    MERGED = "joined"
    """It is the rest of a question that waited for it."""
    DUPLICATE = "known"
    """The event was kept before: a redelivery."""
    QUEUE_FULL = "full"
    """Too many wait in this conversation, or of this person; kept, to be refused."""
    RATE_LIMITED = "fast"
    """Too many of this person in a minute; kept, to be refused."""
    DROPPED = "ignored"
    """As FAST, and the person was told in this minute; not kept."""


@dataclass(frozen=True, slots=True)
class InboundLimits:
    """What one person may have open or send; 0: as much as they like."""

    max_queued: int = 0
    """Questions that wait in one conversation."""
    max_open: int = 0
    """Turns that are not finished, in all conversations."""
    max_per_minute: int = 0


def accept_event(
    connection: Connection,
    incoming: Incoming,
    *,
    conversation_key: str,
    person: str,
    ordered: bool,
    limits: InboundLimits,
) -> AcceptResult:
    """Keep `incoming` and open its turn in the conversation named `key`, or join it to the turn
    that waits for the rest of its batch.
    """
    event_key = f"{incoming.place.platform}:{incoming.place.account}:{incoming.key}"
    if _is_stored(connection, event_key):
        return AcceptResult.DUPLICATE
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    conversation, seq = connection.execute(
        upsert(conversations)
        .values(key=conversation_key, seq=int(ordered))
        .on_conflict_do_update(index_elements=["key"], set_={"seq": conversations.c.seq + int(ordered)})
        .returning(conversations.c.id, conversations.c.seq)
    ).one()
    if _is_stored(connection, event_key):  # by who had the conversation's row until now
        return AcceptResult.DUPLICATE
    columns = {
        "conversation": conversation,
        "key": event_key,
        "incoming": encode_incoming(incoming),
        "person": person,
        "created": database_now(),
    }
    if ordered and _merge_into_batch(connection, incoming, conversation, person):
        columns |= {
            "state": TurnState.DONE,
            "finished": database_now(),
            "note": AcceptResult.MERGED,
        }
        connection.execute(insert(turns).values(**columns))
        return AcceptResult.MERGED
    refusal = _exceeded_limit(connection, conversation, person, limits, ordered=ordered)
    if refusal is AcceptResult.DROPPED:
        return refusal
    awaits_batch = ordered and not refusal and incoming.batch is not None
    turn_id = connection.scalar(
        upsert(turns)
        .values(
            **columns,
            seq=seq if ordered and not refusal else None,
            state=TurnState.QUEUED,
            note=refusal.value if refusal else None,
            lease_until=database_now() + BATCH_WINDOW_SECONDS if awaits_batch else 0.0,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(turns.c.id)
    )
    if turn_id is None:
        return AcceptResult.DUPLICATE
    return refusal or AcceptResult.NEW


def _is_stored(connection: Connection, event_key: str) -> bool:
    return connection.scalar(select(turns.c.id).where(turns.c.key == event_key)) is not None


def _merge_into_batch(connection: Connection, incoming: Incoming, conversation: int, person: str) -> bool:
    """Whether `incoming` has become part of a question that waits for it, and waits on."""
    is_open_batch = (
        turns.c.conversation == conversation,
        turns.c.person == person,
        turns.c.seq.is_not(None),
        turns.c.state == TurnState.QUEUED,
        turns.c.lease_until > database_now(),
    )
    row = connection.execute(
        select(turns.c.id, turns.c.incoming)
        .where(*is_open_batch, IS_OPEN, turns.c.created > database_now() - MAX_BATCH_SECONDS)
        .order_by(turns.c.id.desc())
        .limit(1)
    ).first()
    if row is None or incoming.kind is not EventKind.PROMPT:
        return False
    first = decode_incoming(row.incoming)
    batch_id = incoming.batch.id if incoming.batch else None
    if first is None or first.batch is None or first.batch.id != batch_id:
        return False
    merged = _merge(first, incoming)
    if len(merged.attachments) > MAX_BATCH_ATTACHMENTS or len(merged.text) > MAX_BATCH_CHARS:
        return False
    result = connection.execute(
        update(turns)
        .where(turns.c.id == row.id, *is_open_batch)
        .values(incoming=encode_incoming(merged), lease_until=database_now() + BATCH_WINDOW_SECONDS)
    )
    return result.rowcount == 1


def _merge(first: StoredIncoming, incoming: Incoming) -> StoredIncoming:
    """One question, in the order in which it was written: deliveries may overtake each other."""
    # A later message has a larger number on every platform.
    texts = [*_split_batch(first), (incoming.message_id or "", incoming.text)]
    texts = sorted((piece for piece in texts if piece[1]), key=lambda piece: (len(piece[0]), piece[0]))
    return replace(
        first,
        text="\n".join(text for _, text in texts),
        pieces=tuple(MessagePiece(message_id, len(text)) for message_id, text in texts),
        attachments=first.attachments + incoming.attachments,
    )


def _split_batch(batch: StoredIncoming) -> Iterator[tuple[str, str]]:
    """The message IDs and texts that `batch` consists of."""
    offset = 0
    for message_id, length in batch.pieces or (MessagePiece(batch.message_id or "", len(batch.text)),):
        yield message_id, batch.text[offset : offset + length]
        offset += length + 1


def _exceeded_limit(
    connection: Connection, conversation: int, person: str, limits: InboundLimits, *, ordered: bool
) -> AcceptResult | None:
    """The bound that one more turn would break."""

    def count(*conditions: ColumnElement[bool] | TextClause) -> int:
        counted = select(func.count()).select_from(turns).where(*conditions)
        return connection.scalar(counted) or 0

    is_theirs = turns.c.person == person
    if limits.max_per_minute:
        last_minute = (is_theirs, turns.c.created > database_now() - 60)
        if count(*last_minute) >= limits.max_per_minute:
            was_notified = count(*last_minute, turns.c.note == AcceptResult.RATE_LIMITED)
            return AcceptResult.DROPPED if was_notified else AcceptResult.RATE_LIMITED
    if limits.max_open and count(is_theirs, IS_OPEN) >= limits.max_open:
        return AcceptResult.QUEUE_FULL
    if ordered and limits.max_queued:
        queued_here = (turns.c.conversation == conversation, turns.c.seq.is_not(None), IS_OPEN)
        if count(*queued_here) > limits.max_queued:
            return AcceptResult.QUEUE_FULL
    return None
