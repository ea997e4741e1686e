"""The memory of a conversation: notes, files and past messages, in chunks with vectors.

Everything belongs to one conversation, identified by its key; no search crosses conversations.
`core.memory.vector_search` compares the vectors.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from core.store.dialect import advisory_lock
from core.store.list_parameters import pad
from core.store.schema import conversations, database_now, memory_chunks, memory_entries, messages, turns
from core.store.turns import LostLeaseError, erase_notes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOTE_KIND = "note"
NAME_CHAR = r"[^\W\u3000-\U0010ffff]"
"""A letter or digit that continues a name. Scripts without spaces between words are left out."""
MAX_SEARCHED_TERMS = 20
RECENT_MESSAGES = 20
"""The newest messages are not recalled, because the model sees them anyway."""

Vectors: TypeAlias = "NDArray[np.float32]"


class ChunkKind(StrEnum):
    NOTE = "note"
    MESSAGE = "message"
    FILE = "file"


class RecallMode(StrEnum):
    """The kinds of entries that a question recalls."""

    NOTES_AND_FILES = "notes_and_files"
    WITH_MESSAGES = "with_messages"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits of one conversation."""

    max_entries: int = 200
    """Notes and files."""
    max_chunks: int = 6_000
    """How many chunks notes and files may have."""
    max_indexed_messages: int = 3_000


DEFAULT_LIMITS = MemoryLimits()


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """A note or a file."""

    id: int
    number: int
    """The number by which people refer to it, within the conversation."""
    kind: str
    """`NOTE_KIND`, or the kind of file."""
    name: str
    chunk_count: int
    created_at: float

    @property
    def is_note(self) -> bool:
        return self.kind == NOTE_KIND


@dataclass(frozen=True, slots=True)
class NewChunk:
    label: str
    """The place of the text: "page 3", a heading, lines."""
    text: str


@dataclass(frozen=True, slots=True)
class StoredVector:
    """The vector of one chunk."""

    id: int
    kind: ChunkKind
    vector: bytes
    """float32 values, of length 1."""


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    id: int
    kind: ChunkKind
    name: str
    """The file's name; empty for a message."""
    label: str
    text: str
    score: float
    """Cosine similarity to the query."""
    file_kind: str = ""


@dataclass(frozen=True, slots=True)
class UnindexedMessage:
    """A message without a vector."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class UnindexedChunk:
    """A chunk of a note or file without a vector, because there was no quota or the model failed."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    recall_mode: RecallMode
    note_count: int
    file_count: int
    chunk_count: int
    message_count: int


@dataclass(frozen=True, slots=True)
class SearchedMemory:
    """What a search has to know of a memory."""

    conversation_key: str
    statistics: MemoryStatistics
    messages: Sequence[UnindexedMessage]
    """Without a vector."""
    chunks: Sequence[UnindexedChunk]


def get_conversation_key(connection: Connection, conversation_id: int) -> str:
    return str(connection.execute(SELECT_KEY, {"conversation_id": conversation_id}).scalar_one())


def _is_message(conversation_key: ColumnElement[str] | str) -> ColumnElement[bool]:
    return and_(memory_chunks.c.conversation_key == conversation_key, memory_chunks.c.kind == ChunkKind.MESSAGE)


LOCK_CONVERSATION = (
    select(conversations.c.id)
    .where(conversations.c.key == bindparam("conversation_key"))
    .with_for_update(read=True, key_share=True)
)
"""Against an erasure (`core.store.erasure`), which locks it for itself."""
SELECT_KEY = select(conversations.c.key).where(conversations.c.id == bindparam("conversation_id"))
IS_NOTE = memory_entries.c.kind == NOTE_KIND
CONVERSATION_KEY: ColumnElement[str] = bindparam("conversation_key")
SELECT_STATISTICS = select(
    select(conversations.c.recall_mode).where(conversations.c.key == CONVERSATION_KEY).scalar_subquery(),
    func.count().filter(IS_NOTE),
    func.count().filter(~IS_NOTE),
    func.coalesce(func.sum(memory_entries.c.chunk_count), 0),
    select(func.count()).select_from(memory_chunks).where(_is_message(CONVERSATION_KEY)).scalar_subquery(),
).where(memory_entries.c.conversation_key == CONVERSATION_KEY)


