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

from core.scopes import memory_scope_key
from core.store.conversations import Preference, list_preferences, set_preference
from core.store.schema import conversations, database_now, documents, memory_chunks, messages

__all__ = [
    "MAX_CHUNKS",
    "MAX_ENTRIES",
    "MAX_INDEXED_MESSAGES",
    "ChunkKind",
    "MemoryEntry",
    "MemoryStatistics",
    "NewChunk",
    "RecallMode",
    "ScoredChunk",
    "add_entry",
    "delete_all",
    "delete_entry",
    "find_by_digest",
    "first_chunks",
    "get_conversation_key",
    "get_statistics",
    "has_room",
    "index_messages",
    "list_entries",
    "list_unindexed_messages",
    "search",
    "set_recall_mode",
]

NOTE_KIND = "note"
MAX_ENTRIES = 200  # notes and files of one scope
MAX_CHUNKS = 6_000
MAX_INDEXED_MESSAGES = 3_000
RECENT_MESSAGES = 20  # messages that a model is shown anyway
RECALL_MODE_PREFERENCE = "recall"
RECALL_SINCE_PREFERENCE = "recall since"

Vectors = NDArray[np.float32]


class ChunkKind(StrEnum):
    NOTE = "note"
    MESSAGE = "message"
    FILE = "piece"


class RecallMode(StrEnum):
    """What is recalled of itself: notes and files; past messages too; nothing."""

    NOTES_AND_FILES = "given"
    WITH_MESSAGES = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """A note or a file. `number` is its name within the scope."""

    id: int
    number: int
    kind: str
    name: str
    chunk_count: int
    created: float

    @property
    def is_note(self) -> bool:
        return self.kind == NOTE_KIND


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A piece to be kept."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """`score` is the cosine of the angle to what was searched for."""

    id: int
    kind: ChunkKind
    name: str
    label: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    recall_mode: RecallMode
    note_count: int
    file_count: int
    chunk_count: int
    message_count: int


def get_conversation_key(connection: Connection, conversation: int) -> str:
    """The scope of a conversation."""
    query = select(conversations.c.key).where(conversations.c.id == conversation)
    return str(connection.execute(query).scalar_one())


def get_statistics(connection: Connection, conversation_key: str) -> MemoryStatistics:
    is_note = documents.c.kind == NOTE_KIND
    notes, files, pieces = connection.execute(
        select(
            func.count().filter(is_note),
            func.count().filter(~is_note),
            func.coalesce(func.sum(documents.c.pieces), 0),
        ).where(documents.c.scope == conversation_key)
    ).one()
    message_count = connection.scalar(
        select(func.count())
        .select_from(memory_chunks)
        .where(memory_chunks.c.scope == conversation_key, memory_chunks.c.kind == ChunkKind.MESSAGE)
    )
    return MemoryStatistics(
        _recall_preferences(connection, conversation_key)[0],
        notes,
        files,
        int(pieces),
        message_count or 0,
    )


def list_entries(connection: Connection, conversation_key: str) -> list[MemoryEntry]:
    """By number."""
    rows = connection.execute(
        select(documents).where(documents.c.scope == conversation_key).order_by(documents.c.number)
    )
    return [_entry(row) for row in rows]


def find_by_digest(connection: Connection, conversation_key: str, digest: str) -> MemoryEntry | None:
    """What has this digest already."""
    row = connection.execute(
        select(documents).where(documents.c.scope == conversation_key, documents.c.digest == digest).limit(1)
    ).first()
    return _entry(row) if row else None


def add_entry(
    connection: Connection,
    conversation_key: str,
    *,
    kind: str,
    name: str,
    digest: str,
    model: str,
    chunks: Sequence[NewChunk],
    vectors: Vectors,
) -> MemoryEntry | None:
    """Keep a note or a file; None when the scope is full. Known already: as it is."""
    _lock_scope(connection, conversation_key)
    if (existing := find_by_digest(connection, conversation_key, digest)) is not None:
        return existing
    if not has_room(connection, conversation_key, len(chunks)):
        return None
    highest = select(func.max(documents.c.number)).where(documents.c.scope == conversation_key)
    row = connection.execute(
        insert(documents)
        .values(
            scope=conversation_key,
            number=(connection.scalar(highest) or 0) + 1,
            kind=kind,
            name=name[:200],
            digest=digest,
            pieces=len(chunks),
            created=database_now(),
        )
        .returning(documents)
    ).one()
    chunk_kind = ChunkKind.NOTE if kind == NOTE_KIND else ChunkKind.FILE
    created = row.created
    connection.execute(
        insert(memory_chunks),
        [
            {
                "scope": conversation_key,
                "kind": chunk_kind,
                "document": row.id,
                "position": position,
                "label": item.label[:200],
                "text": item.text,
                "model": model,
                "vector": vector.tobytes(),
                "created": created,
            }
            for position, (item, vector) in enumerate(zip(chunks, vectors, strict=True))
        ],
    )
    return _entry(row)


def has_room(connection: Connection, conversation_key: str, chunk_count: int) -> bool:
    """Whether the scope takes one more entry of so many pieces."""
    statistics = get_statistics(connection, conversation_key)
    return (
        statistics.note_count + statistics.file_count < MAX_ENTRIES
        and statistics.chunk_count + chunk_count <= MAX_CHUNKS
    )


def delete_entry(connection: Connection, conversation_key: str, number: int) -> MemoryEntry | None:
    """Remove one entry with all its pieces."""
    row = connection.execute(
        select(documents).where(documents.c.scope == conversation_key, documents.c.number == number)
    ).first()
    if row is None:
        return None
    connection.execute(delete(memory_chunks).where(memory_chunks.c.document == row.id))
    connection.execute(delete(documents).where(documents.c.id == row.id))
    return _entry(row)


def delete_all(connection: Connection, conversation_key: str) -> None:
    """Remove everything; messages written so far are not recalled again either."""
    connection.execute(delete(memory_chunks).where(memory_chunks.c.scope == conversation_key))
    connection.execute(delete(documents).where(documents.c.scope == conversation_key))
    last_message = connection.scalar(
        select(func.max(messages.c.id))
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(conversations.c.key == conversation_key)
    )
    set_preference(
        connection,
        memory_scope_key(conversation_key),
        RECALL_SINCE_PREFERENCE,
        Preference(str(last_message or 0), ""),
    )


def set_recall_mode(connection: Connection, conversation_key: str, mode: RecallMode) -> None:
    """Off and given: the messages' vectors go."""
    set_preference(
        connection,
        memory_scope_key(conversation_key),
        RECALL_MODE_PREFERENCE,
        Preference(mode.value, ""),
    )
    if mode is not RecallMode.WITH_MESSAGES:
        connection.execute(
            delete(memory_chunks).where(
                memory_chunks.c.scope == conversation_key, memory_chunks.c.kind == ChunkKind.MESSAGE
            )
        )


