"""The history of a conversation, and the summary that replaces its older part in requests."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, Integer, Select, bindparam, select

from core.store.dialect import upsert
from core.store.schema import conversations, database_now, messages, summaries, turns


@dataclass(frozen=True, slots=True)
class StoredMessage:
    id: int
    role: Literal["user", "assistant"]
    text: str


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


SELECT_NEWEST = select_history(
    bindparam("conversation_id", type_=Integer), messages.c.id, messages.c.role, messages.c.text
).limit(bindparam("max_messages", type_=Integer))
SELECT_NEWEST_BEFORE = SELECT_NEWEST.outerjoin(turns, turns.c.id == messages.c.turn_id).where(
    (turns.c.seq < bindparam("before_seq")) | turns.c.id.is_(None)  # only old turns are deleted
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
    connection: Connection, conversation_id: int, before_seq: int | None, limit: int
) -> ConversationHistory:
    """The newest `limit` messages since /new (of turns before `before_seq`, if given), and the summary."""
    parameters = {"conversation_id": conversation_id, "max_messages": limit}
    if before_seq is None:
        rows = connection.execute(SELECT_NEWEST, parameters).all()
    else:
        rows = connection.execute(SELECT_NEWEST_BEFORE, {**parameters, "before_seq": before_seq}).all()
    summary = connection.execute(SELECT_SUMMARY, {"conversation_id": conversation_id}).first()
    return ConversationHistory(
        tuple(StoredMessage(*row) for row in reversed(rows)),
        ConversationSummary(*summary) if summary else ConversationSummary(),
    )


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