def get_statistics(connection: Connection, conversation_key: str) -> MemoryStatistics:
    row = connection.execute(SELECT_STATISTICS, {"conversation_key": conversation_key}).one()
    mode, note_count, file_count, chunk_count, message_count = row
    return MemoryStatistics(_recall_mode(mode), note_count, file_count, int(chunk_count), message_count)


def list_entries(connection: Connection, conversation_key: str) -> list[MemoryEntry]:
    """Ordered by number."""
    in_conversation = memory_entries.c.conversation_key == conversation_key
    rows = connection.execute(select(memory_entries).where(in_conversation).order_by(memory_entries.c.number))
    return [_entry(row) for row in rows]


def find_by_digest(connection: Connection, conversation_key: str, digest: str) -> MemoryEntry | None:
    """The entry with the same content."""
    row = connection.execute(
        select(memory_entries)
        .where(memory_entries.c.conversation_key == conversation_key, memory_entries.c.digest == digest)
        .limit(1)
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
    person_key: str | None = None,
    turn_id: int | None = None,
    limits: MemoryLimits = DEFAULT_LIMITS,
) -> MemoryEntry | None:
    """Store a person's note or file, unless it is already stored. None if the conversation's memory is full.

    Raises `LostLeaseError` if the turn by which they sent it has been deleted: they have had their data erased.
    """
    connection.execute(LOCK_CONVERSATION, {"conversation_key": conversation_key})
    if turn_id is not None and connection.scalar(select(turns.c.id).where(turns.c.id == turn_id)) is None:
        raise LostLeaseError(f"Turn {turn_id} has been deleted")
    # Concurrent transactions could use the same number or exceed the limits.
    advisory_lock(connection, func.hashtextextended(f"memory:{conversation_key}", 0))
    if (existing := find_by_digest(connection, conversation_key, digest)) is not None:
        return existing
    if not has_room(connection, conversation_key, len(chunks), limits):
        return None
    highest = select(func.max(memory_entries.c.number)).where(memory_entries.c.conversation_key == conversation_key)
    row = connection.execute(
        insert(memory_entries)
        .values(
            conversation_key=conversation_key,
            number=(connection.scalar(highest) or 0) + 1,
            kind=kind,
            name=name[:200],
            digest=digest,
            chunk_count=len(chunks),
            person_key=person_key,
            created_at=database_now(),
        )
        .returning(memory_entries)
    ).one()
    columns = {
        "conversation_key": conversation_key,
        "kind": ChunkKind.NOTE if kind == NOTE_KIND else ChunkKind.FILE,
        "entry_id": row.id,
        "model": model,
        "created_at": row.created_at,
    }
    connection.execute(
        insert(memory_chunks),
        [
            {
                **columns,
                "position": position,
                "label": chunk.label[:200],
                "text": chunk.text,
                "vector": vector.tobytes(),
            }
            for position, (chunk, vector) in enumerate(zip(chunks, vectors, strict=True))
        ],
    )
    return _entry(row)


def rename_entry(connection: Connection, entry_id: int, name: str) -> None:
    connection.execute(update(memory_entries).where(memory_entries.c.id == entry_id).values(name=name[:200]))


def has_room(
    connection: Connection, conversation_key: str, chunk_count: int, limits: MemoryLimits = DEFAULT_LIMITS
) -> bool:
    """Whether the conversation has room for another entry of `chunk_count` chunks."""
    statistics = get_statistics(connection, conversation_key)
    return (
        statistics.note_count + statistics.file_count < limits.max_entries
        and statistics.chunk_count + chunk_count <= limits.max_chunks
    )


def delete_entry(connection: Connection, conversation_key: str, number: int) -> MemoryEntry | None:
    """Delete an entry with its chunks, and the notes under answers that name the file. None if there is no entry."""
    row = connection.execute(
        delete(memory_entries)
        .where(memory_entries.c.conversation_key == conversation_key, memory_entries.c.number == number)
        .returning(memory_entries)
    ).first()  # the foreign key deletes the chunks
    if row is None:
        return None
    entry = _entry(row)
    if not entry.is_note:
        _erase_notes_naming(connection, conversation_key, entry.name)
    return entry


