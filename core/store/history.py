"""The history of a conversation, and the summary that replaces its older part in requests.

A question continues from the exchange before it, unless it names another one (`messages.parent_turn`). The history is
the path that leads to its end:

    1 "Plan a trip"   2 "By train?"   3 "By ship?" (parent 1)   4 "How long?"      path: 1, 3, 4
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, Integer, ScalarSelect, Select, bindparam, delete, func, select

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
    follows_before: int | None = None
    """For a question that does not continue from the exchange before it: the ID after the last message it follows."""


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
        messages.c.turn_id,
        messages.c.parent_turn,
    )
    .where(messages.c.id > bindparam("after_id"), messages.c.id < bindparam("before_id"))
    .limit(bindparam("max_messages", type_=Integer))
)
SELECT_NEWEST_BEFORE = SELECT_NEWEST.outerjoin(turns, turns.c.id == messages.c.turn_id).where(
    (turns.c.seq < bindparam("before_seq")) | turns.c.id.is_(None)  # only old turns are deleted
)
SELECT_LAST_OF_EXCHANGE = select(func.max(messages.c.id)).where(
    (messages.c.turn_id == bindparam("turn_id")) | (messages.c.variant_of == bindparam("turn_id")),
    messages.c.is_excluded.is_(False),
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

LOCK_CONVERSATION = (
    select(conversations.c.id)
    .where(conversations.c.id == bindparam("conversation_id"))
    .with_for_update(read=True, key_share=True)
)
"""Against an erasure (`core.store.erasure`), which locks it for itself."""


def load_history(
    connection: Connection,
    conversation_id: int,
    before_seq: int | None,
    limit: int,
    *,
    parent_turn: int | None = None,
    max_size: float = math.inf,
    min_messages: int = 0,
    measure: Callable[[str], float] = len,
) -> ConversationHistory:
    """The newest messages since /new (of turns before `before_seq`, if given), and the summary.

    They are those that lead to the exchange `parent_turn`, by default the newest. At most `limit` messages, and hardly
    more than have together the size `max_size`, which `measure` determines; but at least `min_messages`.
    """
    before_id = MAX_ID if parent_turn is None else _end_of_exchange(connection, parent_turn)
    loaded: list[StoredMessage] = []
    size = 0.0
    for page, is_last in _walk(connection, conversation_id, before_id=before_id, before_seq=before_seq):
        loaded += page
        if is_last or len(loaded) >= limit:
            break
        size += sum(measure(message.text) for message in page)
        if size >= max_size and len(loaded) >= min_messages:
            break
    del loaded[limit:]
    row = connection.execute(SELECT_SUMMARY, {"conversation_id": conversation_id}).first()
    summary = ConversationSummary(*row) if row else ConversationSummary()
    newest = loaded[0].id if loaded else 0
    is_on_path = (parent_turn is None or summary.up_to_message <= newest) and _path_includes_message(
        summary.up_to_message, loaded
    )
    return ConversationHistory(tuple(reversed(loaded)), summary if is_on_path else ConversationSummary())


def _walk(
    connection: Connection,
    conversation_id: int,
    *,
    after_id: int = 0,
    before_id: int = MAX_ID,
    before_seq: int | None = None,
) -> Iterator[tuple[list[StoredMessage], bool]]:
    """The messages that lead to the last one between these two, newest first: pages, and whether it is the last one."""
    statement = SELECT_NEWEST if before_seq is None else SELECT_NEWEST_BEFORE
    answered_turn: int | None = None
    while True:
        parameters = {
            "conversation_id": conversation_id,
            "after_id": after_id,
            "before_id": before_id,
            "before_seq": before_seq,
            "max_messages": PAGE_SIZE,
        }
        rows = connection.execute(statement, parameters).all()
        page = []
        for row in rows:
            if row.id >= before_id:
                continue  # a later exchange than the one from which the path continues
            follows_before = None
            # A question without an answer leads nowhere: the next one continues from the newest answer.
            if row.role == "user" and row.parent_turn is not None and row.turn_id == answered_turn:
                follows_before = _end_of_exchange(connection, row.parent_turn)
            images = decode_references(row.images_json)
            page.append(StoredMessage(row.id, row.role, row.text, images, follows_before))
            before_id = min(row.id, follows_before) if follows_before is not None else row.id
            answered_turn = row.turn_id if row.role == "assistant" else None
        is_last = len(rows) < PAGE_SIZE
        yield page, is_last
        if is_last:
            return


def _path_includes_message(message_id: int, path: Iterable[StoredMessage]) -> bool:
    """Whether no question on this path continues from before a message that is older than the question."""
    return not any(
        message.follows_before is not None and message.follows_before <= message_id < message.id for message in path
    )


def _end_of_exchange(connection: Connection, turn_id: int) -> int:
    """The ID that follows the answer which is shown of those to this question; 0 if all were deleted."""
    last = connection.scalar(SELECT_LAST_OF_EXCHANGE, {"turn_id": turn_id})
    return 0 if last is None else last + 1


def _walk_after(
    connection: Connection, conversation_id: int, message_id: int, before_id: int = MAX_ID
) -> Iterator[StoredMessage]:
    pages = _walk(connection, conversation_id, after_id=message_id, before_id=before_id)
    return chain.from_iterable(page for page, _ in pages)


def load_messages_between(
    connection: Connection, conversation_id: int, after_id: int, before_id: int, limit: int
) -> tuple[StoredMessage, ...]:
    """The newest `limit` messages that lead from one message to the question `before_id`, oldest first."""
    return tuple(islice(_walk_after(connection, conversation_id, after_id, before_id), limit))[::-1]


def count_answers_before(connection: Connection, conversation_id: int, message_id: int) -> int:
    parameters = {"conversation_id": conversation_id, "before_id": message_id}
    return connection.scalar(COUNT_ANSWERS, parameters) or 0


def save_summary(
    connection: Connection,
    conversation_id: int,
    summary: ConversationSummary,
    model: str,
    replaces_up_to: int,
    made_from: Collection[int] = (),
) -> bool:
    """Store `summary`, unless another process has meanwhile stored one that covers at least as many messages.

    Nor is it stored if the conversation has meanwhile continued from an exchange that the summary covers, or if what
    it was made from has been deleted: the messages `made_from`, and the summary that it continues, whose
    `up_to_message` is `replaces_up_to`; 0 if there was none.
    """
    connection.execute(LOCK_CONVERSATION, {"conversation_id": conversation_id})
    if not _path_includes_message(
        summary.up_to_message, _walk_after(connection, conversation_id, summary.up_to_message)
    ):
        return False
    existing = select(func.count()).select_from(messages).where(messages.c.id.in_(made_from))
    if made_from and connection.scalar(existing) != len(made_from):
        return False
    if replaces_up_to and connection.execute(SELECT_SUMMARY, {"conversation_id": conversation_id}).first() is None:
        return False
    values = {
        "up_to_message": summary.up_to_message,
        "text": summary.text,
        "model": model,
        "created_at": database_now(),
    }
    is_older = (summaries.c.up_to_message == replaces_up_to) | (summaries.c.up_to_message < summary.up_to_message)
    return upsert(connection, summaries, {"conversation_id": conversation_id}, values, where=is_older) is not None


def delete_summary_of(connection: Connection, conversation_id: int, message_id: int | ScalarSelect[int]) -> None:
    """Delete the conversation's summary if it covers this message, or a newer one."""
    covers = summaries.c.up_to_message >= message_id
    connection.execute(delete(summaries).where(summaries.c.conversation_id == conversation_id, covers))


def delete_summary_of_other_branch(connection: Connection, conversation_id: int, parent_turn: int) -> None:
    """Delete the conversation's summary unless all it covers leads to the exchange `parent_turn`."""
    row = connection.execute(SELECT_SUMMARY, {"conversation_id": conversation_id}).first()
    if row is None:
        return
    end = _end_of_exchange(connection, parent_turn)
    if end <= row.up_to_message or not _path_includes_message(
        row.up_to_message, _walk_after(connection, conversation_id, row.up_to_message, end)
    ):
        delete_summary_of(connection, conversation_id, 0)
