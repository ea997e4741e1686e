"""What arrives, kept: each event once, as a turn of its own or as the rest of one that waits.

`accept` is one transaction's body; it judges what one person may have waiting.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, TextClause, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.port import Incoming, Kind
from core.store.events import pack, unpack
from core.store.schema import OPEN, clock, conversations, turns
from core.store.turns import State

__all__ = ["Accepted", "Bounds", "accept"]

REST_IN = 1.2  # seconds in which the next message of a batch comes
LONGEST_BATCH = 15.0  # seconds
MOST_ATTACHED = 20
LONGEST_TEXT = 200_000  # characters of a batch


class Accepted(StrEnum):
    NEW = "new"
    JOINED = "joined"
    """It is the rest of a question that waited for it."""
    KNOWN = "known"
    """The event was kept before: a redelivery."""
    FULL = "full"
    """Too many wait in this conversation, or of this person; kept, to be refused."""
    FAST = "fast"
    """Too many of this person in a minute; kept, to be refused."""
    IGNORED = "ignored"
    """As FAST, and the person was told in this minute; not kept."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one person may have open or send; 0: as much as they like."""

    waiting: int = 0
    """Questions that wait in one conversation."""
    open: int = 0
    """Turns that are not finished, in all conversations."""
    a_minute: int = 0


def accept(
    connection: Connection,
    incoming: Incoming,
    *,
    key: str,
    person: str,
    ordered: bool,
    bounds: Bounds,
) -> Accepted:
    """Keep `incoming` and open its turn in the conversation named `key`, or join it to the turn
    that waits for the rest of its batch.
    """
    event = f"{incoming.place.platform}:{incoming.place.account}:{incoming.key}"
    if _known(connection, event):
        return Accepted.KNOWN
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    conversation, seq = connection.execute(
        upsert(conversations)
        .values(key=key, seq=int(ordered))
        .on_conflict_do_update(
            index_elements=["key"], set_={"seq": conversations.c.seq + int(ordered)}
        )
        .returning(conversations.c.id, conversations.c.seq)
    ).one()
    if _known(connection, event):  # by who had the conversation's row until now
        return Accepted.KNOWN
    kept = {
        "conversation": conversation,
        "key": event,
        "incoming": pack(incoming),
        "person": person,
        "created": clock(),
    }
    if ordered and _joined(connection, incoming, conversation, person):
        kept |= {"state": State.DONE, "finished": clock(), "note": Accepted.JOINED}
        connection.execute(insert(turns).values(**kept))
        return Accepted.JOINED
    refused = _beyond(connection, conversation, person, bounds, ordered=ordered)
    if refused is Accepted.IGNORED:
        return refused
    waits = ordered and not refused and incoming.batch is not None
    turn = connection.scalar(
        upsert(turns)
        .values(
            **kept,
            seq=seq if ordered and not refused else None,
            state=State.QUEUED,
            note=refused.value if refused else None,
            lease_until=clock() + REST_IN if waits else 0.0,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(turns.c.id)
    )
    if turn is None:
        return Accepted.KNOWN
    return refused or Accepted.NEW


def _known(connection: Connection, event: str) -> bool:
    return connection.scalar(select(turns.c.id).where(turns.c.key == event)) is not None


def _joined(connection: Connection, incoming: Incoming, conversation: int, person: str) -> bool:
    """Whether `incoming` has become part of a question that waits for it, and waits on."""
    mine = (
        turns.c.conversation == conversation,
        turns.c.person == person,
        turns.c.seq.is_not(None),
        turns.c.state == State.QUEUED,
        turns.c.lease_until > clock(),
    )
    row = connection.execute(
        select(turns.c.id, turns.c.incoming)
        .where(*mine, OPEN, turns.c.created > clock() - LONGEST_BATCH)
        .order_by(turns.c.id.desc())
        .limit(1)
    ).first()
    if row is None or incoming.kind is not Kind.PROMPT:
        return False
    begun = unpack(row.incoming)
    if begun is None or begun.batch != (incoming.batch or ""):
        return False
    whole = _together(begun, incoming)
    if len(whole.attachments) > MOST_ATTACHED or len(whole.text) > LONGEST_TEXT:
        return False
    changed = connection.execute(
        update(turns)
        .where(turns.c.id == row.id, *mine)
        .values(incoming=pack(whole), lease_until=clock() + REST_IN)
    )
    return changed.rowcount == 1


def _together(begun: Incoming, incoming: Incoming) -> Incoming:
    """One question, in the order in which it was written: deliveries may overtake each other."""
    # A later message has a larger number on every platform.
    said = sorted(
        [*_pieces(begun), *_pieces(incoming)], key=lambda piece: (len(piece[0]), piece[0])
    )
    return replace(
        begun,
        text="\n".join(text for _, text in said),
        pieces=tuple((message, len(text)) for message, text in said),
        attachments=begun.attachments + incoming.attachments,
    )


def _pieces(incoming: Incoming) -> list[tuple[str, str]]:
    pieces, at = [], 0
    for message, size in incoming.pieces or ((incoming.message or "", len(incoming.text)),):
        pieces.append((message, incoming.text[at : at + size]))
        at += size + 1
    return [piece for piece in pieces if piece[1]]


def _beyond(
    connection: Connection, conversation: int, person: str, bounds: Bounds, *, ordered: bool
) -> Accepted | None:
    """The bound that one more turn would break."""

    def many(*conditions: ColumnElement[bool] | TextClause) -> int:
        counted = select(func.count()).select_from(turns).where(*conditions)
        return connection.scalar(counted) or 0

    mine = turns.c.person == person
    if bounds.a_minute:
        minute = (mine, turns.c.created > clock() - 60)
        if many(*minute) >= bounds.a_minute:
            told = many(*minute, turns.c.note == Accepted.FAST)
            return Accepted.IGNORED if told else Accepted.FAST
    if bounds.open and many(mine, OPEN) >= bounds.open:
        return Accepted.FULL
    if ordered and bounds.waiting:
        here = (turns.c.conversation == conversation, turns.c.seq.is_not(None), OPEN)
        if many(*here) > bounds.waiting:
            return Accepted.FULL
    return None