def _erase_notes_naming(connection: Connection, conversation_key: str, name: str) -> None:
    """Erase the notes that contain `name`, but not those that only contain a longer word or file name with it."""
    contains_name = turns.c.note.contains(name, autoescape=True)
    query = select(turns.c.id, turns.c.note).where(_is_turn_of(conversation_key), contains_name)
    word = rf"(?<!{NAME_CHAR})(?<!{NAME_CHAR}[._-]){re.escape(name)}(?![._-]?{NAME_CHAR})"
    naming = [row.id for row in connection.execute(query) if re.search(word, row.note)]
    erase_notes(connection, turns.c.id.in_(pad(naming)))


def _is_turn_of(conversation_key: str) -> ColumnElement[bool]:
    of_key = select(conversations.c.id).where(conversations.c.key == conversation_key)
    return turns.c.conversation_id.in_(of_key)


def delete_all(connection: Connection, conversation_key: str) -> None:
    """Delete notes, files and vectors, and all notes under answers: they may name what is deleted.

    Messages written so far are never recalled again.
    """
    erase_notes(connection, _is_turn_of(conversation_key))
    connection.execute(delete(memory_chunks).where(memory_chunks.c.conversation_key == conversation_key))
    connection.execute(delete(memory_entries).where(memory_entries.c.conversation_key == conversation_key))
    last_message = (
        select(func.coalesce(func.max(messages.c.id), 0))
        .where(messages.c.conversation_id == conversations.c.id)
        .scalar_subquery()
    )
    connection.execute(
        update(conversations).where(conversations.c.key == conversation_key).values(recall_after=last_message)
    )


def set_recall_mode(connection: Connection, conversation_key: str, mode: RecallMode) -> None:
    """Set the mode. All modes except `WITH_MESSAGES` delete the vectors of messages."""
    connection.execute(update(conversations).where(conversations.c.key == conversation_key).values(recall_mode=mode))
    if mode is not RecallMode.WITH_MESSAGES:
        connection.execute(delete(memory_chunks).where(_is_message(conversation_key)))


def get_searched(connection: Connection, conversation_id: int, limit: int) -> SearchedMemory:
    """How much there is, and up to `limit` texts that have no vector yet."""
    conversation_key = get_conversation_key(connection, conversation_id)
    statistics = get_statistics(connection, conversation_key)
    has_messages = statistics.recall_mode is RecallMode.WITH_MESSAGES
    messages = list_unindexed_messages(connection, conversation_key, limit) if has_messages else []
    has_chunks = statistics.chunk_count and len(messages) < limit
    chunks = _list_unindexed_chunks(connection, conversation_key, limit - len(messages)) if has_chunks else []
    return SearchedMemory(conversation_key, statistics, messages, chunks)


def _list_unindexed_chunks(connection: Connection, conversation_key: str, limit: int) -> list[UnindexedChunk]:
    rows = connection.execute(
        select(memory_chunks.c.id, memory_chunks.c.text)
        .where(
            memory_chunks.c.conversation_key == conversation_key,
            memory_chunks.c.kind != ChunkKind.MESSAGE,
            func.length(memory_chunks.c.vector) == 0,
        )
        .order_by(memory_chunks.c.id)
        .limit(limit)
    )
    return [UnindexedChunk(*row) for row in rows]


def index_chunks(connection: Connection, model: str, chunks: Sequence[UnindexedChunk], vectors: Vectors) -> None:
    """Store the vectors of chunks that had none."""
    for chunk, vector in zip(chunks, vectors, strict=True):
        # With its text, because SQLite gives the IDs of deleted chunks to others.
        is_chunk = (
            memory_chunks.c.id == chunk.id,
            memory_chunks.c.text == chunk.text,
            func.length(memory_chunks.c.vector) == 0,
        )
        connection.execute(update(memory_chunks).where(*is_chunk).values(model=model, vector=vector.tobytes()))


