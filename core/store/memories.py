"""What a conversation is to remember: notes, files and messages, in pieces with vectors.

Everything belongs to a scope, the key of a conversation; no function reaches beyond the one it is
given. Searching compares with all of a scope's vectors, of which there are some thousand at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)

from core.store.conversations import Choice, all_choices, choose
from core.store.schema import clock, conversations, documents, memories, messages

__all__ = [
    "MOST_ENTRIES",
    "MOST_MESSAGES",
    "MOST_PIECES",
    "Entry",
    "Found",
    "Held",
    "Item",
    "Recall",
    "Summary",
    "add",
    "clear",
    "entries",
    "forget",
    "hold_messages",
    "key_of",
    "opening",
    "room",
    "same",
    "search",
    "summary",
    "switch",
    "unheld",
]

NOTE = "note"
MOST_ENTRIES = 200  # notes and files of one scope
MOST_PIECES = 6_000
MOST_MESSAGES = 3_000
RECENT = 20  # messages that a model is shown anyway
RECALL = "recall"
SINCE = "recall since"

Vectors = NDArray[np.float32]


class Held(StrEnum):
    NOTE = "note"
    MESSAGE = "message"
    PIECE = "piece"


class Recall(StrEnum):
    """What is recalled of itself: notes and files; past messages too; nothing."""

    GIVEN = "given"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Entry:
    """A note or a file. `number` is its name within the scope."""

    id: int
    number: int
    kind: str
    name: str
    pieces: int
    created: float

    @property
    def note(self) -> bool:
        return self.kind == NOTE


@dataclass(frozen=True, slots=True)
class Item:
    """A piece to be kept."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """`score` is the cosine of the angle to what was searched for."""

    id: int
    kind: Held
    name: str
    label: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Summary:
    recall: Recall
    notes: int
    files: int
    pieces: int
    messages: int


def key_of(connection: Connection, conversation: int) -> str:
    """The scope of a conversation."""
    found = select(conversations.c.key).where(conversations.c.id == conversation)
    return str(connection.execute(found).scalar_one())


def summary(connection: Connection, scope: str) -> Summary:
    note = documents.c.kind == NOTE
    notes, files, pieces = connection.execute(
        select(
            func.count().filter(note),
            func.count().filter(~note),
            func.coalesce(func.sum(documents.c.pieces), 0),
        ).where(documents.c.scope == scope)
    ).one()
    kept = connection.scalar(
        select(func.count())
        .select_from(memories)
        .where(memories.c.scope == scope, memories.c.kind == Held.MESSAGE)
    )
    return Summary(_chosen(connection, scope)[0], notes, files, int(pieces), kept or 0)


def entries(connection: Connection, scope: str) -> list[Entry]:
    """By number."""
    rows = connection.execute(
        select(documents).where(documents.c.scope == scope).order_by(documents.c.number)
    )
    return [_entry(row) for row in rows]


def same(connection: Connection, scope: str, digest: str) -> Entry | None:
    """What has this digest already."""
    row = connection.execute(
        select(documents).where(documents.c.scope == scope, documents.c.digest == digest).limit(1)
    ).first()
    return _entry(row) if row else None


def add(
    connection: Connection,
    scope: str,
    *,
    kind: str,
    name: str,
    digest: str,
    model: str,
    items: Sequence[Item],
    vectors: Vectors,
) -> Entry | None:
    """Keep a note or a file; None when the scope is full. Known already: as it is."""
    _alone(connection, scope)
    if (known := same(connection, scope, digest)) is not None:
        return known
    if not room(connection, scope, len(items)):
        return None
    highest = select(func.max(documents.c.number)).where(documents.c.scope == scope)
    row = connection.execute(
        insert(documents)
        .values(
            scope=scope, number=(connection.scalar(highest) or 0) + 1, kind=kind, name=name[:200],
            digest=digest, pieces=len(items), created=clock(),
        )
        .returning(documents)
    ).one()  # fmt: skip
    held = Held.NOTE if kind == NOTE else Held.PIECE
    now = row.created
    connection.execute(
        insert(memories),
        [
            {
                "scope": scope, "kind": held, "document": row.id, "position": position,
                "label": item.label[:200], "text": item.text, "model": model,
                "vector": vector.tobytes(), "created": now,
            }
            for position, (item, vector) in enumerate(zip(items, vectors, strict=True))
        ],
    )  # fmt: skip
    return _entry(row)


def room(connection: Connection, scope: str, pieces: int) -> bool:
    """Whether the scope takes one more entry of so many pieces."""
    now = summary(connection, scope)
    return now.notes + now.files < MOST_ENTRIES and now.pieces + pieces <= MOST_PIECES


def forget(connection: Connection, scope: str, number: int) -> Entry | None:
    """Remove one entry with all its pieces."""
    row = connection.execute(
        select(documents).where(documents.c.scope == scope, documents.c.number == number)
    ).first()
    if row is None:
        return None
    connection.execute(delete(memories).where(memories.c.document == row.id))
    connection.execute(delete(documents).where(documents.c.id == row.id))
    return _entry(row)


def clear(connection: Connection, scope: str) -> None:
    """Remove everything; messages written so far are not recalled again either."""
    connection.execute(delete(memories).where(memories.c.scope == scope))
    connection.execute(delete(documents).where(documents.c.scope == scope))
    last = connection.scalar(
        select(func.max(messages.c.id))
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(conversations.c.key == scope)
    )
    choose(connection, _choice(scope), SINCE, Choice(str(last or 0), ""))


def switch(connection: Connection, scope: str, recall: Recall) -> None:
    """Off and given: the messages' vectors go."""
    choose(connection, _choice(scope), RECALL, Choice(recall.value, ""))
    if recall is not Recall.ON:
        connection.execute(
            delete(memories).where(memories.c.scope == scope, memories.c.kind == Held.MESSAGE)
        )


