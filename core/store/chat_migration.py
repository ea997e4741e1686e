"""Moves a chat to a new ID (a Telegram group that becomes a supergroup), in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, delete, func, select, update

from core.port import AccountKey, Place
from core.scopes import (
    ScopeKind,
    chat_key,
    chat_scope_key,
    conversation_key_prefix,
    grant_subject,
    member_scope_prefix,
    thread_scope_prefix,
)
from core.store.answer_parts import PartState
from core.store.grants import Role
from core.store.incoming_codec import decode_incoming, encode_incoming
from core.store.schema import (
    IS_OPEN,
    answer_parts,
    conversations,
    daily_usage,
    grants,
    memory_chunks,
    memory_entries,
    messages,
    preferences,
    rate_limits,
    summaries,
    turns,
)


def move_chat(connection: Connection, account: AccountKey, old_chat: str, new_chat: str) -> None:
    """Move everything from `old_chat` to `new_chat`. Idempotent.

    If both have a conversation, the two are merged. If both have a preference, the new chat's wins.
    """
    old, new = (Place(account.platform, account.account, chat) for chat in (old_chat, new_chat))
    _move_conversations(connection, conversation_key_prefix(old), conversation_key_prefix(new))
    _rename_keys(connection, preferences.c.scope, chat_scope_key(old), chat_scope_key(new))
    for prefix in (thread_scope_prefix, member_scope_prefix):
        _rename_keys(connection, preferences.c.scope, prefix(old), prefix(new))
    old_subject, new_subject = (grant_subject(account.platform, ScopeKind.CHAT, chat) for chat in (old_chat, new_chat))
    _keep_ban(connection, old_subject, new_subject)
    _rename_keys(connection, grants.c.subject, old_subject, new_subject)
    _merge_daily_usage(connection, chat_scope_key(old), chat_scope_key(new))
    is_old_chat = (rate_limits.c.account_key == str(account), rate_limits.c.chat == old_chat)
    connection.execute(delete(rate_limits).where(*is_old_chat))
    _move_open_turns(connection, account, old_chat, new_chat)


def _rename_keys(connection: Connection, column: Column[str], old: str, new: str) -> None:
    """Rename the key `old`, or a prefix of keys if it ends in a colon. Existing rows with the new key are kept."""
    table: Table = column.table
    matches = column.startswith(old, autoescape=True) if old[-1] == ":" else column == old
    other_columns = [key for key in table.primary_key.columns if key is not column]
    for row in connection.execute(select(table).where(matches)).mappings().all():
        name = new + row[column][len(old) :]
        same_row = [key == row[key] for key in other_columns]
        this_row = (column == row[column], *same_row)
        if connection.execute(select(column).where(column == name, *same_row)).first() is None:
            connection.execute(update(table).where(*this_row).values({column: name}))
        else:
            connection.execute(delete(table).where(*this_row))


def _keep_ban(connection: Connection, old_subject: str, new_subject: str) -> None:
    """A ban of the old chat holds for the new one, whatever that has."""
    is_banned = select(grants.c.subject).where(grants.c.subject == old_subject, grants.c.role == Role.BANNED).exists()
    connection.execute(update(grants).where(grants.c.subject == new_subject, is_banned).values(role=Role.BANNED))


def _merge_daily_usage(connection: Connection, old_subject: str, new_subject: str) -> None:
    """Add the old chat's usage to the new chat's usage of the same day."""
    is_old = daily_usage.c.subject == old_subject
    for row in connection.execute(select(daily_usage).where(is_old)).all():
        connection.execute(
            update(daily_usage)
            .where(daily_usage.c.subject == new_subject, daily_usage.c.day == row.day)
            .values(tokens=daily_usage.c.tokens + row.tokens, questions=daily_usage.c.questions + row.questions)
        )
    _rename_keys(connection, daily_usage.c.subject, old_subject, new_subject)


def _move_conversations(connection: Connection, old_prefix: str, new_prefix: str) -> None:
    has_prefix = conversations.c.key.startswith(old_prefix, autoescape=True)
    # Lock the conversations first, so that other processes accept events and store answers either before or after
    # the whole move.
    locked = select(conversations).with_for_update()
    for row in connection.execute(locked.where(has_prefix)).all():
        key = new_prefix + row.key[len(old_prefix) :]
        _forget_messages(connection, select(turns.c.id).where(turns.c.conversation_id == row.id))
        existing = connection.execute(locked.where(conversations.c.key == key)).first()
        if existing is not None:
            _merge_conversations(connection, row, existing)
        _move_memories(connection, row.key, key)
        connection.execute(update(conversations).where(conversations.c.id == row.id).values(key=key))


def _forget_messages(connection: Connection, turn_ids: Select[int] | Sequence[int]) -> None:
    """The messages of these turns stay in the old chat. In the new one, their IDs are those of other messages."""
    connection.execute(
        update(answer_parts)
        .where(answer_parts.c.turn_id.in_(turn_ids), answer_parts.c.message_id.is_not(None))
        .values(state=PartState.UNREACHABLE, message_id=None)
    )


def _merge_conversations(connection: Connection, target: Row[Any], source: Row[Any]) -> None:
    """Append `source`, a conversation that began in the new chat, to `target`. A /new in either one stays in force."""
    connection.execute(
        update(turns)
        .where(turns.c.conversation_id == source.id)
        .values(conversation_id=target.id, seq=turns.c.seq + target.last_seq)
    )
    connection.execute(
        update(messages).where(messages.c.conversation_id == source.id).values(conversation_id=target.id)
    )
    connection.execute(delete(summaries).where(summaries.c.conversation_id == source.id))
    connection.execute(delete(conversations).where(conversations.c.id == source.id))
    connection.execute(
        update(conversations)
        .where(conversations.c.id == target.id)
        .values(
            last_seq=target.last_seq + source.last_seq,
            history_after=max(target.history_after, source.history_after),
            reset_by_turn=max(target.reset_by_turn, source.reset_by_turn),
            successor_named_by_turn=max(target.successor_named_by_turn, source.successor_named_by_turn),
            recall_mode=source.recall_mode or target.recall_mode,
            recall_after=max(target.recall_after, source.recall_after),
        )
    )


def _move_memories(connection: Connection, old_key: str, new_key: str) -> None:
    """Move notes and files. Those of the new chat are renumbered to follow those of the old one."""
    highest = select(func.coalesce(func.max(memory_entries.c.number), 0))
    highest_number = connection.scalar(highest.where(memory_entries.c.conversation_key == old_key)) or 0
    renumber = update(memory_entries).where(memory_entries.c.conversation_key == new_key)
    # Via negative numbers, because numbers have to be unique after every updated row.
    connection.execute(renumber.values(number=-memory_entries.c.number - highest_number))
    connection.execute(renumber.values(number=-memory_entries.c.number))
    for table in (memory_entries, memory_chunks):
        connection.execute(update(table).where(table.c.conversation_key == old_key).values(conversation_key=new_key))


def _move_open_turns(connection: Connection, account: AccountKey, old_chat: str, new_chat: str) -> None:
    """Continue open turns in the new chat."""
    of_account = turns.c.event_key.startswith(f"{account}:", autoescape=True)
    old_key = chat_key(Place(account.platform, account.account, old_chat))
    is_moved = (IS_OPEN, of_account, turns.c.chat_key.in_([old_key, ""]))
    # Locked, because a turn that ends, or whose person is erased, meanwhile must not get its text back.
    locked = select(turns.c.id, turns.c.incoming_json).where(*is_moved).order_by(turns.c.id).with_for_update()
    for row in connection.execute(locked).all():
        incoming = decode_incoming(row.incoming_json)
        if incoming is None or incoming.place.chat != old_chat:
            continue
        migrated = replace(incoming, place=replace(incoming.place, chat=new_chat), message_id=None)
        connection.execute(
            update(turns)
            .where(turns.c.id == row.id)
            .values(chat_key=chat_key(migrated.place), incoming_json=encode_incoming(migrated))
        )
        # A refused turn belongs to no conversation.
        _forget_messages(connection, [row.id])