def list_unindexed_messages(connection: Connection, conversation_key: str, limit: int) -> list[UnindexedMessage]:
    """A person's messages that may be recalled but have no vector yet, oldest first.

    Empty unless the conversation recalls messages.
    """
    mode, recall_after = _recall_settings(connection, conversation_key)
    if mode is not RecallMode.WITH_MESSAGES:
        return []
    last_indexed = connection.scalar(select(func.max(memory_chunks.c.message_id)).where(_is_message(conversation_key)))
    rows = connection.execute(
        select(messages.c.id, messages.c.text)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            conversations.c.key == conversation_key,
            messages.c.role == "user",
            messages.c.is_excluded.is_(False),
            messages.c.id > max(recall_after, last_indexed or 0),
        )
        .order_by(messages.c.id)
        .limit(limit)
    )
    return [UnindexedMessage(*row) for row in rows]


def index_messages(
    connection: Connection,
    conversation_key: str,
    model: str,
    texts: Sequence[UnindexedMessage],
    vectors: Vectors,
    limits: MemoryLimits = DEFAULT_LIMITS,
) -> None:
    """Store the vectors of messages, whose texts are stored already; beyond the limit, the oldest are deleted.

    Messages that were deleted meanwhile, or may no longer be recalled, get none.
    """
    connection.execute(LOCK_CONVERSATION, {"conversation_key": conversation_key})
    recallable = _recallable_messages(connection, conversation_key, [message.id for message in texts])
    if not recallable:
        return
    columns = {
        "conversation_key": conversation_key,
        "kind": ChunkKind.MESSAGE,
        "position": 0,
        "label": "",
        "model": model,
        "created_at": connection.scalar(select(database_now())),
    }
    connection.execute(
        insert(memory_chunks),
        [
            {**columns, "message_id": message.id, "text": "", "vector": vector.tobytes()}
            for message, vector in zip(texts, vectors, strict=True)
            if message.id in recallable
        ],
    )
    first_surplus = connection.scalar(
        select(memory_chunks.c.message_id)
        .where(_is_message(conversation_key))
        .order_by(memory_chunks.c.message_id.desc())
        .offset(limits.max_indexed_messages)
        .limit(1)
    )
    if first_surplus is not None:
        is_surplus = memory_chunks.c.message_id <= first_surplus
        connection.execute(delete(memory_chunks).where(_is_message(conversation_key), is_surplus))


def _recallable_messages(connection: Connection, conversation_key: str, ids: Collection[int]) -> set[int]:
    """Those of the messages that are stored and may be recalled."""
    mode, recall_after = _recall_settings(connection, conversation_key)
    if mode is not RecallMode.WITH_MESSAGES:
        return set()
    is_recallable = (messages.c.id.in_(ids), messages.c.id > recall_after)
    return set(connection.scalars(select(messages.c.id).where(*is_recallable)))


def list_vector_ids(
    connection: Connection, conversation_key: str, model: str, *, vector_bytes: int, entry_ids: Sequence[int] = ()
) -> list[int]:
    """The chunks with a vector of this model and size that may be recalled; with `entry_ids`, only of these entries."""
    condition = _search_condition(connection, conversation_key, entry_ids)
    is_comparable = and_(memory_chunks.c.model == model, func.length(memory_chunks.c.vector) == vector_bytes)
    return sorted(connection.scalars(select(memory_chunks.c.id).where(condition, is_comparable)))


def get_vectors(connection: Connection, chunk_ids: Sequence[int]) -> list[StoredVector]:
    columns = (memory_chunks.c.id, memory_chunks.c.kind, memory_chunks.c.vector)
    rows = connection.execute(select(*columns).where(memory_chunks.c.id.in_(chunk_ids)))
    return [StoredVector(row.id, ChunkKind(row.kind), row.vector) for row in rows]


def get_chunks(connection: Connection, scores: Mapping[int, float]) -> list[ScoredChunk]:
    """The chunks with these scores, by ID, best first."""
    rows = connection.execute(_select_chunks().where(memory_chunks.c.id.in_(scores)))
    return sorted((_scored_chunk(row, scores[row.id]) for row in rows), key=lambda chunk: (-chunk.score, chunk.id))


