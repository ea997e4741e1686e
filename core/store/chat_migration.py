"""A chat that goes on under another id: everything known of it goes along, in one transaction."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, delete, func, select, update

from core.port import Place
from core.scopes import (
    ScopeKind,
    chat_scope_key,
    conversation_key_prefix,
    grant_subject,
    memory_scope_key,
    thread_scope_prefix,
)
from core.store.incoming_codec import decode_incoming, encode_incoming
from core.store.schema import (
    IS_OPEN,
    answer_parts,
    conversations,
    daily_usage,
    documents,
    grants,
    memory_chunks,
    messages,
    preferences,
    rate_limits,
    summaries,
    turns,
)
from core.store.turns import UNREACHABLE_MESSAGE

__all__ = ["move_chat"]


def move_chat(connection: Connection, platform: str, account: str, old_chat: str, new_chat: str) -> None:
    """What belonged to the chat `old` belongs to `new`; done twice it is done once.

    Where something is known of `new` already, conversations are joined, and what was chosen there
    stays chosen.
    """
    old, new = Place(platform, account, old_chat), Place(platform, account, new_chat)
    old_prefix, new_prefix = conversation_key_prefix(old), conversation_key_prefix(new)
    _move_conversations(connection, old_prefix, new_prefix)
    for old_scope, new_scope in (
        (chat_scope_key(old), chat_scope_key(new)),
        (thread_scope_prefix(old), thread_scope_prefix(new)),
        (memory_scope_key(old_prefix), memory_scope_key(new_prefix)),
    ):
        _rename_keys(connection, preferences, preferences.c.scope, old_scope, new_scope)
    old_subject, new_subject = (grant_subject(platform, ScopeKind.CHAT, chat) for chat in (old_chat, new_chat))
    _rename_keys(connection, grants, grants.c.subject, old_subject, new_subject)
    _merge_daily_usage(connection, chat_scope_key(old), chat_scope_key(new))
    is_old_chat = (rate_limits.c.account == f"{platform}:{account}", rate_limits.c.chat == old_chat)
    connection.execute(delete(rate_limits).where(*is_old_chat))
    _move_open_turns(connection, f"{platform}:{account}:", old_chat, new_chat)


def _rename_keys(connection: Connection, table: Table, column: Column[str], old: str, new: str) -> None:
    """Rename values that are `before`, or begin with it where it ends in a colon; what is known
    under the new name already stays.
    """
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


def _merge_daily_usage(connection: Connection, old_subject: str, new_subject: str) -> None:
    """What either chat used of a day counts."""
    mine = daily_usage.c.subject == old_subject
    for row in connection.execute(select(daily_usage).where(mine)).all():
        connection.execute(
            update(daily_usage)
            .where(daily_usage.c.subject == new_subject, daily_usage.c.day == row.day)
            .values(
                tokens=daily_usage.c.tokens + row.tokens,
                messages=daily_usage.c.messages + row.messages,
            )
        )
    _rename_keys(connection, daily_usage, daily_usage.c.subject, old_subject, new_subject)


def _move_conversations(connection: Connection, old_prefix: str, new_prefix: str) -> None:
    has_prefix = conversations.c.key.startswith(old_prefix, autoescape=True)
    # Locked, before anything of theirs is: what is accepted or answered meanwhile, by another
    # process, comes before all of this or after it.
    locked = select(conversations).with_for_update()
    for row in connection.execute(locked.where(has_prefix)).all():
        key = new_prefix + row.key[len(old_prefix) :]
        existing = connection.execute(locked.where(conversations.c.key == key)).first()
        if existing is not None:
            _merge_conversations(connection, row, existing)
        _move_memories(connection, row.key, key)
        connection.execute(update(conversations).where(conversations.c.id == row.id).values(key=key))


def _merge_conversations(connection: Connection, target: Row[Any], source: Row[Any]) -> None:
    """What was said in the new chat before its move was known comes after what was said. A new
    conversation that was begun there stays one.
    """
    connection.execute(
        update(turns)
        .where(turns.c.conversation == source.id)
        .values(conversation=target.id, seq=turns.c.seq + target.seq)
    )
    connection.execute(update(messages).where(messages.c.conversation == source.id).values(conversation=target.id))
    connection.execute(delete(summaries).where(summaries.c.conversation == source.id))
    connection.execute(delete(conversations).where(conversations.c.id == source.id))
    connection.execute(
        update(conversations)
        .where(conversations.c.id == target.id)
        .values(seq=target.seq + source.seq, since=max(target.since, source.since))
    )


def _move_memories(connection: Connection, old_key: str, new_key: str) -> None:
    """Notes and files; those of the new chat are numbered on."""
    highest = select(func.coalesce(func.max(documents.c.number), 0))
    highest_number = connection.scalar(highest.where(documents.c.scope == old_key)) or 0
    renumber = update(documents).where(documents.c.scope == new_key)
    connection.execute(renumber.values(number=-documents.c.number - highest_number))
    connection.execute(renumber.values(number=-documents.c.number))  # no two alike on the way
    for table in (documents, memory_chunks):
        connection.execute(update(table).where(table.c.scope == old_key).values(scope=new_key))


def _move_open_turns(connection: Connection, key_prefix: str, old_chat: str, new_chat: str) -> None:
    """Questions that are being answered. What of the answer stands in the old chat stays there, out
    of reach.
    """
    has_prefix = turns.c.key.startswith(key_prefix, autoescape=True)
    for row in connection.execute(select(turns.c.id, turns.c.incoming).where(IS_OPEN, has_prefix)).all():
        incoming = decode_incoming(row.incoming)
        if incoming is None or incoming.place.chat != old_chat:
            continue
        moved = replace(incoming, place=replace(incoming.place, chat=new_chat), message_id=None)
        connection.execute(update(turns).where(turns.c.id == row.id).values(incoming=encode_incoming(moved)))
        sent_here = (answer_parts.c.turn == row.id, answer_parts.c.message.is_not(None))
        connection.execute(update(answer_parts).where(*sent_here).values(message=UNREACHABLE_MESSAGE))
