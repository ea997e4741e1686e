"""Deletes rows that nothing needs any more. Every function is one short transaction that deletes one batch.

A finished turn is needed for redeliveries of its event, for today's usage and for the buttons under its answer. The
newest turn and the newest message are never deleted, because SQLite would give their IDs to the next ones.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, select, tuple_, update

from core.store.conversations import IS_EMPTY
from core.store.memories import ChunkKind
from core.store.schema import (
    access_requests,
    answer_parts,
    conversations,
    daily_usage,
    memory_chunks,
    memory_entries,
    messages,
    reasoning,
    suggested_questions,
    summaries,
    token_usage,
    turns,
)

BATCH_SIZE = 500
CONVERSATION_BATCH_SIZE = 20
MEMORY_BATCH_SIZE = 10
"""A file has thousands of chunks."""

Time = ColumnElement[float] | float
"""In seconds since 1970."""


def delete_turns(connection: Connection, before: Time) -> int:
    """Delete turns finished before this time, with what only they refer to. Returns how many there were."""
    newest = select(func.max(turns.c.id)).scalar_subquery()
    expired = connection.execute(
        select(turns.c.id, turns.c.conversation_id)
        .where(turns.c.finished_at < before, turns.c.id < newest)
        .order_by(turns.c.finished_at)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True)
    ).all()
    ids = [row.id for row in expired]
    _delete_messages(connection, messages.c.turn_id.in_(ids), messages.c.is_excluded)  # nothing shows replaced ones
    for table in (answer_parts, reasoning):
        connection.execute(delete(table).where(table.c.turn_id.in_(ids)))
    connection.execute(delete(turns).where(turns.c.id.in_(ids)))
    _delete_empty_conversations(connection, {row.conversation_id for row in expired})
    return len(ids)


def delete_reasoning(connection: Connection, before: Time) -> int:
    """Delete the reasoning of turns finished before this time. Returns how many there were."""
    oldest = select(reasoning.c.turn_id).order_by(reasoning.c.turn_id).limit(BATCH_SIZE)
    expired = select(turns.c.id).where(turns.c.id.in_(oldest.scalar_subquery()), turns.c.finished_at < before)
    return connection.execute(delete(reasoning).where(reasoning.c.turn_id.in_(expired))).rowcount


def delete_messages(connection: Connection, before: Time) -> int:
    """Delete messages stored before this time whose turn is deleted or as old. Returns how many there were."""
    oldest = select(messages.c.id).order_by(messages.c.id).limit(BATCH_SIZE)
    is_open_or_newer = turns.c.finished_at.is_(None) | (turns.c.finished_at >= before)
    is_needed = exists().where(turns.c.id == messages.c.turn_id, is_open_or_newer)
    return _delete_messages(
        connection, messages.c.id.in_(oldest.scalar_subquery()), messages.c.created_at < before, ~is_needed
    )


def delete_inactive_conversations(connection: Connection, before: Time) -> int:
    """Delete conversations whose newest message or event came before this time, with notes and files, except the one
    with the newest message of all. Returns how many there were.
    """
    candidate, last = messages.alias(), messages.alias()
    newest_message = (
        select(func.max(candidate.c.id))
        .where(candidate.c.conversation_id == conversations.c.id)
        .correlate(conversations)
        .scalar_subquery()
    )
    last_written = select(last.c.created_at).where(last.c.id == newest_message).scalar_subquery()
    newest = select(func.max(messages.c.id)).scalar_subquery()
    has_recent_turn = exists().where(
        turns.c.conversation_id == conversations.c.id, (turns.c.created_at >= before) | turns.c.finished_at.is_(None)
    )
    inactive = connection.execute(
        select(conversations.c.id, conversations.c.key)
        .where(last_written < before, ~has_recent_turn, newest_message < newest)
        .limit(CONVERSATION_BATCH_SIZE)
        .with_for_update(skip_locked=True)
    ).all()
    ids, keys = [row.id for row in inactive], [row.key for row in inactive]
    turn_ids = select(turns.c.id).where(turns.c.conversation_id.in_(ids))
    connection.execute(delete(memory_chunks).where(memory_chunks.c.conversation_key.in_(keys)))
    connection.execute(delete(memory_entries).where(memory_entries.c.conversation_key.in_(keys)))
    for table in (answer_parts, reasoning):
        connection.execute(delete(table).where(table.c.turn_id.in_(turn_ids)))
    for table in (summaries, messages):
        connection.execute(delete(table).where(table.c.conversation_id.in_(ids)))
    newest_turn = select(func.max(turns.c.id)).scalar_subquery()
    connection.execute(delete(turns).where(turns.c.conversation_id.in_(ids), turns.c.id < newest_turn))
    connection.execute(update(conversations).where(conversations.c.id.in_(ids)).values(recall_mode=None))
    _delete_empty_conversations(connection, ids)
    return len(ids)


def delete_summaries(connection: Connection, before: Time) -> int:
    """Delete summaries of conversations made before this time. Returns how many there were."""
    expired = select(summaries.c.conversation_id).where(summaries.c.created_at < before).limit(BATCH_SIZE)
    return connection.execute(
        delete(summaries).where(summaries.c.conversation_id.in_(expired.scalar_subquery()))
    ).rowcount


def delete_memories(connection: Connection, before: Time) -> int:
    """Delete notes and files stored before this time. Returns how many there were."""
    oldest = select(memory_entries.c.id).order_by(memory_entries.c.id).limit(MEMORY_BATCH_SIZE)
    is_expired = (memory_entries.c.id.in_(oldest.scalar_subquery()), memory_entries.c.created_at < before)
    return connection.execute(delete(memory_entries).where(*is_expired)).rowcount  # the foreign key deletes the chunks


def delete_usage(connection: Connection, before_day: str) -> int:
    """Delete the usage figures of days before this one. Returns how many there were."""
    return sum(_delete_days(connection, table, before_day) for table in (daily_usage, token_usage))


def delete_access_requests(connection: Connection, pending_before: Time, decided_before: Time) -> int:
    """Delete undecided requests made before a time, and those decided before another. Returns how many there were."""
    undecided = access_requests.c.decision.is_(None) & (access_requests.c.created_at < pending_before)
    is_expired = undecided | (access_requests.c.decided_at < decided_before)
    return connection.execute(delete(access_requests).where(is_expired)).rowcount


def delete_suggested_questions(connection: Connection, before: Time) -> int:
    """Delete questions that were suggested before this time. Returns how many there were."""
    token = suggested_questions.c.token
    expired = select(token).where(suggested_questions.c.created_at < before).limit(BATCH_SIZE)
    return connection.execute(delete(suggested_questions).where(token.in_(expired.scalar_subquery()))).rowcount


def _delete_days(connection: Connection, table: Table, before_day: str) -> int:
    key = tuple_(*table.primary_key.columns)
    expired = select(*table.primary_key.columns).where(table.c.day < before_day).limit(BATCH_SIZE)
    return connection.execute(delete(table).where(key.in_(expired))).rowcount


def _delete_messages(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    """Delete messages and their vectors, except the newest message."""
    newest = select(func.max(messages.c.id)).scalar_subquery()
    expired = connection.execute(
        select(messages.c.id, messages.c.conversation_id, conversations.c.key)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(*conditions, messages.c.id < newest)
    ).all()
    ids_by_conversation: dict[str, list[int]] = {}
    for row in expired:
        ids_by_conversation.setdefault(row.key, []).append(row.id)
    for key, ids in ids_by_conversation.items():
        is_vector = (memory_chunks.c.conversation_key == key, memory_chunks.c.kind == ChunkKind.MESSAGE)
        connection.execute(delete(memory_chunks).where(*is_vector, memory_chunks.c.message_id.in_(ids)))
    connection.execute(delete(messages).where(messages.c.id.in_([row.id for row in expired])))
    _delete_empty_conversations(connection, {row.conversation_id for row in expired})
    return len(expired)


def _delete_empty_conversations(connection: Connection, ids: Collection[int | None]) -> None:
    """Delete those of the conversations in which nothing is left."""
    unlocked: Sequence[int] = connection.scalars(
        select(conversations.c.id).where(conversations.c.id.in_(ids)).with_for_update(skip_locked=True)
    ).all()
    connection.execute(delete(conversations).where(conversations.c.id.in_(unlocked), IS_EMPTY))