def search_words(
    connection: Connection,
    conversation_key: str,
    terms: Collection[str],
    *,
    limit: int,
    entry_ids: Sequence[int] = (),
    only_without_vector: bool = False,
) -> list[ScoredChunk]:
    """The chunks that contain most of these terms, which are in lower case; all scores are 0.

    An index of words would cost more than it saves: one conversation has at most a few thousand chunks.
    """
    if not terms:
        return []
    query = _select_chunks().where(_search_condition(connection, conversation_key, entry_ids))
    if only_without_vector:
        query = query.where(func.length(memory_chunks.c.vector) == 0)
    columns = query.selected_columns
    text = columns.text + " " + columns.label + " " + func.coalesce(columns.name, "")
    longest = sorted(terms, key=lambda term: (-len(term), term))[:MAX_SEARCHED_TERMS]
    # SQLite ignores case only in ASCII.
    contained = [
        or_(text.icontains(term, autoescape=True), text.contains(term.capitalize(), autoescape=True))
        for term in longest
    ]
    count = sum((case((found, 1), else_=0) for found in contained), literal(0))
    rows = connection.execute(query.where(or_(*contained)).order_by(count.desc(), columns.id).limit(limit))
    return [_scored_chunk(row, 0.0) for row in rows]


def _search_condition(connection: Connection, conversation_key: str, entry_ids: Sequence[int]) -> ColumnElement[bool]:
    in_conversation = memory_chunks.c.conversation_key == conversation_key
    if entry_ids:
        return and_(in_conversation, memory_chunks.c.entry_id.in_(entry_ids))
    mode, _ = _recall_settings(connection, conversation_key)
    if mode is not RecallMode.WITH_MESSAGES:
        return and_(in_conversation, memory_chunks.c.kind != ChunkKind.MESSAGE)
    recent = (
        select(messages.c.id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(conversations.c.key == conversation_key, messages.c.id > conversations.c.history_after)
        .order_by(messages.c.id.desc())
        .limit(RECENT_MESSAGES)
        .subquery()
    )
    first_recent = connection.scalar(select(func.min(recent.c.id)))
    if first_recent is None:
        return in_conversation
    return and_(
        in_conversation, or_(memory_chunks.c.kind != ChunkKind.MESSAGE, memory_chunks.c.message_id < first_recent)
    )


def first_chunks(connection: Connection, conversation_key: str, entry_id: int, limit: int) -> list[ScoredChunk]:
    """The first chunks of an entry, in order."""
    rows = connection.execute(
        _select_chunks()
        .where(memory_chunks.c.conversation_key == conversation_key, memory_chunks.c.entry_id == entry_id)
        .order_by(memory_chunks.c.position)
        .limit(limit)
    )
    return [_scored_chunk(row, 1.0) for row in rows]


def _select_chunks() -> Select[Any]:
    text = func.coalesce(messages.c.text, memory_chunks.c.text).label("text")
    return (
        select(
            memory_chunks.c.id,
            memory_chunks.c.kind,
            memory_chunks.c.label,
            text,
            memory_entries.c.name,
            memory_entries.c.kind.label("file_kind"),
        )
        .outerjoin(memory_entries, memory_entries.c.id == memory_chunks.c.entry_id)
        .outerjoin(messages, messages.c.id == memory_chunks.c.message_id)
    )


def _scored_chunk(row: Row[Any], score: float) -> ScoredChunk:
    return ScoredChunk(
        row.id, ChunkKind(row.kind), row.name or "", row.label, row.text, score, file_kind=row.file_kind or ""
    )


def _entry(row: Row[Any]) -> MemoryEntry:
    return MemoryEntry(row.id, row.number, row.kind, row.name, row.chunk_count, row.created_at)


def _recall_settings(connection: Connection, conversation_key: str) -> tuple[RecallMode, int]:
    """The mode, and the last message that is never recalled."""
    row = connection.execute(SELECT_RECALL_SETTINGS, {"conversation_key": conversation_key}).first()
    return (_recall_mode(row.recall_mode), row.recall_after) if row else (_recall_mode(None), 0)


SELECT_RECALL_SETTINGS = select(conversations.c.recall_mode, conversations.c.recall_after).where(
    conversations.c.key == CONVERSATION_KEY
)


def _recall_mode(stored: str | None) -> RecallMode:
    return RecallMode(stored or RecallMode.NOTES_AND_FILES)