def list_unindexed_messages(connection: Connection, conversation_key: str, limit: int) -> list[tuple[int, str]]:
    """(id, text) of a person's messages that may be recalled and have no vector, oldest first;
    none unless recall is on.
    """
    mode, since = _recall_preferences(connection, conversation_key)
    if mode is not RecallMode.WITH_MESSAGES:
        return []
    last = connection.scalar(
        select(func.max(memory_chunks.c.position)).where(
            memory_chunks.c.scope == conversation_key, memory_chunks.c.kind == ChunkKind.MESSAGE
        )
    )
    rows = connection.execute(
        select(messages.c.id, messages.c.text)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(
            conversations.c.key == conversation_key,
            messages.c.role == "user",
            messages.c.replaced.is_(False),
            messages.c.id > max(since, last or 0),
        )
        .order_by(messages.c.id)
        .limit(limit)
    )
    return [(row.id, row.text) for row in rows]


def index_messages(
    connection: Connection,
    conversation_key: str,
    model: str,
    texts: Sequence[tuple[int, str]],
    vectors: Vectors,
) -> None:
    """Keep the vectors of messages; the oldest beyond `MOST_MESSAGES` go."""
    rows = [
        {
            "scope": conversation_key,
            "kind": ChunkKind.MESSAGE,
            "position": id_,
            "label": "",
            "text": words,
            "model": model,
            "vector": vector.tobytes(),
            "created": database_now(),
        }
        for (id_, words), vector in zip(texts, vectors, strict=True)
    ]
    for row in rows:
        connection.execute(insert(memory_chunks).values(**row))
    is_message = (
        memory_chunks.c.scope == conversation_key,
        memory_chunks.c.kind == ChunkKind.MESSAGE,
    )
    oldest = (
        select(memory_chunks.c.position)
        .where(*is_message)
        .order_by(memory_chunks.c.position.desc())
        .offset(MAX_INDEXED_MESSAGES)
        .limit(1)
    )
    if (beyond := connection.scalar(oldest)) is not None:
        connection.execute(delete(memory_chunks).where(*is_message, memory_chunks.c.position <= beyond))