def unheld(connection: Connection, scope: str, most: int) -> list[tuple[int, str]]:
    """(id, text) of a person's messages that may be recalled and have no vector, oldest first;
    none unless recall is on.
    """
    recall, since = _chosen(connection, scope)
    if recall is not Recall.ON:
        return []
    last = connection.scalar(
        select(func.max(memories.c.position)).where(
            memories.c.scope == scope, memories.c.kind == Held.MESSAGE
        )
    )
    rows = connection.execute(
        select(messages.c.id, messages.c.text)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            conversations.c.key == scope,
            messages.c.role == "user",
            messages.c.replaced.is_(False),
            messages.c.id > max(since, last or 0),
        )
        .order_by(messages.c.id)
        .limit(most)
    )
    return [(row.id, row.text) for row in rows]


def hold_messages(
    connection: Connection,
    scope: str,
    model: str,
    said: Sequence[tuple[int, str]],
    vectors: Vectors,
) -> None:
    """Keep the vectors of messages; the oldest beyond `MOST_MESSAGES` go."""
    rows = [
        {
            "scope": scope, "kind": Held.MESSAGE, "position": id_, "label": "", "text": words,
            "model": model, "vector": vector.tobytes(), "created": clock(),
        }
        for (id_, words), vector in zip(said, vectors, strict=True)
    ]  # fmt: skip
    for row in rows:
        connection.execute(insert(memories).values(**row))
    mine = (memories.c.scope == scope, memories.c.kind == Held.MESSAGE)
    oldest = (
        select(memories.c.position)
        .where(*mine)
        .order_by(memories.c.position.desc())
        .offset(MOST_MESSAGES)
        .limit(1)
    )
    if (beyond := connection.scalar(oldest)) is not None:
        connection.execute(delete(memories).where(*mine, memories.c.position <= beyond))


def search(
    connection: Connection,
    scope: str,
    query: Vectors,
    model: str,
    *,
    most: int,
    within: Sequence[int] = (),
) -> list[Found]:
    """The nearest notes, messages and pieces, `most` of each kind at most, nearest first;
    with `within` pieces of these documents only.
    """
    condition = _searched(connection, scope, model, within)
    rows = connection.execute(
        select(memories.c.id, memories.c.kind, memories.c.vector).where(condition)
    ).all()
    size = query.nbytes
    rows = [row for row in rows if len(row.vector) == size]
    if not rows:
        return []
    matrix = np.frombuffer(b"".join(row.vector for row in rows), np.float32)
    scores = matrix.reshape(len(rows), -1) @ query
    best: dict[int, float] = {}
    taken: dict[str, int] = {}
    for at in np.argsort(-scores, kind="stable"):
        row = rows[at]
        if taken.get(row.kind, 0) < most:
            taken[row.kind] = taken.get(row.kind, 0) + 1
            best[row.id] = float(scores[at])
    found = connection.execute(_whole().where(memories.c.id.in_(best)))
    return sorted(
        (_found(row, best[row.id]) for row in found), key=lambda one: (-one.score, one.id)
    )


def _searched(
    connection: Connection, scope: str, model: str, within: Sequence[int]
) -> ColumnElement[bool]:
    mine = and_(memories.c.scope == scope, memories.c.model == model)
    if within:
        return and_(mine, memories.c.document.in_(within))
    recall, _ = _chosen(connection, scope)
    if recall is not Recall.ON:
        return and_(mine, memories.c.kind != Held.MESSAGE)
    recent = (
        select(messages.c.id)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(conversations.c.key == scope, messages.c.id > conversations.c.since)
        .order_by(messages.c.id.desc())
        .limit(RECENT)
        .subquery()
    )
    first = connection.scalar(select(func.min(recent.c.id)))
    if first is None:
        return mine
    return and_(mine, or_(memories.c.kind != Held.MESSAGE, memories.c.position < first))


def opening(connection: Connection, scope: str, document: int, most: int) -> list[Found]:
    """The first pieces of a document, in order."""
    rows = connection.execute(
        _whole()
        .where(memories.c.scope == scope, memories.c.document == document)
        .order_by(memories.c.position)
        .limit(most)
    )
    return [_found(row, 1.0) for row in rows]


def _whole() -> Select[Any]:
    return select(
        memories.c.id, memories.c.kind, memories.c.label, memories.c.text, documents.c.name
    ).outerjoin(documents, documents.c.id == memories.c.document)


def _found(row: Row[Any], score: float) -> Found:
    return Found(row.id, Held(row.kind), row.name or "", row.label, row.text, score)


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.id, row.number, row.kind, row.name, row.pieces, row.created)


def _choice(scope: str) -> str:
    return f"memory:{scope}"


def _chosen(connection: Connection, scope: str) -> tuple[Recall, int]:
    """What is recalled, and the last message that never is."""
    key = _choice(scope)
    made = all_choices(connection, [key])
    recall = made.get((key, RECALL), Choice(Recall.GIVEN, "")).value
    since = made.get((key, SINCE), Choice("0", "")).value
    return Recall(recall), int(since)


def _alone(connection: Connection, scope: str) -> None:
    """Two at once would take the same number, or more than the bounds."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:scope, 0))")
        connection.execute(lock, {"scope": _choice(scope)})
