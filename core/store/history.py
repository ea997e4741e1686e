"""The history of a conversation, and the summary that replaces its older part in requests."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, Integer, Row, Select, bindparam, func, select

from core.store.dialect import upsert
from core.store.image_references import ImageReference, decode_references
from core.store.schema import conversations, database_now, messages, summaries, turns

PAGE_SIZE = 100
MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredMessage:
    id: int
    role: Literal["user", "assistant"]
    text: str
    images: tuple[ImageReference, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    up_to_message: int = 0
    """The last message it replaces; 0 if there is no summary yet."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ConversationHistory:
    messages: tuple[StoredMessage, ...]
    """Oldest first."""
    summary: ConversationSummary


def select_history(conversation_id: int | ColumnElement[int], *columns: Column[Any]) -> Select[Any]:
    """The messages since /new that are not excluded, newest first."""
    return (
        select(*columns)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            messages.c.conversation_id == conversation_id,
            messages.c.id > conversations.c.history_after,
            messages.c.is_excluded.is_(False),
        )
        .order_by(messages.c.id.desc())
    )


SELECT_NEWEST = (
    select_history(
        bindparam("conversation_id", type_=Integer),
        messages.c.id,
        messages.c.role,
        messages.c.text,
        messages.c.images_json,
    )
    .where(messages.c.id > bindparam("after_id"), messages.c.id < bindparam("before_id"))
    .limit(bindparam("max_messages", type_=Integer))
)
SELECT_NEWEST_BEFORE = SELECT_NEWEST.outerjoin(turns, turns.c.id == messages.c.turn_id).where(
    (turns.c.seq < bindparam("before_seq")) | turns.c.id.is_(None)  # only old turns are deleted
)
COUNT_ANSWERS = (
    select_history(bindparam("conversation_id", type_=Integer))
    .with_only_columns(func.count())
    .where(messages.c.id < bindparam("before_id"), messages.c.role == "assistant")
    .order_by(None)
)
SELECT_SUMMARY = (
    select(summaries.c.up_to_message, summaries.c.text)
    .join(conversations, conversations.c.id == summaries.c.conversation_id)
    .where(
        summaries.c.conversation_id == bindparam("conversation_id"),
        summaries.c.up_to_message > conversations.c.history_after,
    )
)


def load_history(
    connection: Connection,
    conversation_id: int,
    before_seq: int | None,
    limit: int,
    *,
    max_size: float = math.inf,
    measure: Callable[[str], float] = len,
) -> ConversationHistory:
    """The newest messages since /new (of turns before `before_seq`, if given), and the summary.

    At most `limit` messages, and hardly more than have together the size `max_size`, which `measure` determines.
    """
    statement = SELECT_NEWEST if before_seq is None else SELECT_NEWEST_BEFORE
    loaded: list[StoredMessage] = []
    size = 0.0
    while len(loaded) < limit and size < max_size:
        parameters = {
            "conversation_id": conversation_id,
            "after_id": 0,
            "before_id": loaded[-1].id if loaded else MAX_ID,
            "before_seq": before_seq,
            "max_messages": min(PAGE_SIZE, limit - len(loaded)),
        }
        page = [_stored_message(row) for row in connection.execute(statement, parameters)]
        loaded += page
        size += sum(measure(message.text) for message in page)
        if len(page) < PAGE_SIZE:
            break
    summary = connection.execute(SELECT_SUMMARY, {"conversation_id": conversation_id}).first()
    return ConversationHistory(
        tuple(reversed(loaded)), ConversationSummary(*summary) if summary else ConversationSummary()
    )


def load_messages_between(
    connection: Connection, conversation_id: int, after_id: int, before_id: int, limit: int
) -> tuple[StoredMessage, ...]:
    """The newest `limit` messages between these two, oldest first."""
    parameters = {"after_id": after_id, "before_id": before_id, "max_messages": limit}
    rows = connection.execute(SELECT_NEWEST, {"conversation_id": conversation_id, **parameters}).all()
    return tuple(_stored_message(row) for row in reversed(rows))


def _stored_message(row: Row[Any]) -> StoredMessage:
    return StoredMessage(row.id, row.role, row.text, decode_references(row.images_json))


def count_answers_before(connection: Connection, conversation_id: int, message_id: int) -> int:
    parameters = {"conversation_id": conversation_id, "before_id": message_id}
    return connection.scalar(COUNT_ANSWERS, parameters) or 0


def save_summary(
    connection: Connection, conversation_id: int, summary: ConversationSummary, model: str, replaces_up_to: int
) -> bool:
    """Store `summary`, unless another process has meanwhile stored one that covers at least as many messages.

    `replaces_up_to` is the `up_to_message` of the summary that it continues; 0 if there was none.
    """
    values = {
        "up_to_message": summary.up_to_message,
        "text": summary.text,
        "model": model,
        "created_at": database_now(),
    }
    is_older = (summaries.c.up_to_message == replaces_up_to) | (summaries.c.up_to_message < summary.up_to_message)
    return upsert(connection, summaries, {"conversation_id": conversation_id}, values, where=is_older) is not None