def search(
    connection: Connection,
    conversation_key: str,
    query: Vectors,
    model: str,
    *,
    limit_per_kind: int,
    document_ids: Sequence[int] = (),
) -> list[ScoredChunk]:
    """The nearest notes, messages and pieces, `most` of each kind at most, nearest first;
    with `within` pieces of these documents only.
    """
    condition = _search_condition(connection, conversation_key, model, document_ids)
    rows = connection.execute(
        select(memory_chunks.c.id, memory_chunks.c.kind, memory_chunks.c.vector).where(condition)
    ).all()
    query_bytes = query.nbytes
    rows = [row for row in rows if len(row.vector) == query_bytes]
    if not rows:
        return []
    matrix = np.frombuffer(b"".join(row.vector for row in rows), np.float32)
    scores = matrix.reshape(len(rows), -1) @ query
    scores_by_id: dict[int, float] = {}
    counts: dict[str, int] = {}
    for index in np.argsort(-scores, kind="stable"):
        row = rows[index]
        if counts.get(row.kind, 0) < limit_per_kind:
            counts[row.kind] = counts.get(row.kind, 0) + 1
            scores_by_id[row.id] = float(scores[index])
    matches = connection.execute(_select_chunks().where(memory_chunks.c.id.in_(scores_by_id)))
    return sorted(
        (_scored_chunk(row, scores_by_id[row.id]) for row in matches),
        key=lambda one: (-one.score, one.id),
    )


def _search_condition(
    connection: Connection, conversation_key: str, model: str, document_ids: Sequence[int]
) -> ColumnElement[bool]:
    in_scope = and_(memory_chunks.c.scope == conversation_key, memory_chunks.c.model == model)
    if document_ids:
        return and_(in_scope, memory_chunks.c.document.in_(document_ids))
    mode, _ = _recall_preferences(connection, conversation_key)
    if mode is not RecallMode.WITH_MESSAGES:
        return and_(in_scope, memory_chunks.c.kind != ChunkKind.MESSAGE)
    recent = (
        select(messages.c.id)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(conversations.c.key == conversation_key, messages.c.id > conversations.c.since)
        .order_by(messages.c.id.desc())
        .limit(RECENT_MESSAGES)
        .subquery()
    )
    first = connection.scalar(select(func.min(recent.c.id)))
    if first is None:
        return in_scope
    return and_(in_scope, or_(memory_chunks.c.kind != ChunkKind.MESSAGE, memory_chunks.c.position < first))


def first_chunks(connection: Connection, conversation_key: str, document: int, limit: int) -> list[ScoredChunk]:
    """The first pieces of a document, in order."""
    rows = connection.execute(
        _select_chunks()
        .where(memory_chunks.c.scope == conversation_key, memory_chunks.c.document == document)
        .order_by(memory_chunks.c.position)
        .limit(limit)
    )
    return [_scored_chunk(row, 1.0) for row in rows]


def _select_chunks() -> Select[Any]:
    return select(
        memory_chunks.c.id,
        memory_chunks.c.kind,
        memory_chunks.c.label,
        memory_chunks.c.text,
        documents.c.name,
    ).outerjoin(documents, documents.c.id == memory_chunks.c.document)


def _scored_chunk(row: Row[Any], score: float) -> ScoredChunk:
    return ScoredChunk(row.id, ChunkKind(row.kind), row.name or "", row.label, row.text, score)


def _entry(row: Row[Any]) -> MemoryEntry:
    return MemoryEntry(row.id, row.number, row.kind, row.name, row.pieces, row.created)


def _recall_preferences(connection: Connection, conversation_key: str) -> tuple[RecallMode, int]:
    """What is recalled, and the last message that never is."""
    key = memory_scope_key(conversation_key)
    stored = list_preferences(connection, [key])
    mode = stored.get((key, RECALL_MODE_PREFERENCE), Preference(RecallMode.NOTES_AND_FILES, "")).value
    since = stored.get((key, RECALL_SINCE_PREFERENCE), Preference("0", "")).value
    return RecallMode(mode), int(since)


def _lock_scope(connection: Connection, conversation_key: str) -> None:
    """Two at once would take the same number, or more than the bounds."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:scope, 0))")
        connection.execute(lock, {"scope": memory_scope_key(conversation_key)})
