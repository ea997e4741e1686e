"""A chat that goes on under another id: everything known of it goes along, in one transaction."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, delete, func, select, update

from core.store.events import pack, unpack
from core.store.schema import (
    OPEN,
    allowances,
    choices,
    conversations,
    documents,
    grants,
    memories,
    messages,
    parts,
    summaries,
    turns,
    waits,
)
from core.store.turns import OUT_OF_REACH

__all__ = ["move_chat"]


def move_chat(connection: Connection, platform: str, account: str, old: str, new: str) -> None:
    """What belonged to the chat `old` belongs to `new`; done twice it is done once.

    Where something is known of `new` already, conversations are joined, and what was chosen there
    stays chosen.
    """
    before, after = f"{platform}:{account}:{old}", f"{platform}:{account}:{new}"
    _conversations(connection, f"{before}:", f"{after}:")
    _renamed(connection, choices, choices.c.scope, f"chat:{before}", f"chat:{after}")
    _renamed(connection, choices, choices.c.scope, f"thread:{before}:", f"thread:{after}:")
    # What is recalled is chosen for each conversation, by its key.
    _renamed(connection, choices, choices.c.scope, f"memory:{before}:", f"memory:{after}:")
    _renamed(
        connection, grants, grants.c.subject, f"{platform}:chat:{old}", f"{platform}:chat:{new}"
    )
    _allowances(connection, f"chat:{before}", f"chat:{after}")
    mine = (waits.c.account == f"{platform}:{account}", waits.c.chat == old)
    connection.execute(delete(waits).where(*mine))
    _open_turns(connection, f"{platform}:{account}:", old, new)


def _renamed(
    connection: Connection, table: Table, column: Column[str], before: str, after: str
) -> None:
    """Rename values that are `before`, or begin with it where it ends in a colon; what is known
    under the new name already stays.
    """
    fits = column.startswith(before, autoescape=True) if before[-1] == ":" else column == before
    others = [key for key in table.primary_key.columns if key is not column]
    for row in connection.execute(select(table).where(fits)).mappings().all():
        name = after + row[column][len(before) :]
        same = [key == row[key] for key in others]
        this = (column == row[column], *same)
        if connection.execute(select(column).where(column == name, *same)).first() is None:
            connection.execute(update(table).where(*this).values({column: name}))
        else:
            connection.execute(delete(table).where(*this))


def _allowances(connection: Connection, before: str, after: str) -> None:
    """What either chat used of a day counts."""
    mine = allowances.c.subject == before
    for row in connection.execute(select(allowances).where(mine)).all():
        connection.execute(
            update(allowances)
            .where(allowances.c.subject == after, allowances.c.day == row.day)
            .values(
                tokens=allowances.c.tokens + row.tokens,
                messages=allowances.c.messages + row.messages,
            )
        )
    _renamed(connection, allowances, allowances.c.subject, before, after)


def _conversations(connection: Connection, before: str, after: str) -> None:
    fits = conversations.c.key.startswith(before, autoescape=True)
    # Locked, before anything of theirs is: what is accepted or answered meanwhile, by another
    # process, comes before all of this or after it.
    locked = select(conversations).with_for_update()
    for row in connection.execute(locked.where(fits)).all():
        key = after + row.key[len(before) :]
        newcomer = connection.execute(locked.where(conversations.c.key == key)).first()
        if newcomer is not None:
            _join(connection, row, newcomer)
        _scope(connection, row.key, key)
        connection.execute(
            update(conversations).where(conversations.c.id == row.id).values(key=key)
        )


def _join(connection: Connection, into: Row[Any], newcomer: Row[Any]) -> None:
    """What was said in the new chat before its move was known comes after what was said. A new
    conversation that was begun there stays one.
    """
    connection.execute(
        update(turns)
        .where(turns.c.conversation == newcomer.id)
        .values(conversation=into.id, seq=turns.c.seq + into.seq)
    )
    connection.execute(
        update(messages).where(messages.c.conversation == newcomer.id).values(conversation=into.id)
    )
    connection.execute(delete(summaries).where(summaries.c.conversation == newcomer.id))
    connection.execute(delete(conversations).where(conversations.c.id == newcomer.id))
    connection.execute(
        update(conversations)
        .where(conversations.c.id == into.id)
        .values(seq=into.seq + newcomer.seq, since=max(into.since, newcomer.since))
    )


def _scope(connection: Connection, before: str, after: str) -> None:
    """Notes and files; those of the new chat are numbered on."""
    highest = select(func.coalesce(func.max(documents.c.number), 0))
    most = connection.scalar(highest.where(documents.c.scope == before)) or 0
    theirs = update(documents).where(documents.c.scope == after)
    connection.execute(theirs.values(number=-documents.c.number - most))
    connection.execute(theirs.values(number=-documents.c.number))  # no two alike on the way
    for table in (documents, memories):
        connection.execute(update(table).where(table.c.scope == before).values(scope=after))


def _open_turns(connection: Connection, account: str, old: str, new: str) -> None:
    """Questions that are being answered. What of the answer stands in the old chat stays there, out
    of reach.
    """
    fits = turns.c.key.startswith(account, autoescape=True)
    for row in connection.execute(select(turns.c.id, turns.c.incoming).where(OPEN, fits)).all():
        incoming = unpack(row.incoming)
        if incoming is None or incoming.place.chat != old:
            continue
        moved = replace(incoming, place=replace(incoming.place, chat=new), message=None)
        connection.execute(update(turns).where(turns.c.id == row.id).values(incoming=pack(moved)))
        there = (parts.c.turn == row.id, parts.c.message.is_not(None))
        connection.execute(update(parts).where(*there).values(message=OUT_OF_REACH))
