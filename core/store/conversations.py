"""Finds conversations, and sets the point at which their history begins."""

from sqlalchemy import Connection, and_, exists, func, select, update

from core.store.schema import conversations, messages, summaries, turns
from core.store.turns import ANSWER_MODEL

IS_EMPTY = and_(
    conversations.c.recall_mode.is_(None),
    *(~exists().where(table.c.conversation_id == conversations.c.id) for table in (turns, messages, summaries)),
)
"""Whether nothing needs a conversation. Its messages stay when its turns are deleted."""


def find_conversation(connection: Connection, key: str) -> int | None:
    return connection.scalar(select(conversations.c.id).where(conversations.c.key == key))


def list_chats(connection: Connection, account_key: str) -> list[str]:
    """The IDs of the chats in which the account has a conversation, the newest first."""
    of_account = conversations.c.key.startswith(f"{account_key}:", autoescape=True)
    keys = connection.scalars(select(conversations.c.key).where(of_account).order_by(conversations.c.id.desc()))
    return list(dict.fromkeys(key.split(":")[2] for key in keys))


def reset_history(connection: Connection, conversation_id: int, before_turn: int) -> None:
    """Exclude all messages of turns before `before_turn` from the history, also those stored later; they stay stored.

    Repeated or delayed calls do not affect later messages.
    """
    # Answers are stored either before this transaction or after it.
    connection.execute(select(conversations.c.id).where(conversations.c.id == conversation_id).with_for_update())
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id, conversations.c.reset_by_turn < before_turn)
        .values(reset_by_turn=before_turn)
    )
    last_message = connection.scalar(
        select(func.coalesce(func.max(messages.c.id), 0)).where(
            messages.c.conversation_id == conversation_id, messages.c.turn_id < before_turn
        )
    )
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id, conversations.c.history_after <= last_message)
        .values(history_after=last_message, truncation_notified=False, next_parent=None, next_parent_by=None)
    )


def is_truncation_notified(connection: Connection, conversation_id: int) -> bool:
    """Whether the person has been told that older messages no longer fit the model."""
    query = select(conversations.c.truncation_notified).where(conversations.c.id == conversation_id)
    return bool(connection.scalar(query))


def mark_truncation_notified(connection: Connection, conversation_id: int) -> None:
    connection.execute(
        update(conversations).where(conversations.c.id == conversation_id).values(truncation_notified=True)
    )


def has_answered_since_default_replaced(connection: Connection, conversation_id: int, model: str) -> bool:
    """Whether an answer of `model` came after the turn of `mark_default_replaced`."""
    replaced_by = select(conversations.c.successor_named_by_turn).where(conversations.c.id == conversation_id)
    turn_id = connection.scalar(replaced_by) or 0
    # Only what came after it is read: the conversation may be long.
    last_message = connection.scalar(select(func.max(messages.c.id)).where(messages.c.turn_id == turn_id)) or 0
    query = (
        select(messages.c.id)
        .outerjoin(turns, turns.c.id == messages.c.turn_id)
        .where(messages.c.conversation_id == conversation_id, messages.c.id > last_message)
        .where(messages.c.role == "assistant", messages.c.turn_id > turn_id, ANSWER_MODEL.in_([model]))
    )
    return connection.scalar(query.limit(1)) is not None


def mark_default_replaced(connection: Connection, conversation_id: int, turn_id: int) -> None:
    """Record that this turn has the last answer in place of the operator's default model, which is gone."""
    connection.execute(
        update(conversations).where(conversations.c.id == conversation_id).values(successor_named_by_turn=turn_id)
    )
