"""Erases all that is stored of one person.

In shared conversations, the person's questions, the answers to them, and their notes and files are erased; what others
wrote stays. The summary of such a conversation is erased as a whole, because it may repeat them.

SQLite leaves the bytes of deleted rows in its file until it is rewritten (`remove_traces`). The erasure stores that
this is still to be done.

The newest turn and message leave an empty row with a higher ID behind: SQLite would use their IDs again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from core.store.database import Store
from core.store.incoming_codec import decode_incoming
from core.store.key_values import delete_value, get_value, set_value
from core.store.memories import ChunkKind
from core.store.people import NO_ROW, Person, find_conversations, setting_scopes
from core.store.schema import (
    access_requests,
    answer_parts,
    conversations,
    daily_usage,
    database_now,
    grants,
    key_values,
    memory_chunks,
    memory_entries,
    messages,
    model_pauses,
    personal_keys,
    preferences,
    rate_limits,
    reasoning,
    reservations,
    suggested_questions,
    summaries,
    token_usage,
    turns,
)
from core.store.turns import TurnState, erase_notes

PENDING_PREFIX = "erasure:"
"""Begins the keys in `key_values` that name a person to erase. The value is the turn by which they asked for it."""
REWRITE_KEY = "rewrite"
"""A key in `key_values`, as long as the file has to be rewritten. Each erasure stores its own value."""
TOMBSTONE_KEY = "erased"
"""The key of the conversation that holds the empty message."""


@dataclass(frozen=True, slots=True)
class Erasure:
    messages: int
    """Questions and answers."""
    entries: int
    """Notes and files."""


def erase_person(
    connection: Connection,
    person: Person,
    *,
    key_ids: Collection[str] = (),
    keeps_access: bool = False,
    except_turn: int | None = None,
) -> Erasure:
    """Erase the person. `key_ids` are the digests of their own API keys.

    `except_turn`: the turn by which they ask for it, which is still needed for the reply; `finish_erasures` deletes it
    later. `keeps_access`: they may go on using the bot.
    """
    known = find_conversations(connection, person)
    own_ids, shared_ids = ([id_ for id_ in ids if id_ != NO_ROW] for ids in (known.own.values(), known.shared.values()))
    _lock_conversations(connection, [*own_ids, *shared_ids])
    _erase_names(connection, person)
    chosen_by_them = conversations.c.next_parent_by == person.key
    connection.execute(update(conversations).where(chosen_by_them).values(next_parent=None, next_parent_by=None))
    erased = _erase_content(connection, person, own_ids, list(known.own), shared_ids)
    _erase_turns(connection, person, own_ids, except_turn)
    _erase_settings(connection, person, known.private_chats, keeps_access=keeps_access)
    for table in (token_usage, model_pauses, reservations):
        connection.execute(delete(table).where(table.c.key_id.in_(key_ids)))
    if except_turn is None:
        set_value(connection, REWRITE_KEY, uuid4().hex)
    else:
        marker = {"key": PENDING_PREFIX + person.key, "value": str(except_turn)}
        connection.execute(delete(key_values).where(key_values.c.key == marker["key"]))
        connection.execute(insert(key_values).values(marker))
    return erased


def finish_erasures(connection: Connection) -> int:
    """Delete the turns that `erase_person` has left, once they have ended. Returns how many erasures this completes."""
    is_pending = key_values.c.key.startswith(PENDING_PREFIX, autoescape=True)
    pending = connection.execute(select(key_values).where(is_pending)).all()
    finished = 0
    for row in pending:
        platform, user = row.key.removeprefix(PENDING_PREFIX).split(":", 1)
        person, last_turn = Person(platform, user), int(row.value)
        is_open = (turns.c.person_key == person.key, turns.c.id <= last_turn, turns.c.finished_at.is_(None))
        if connection.scalar(select(turns.c.id).where(*is_open).limit(1)) is not None:
            continue
        ids = select(turns.c.id).where(turns.c.person_key == person.key, turns.c.id <= last_turn)
        places = connection.scalars(ids.with_only_columns(turns.c.conversation_id)).all()
        _delete_turns(connection, ids)
        _delete_conversations(connection, [id_ for id_ in places if id_ is not None])
        connection.execute(delete(key_values).where(key_values.c.key == row.key))
        finished += 1
    if finished:
        set_value(connection, REWRITE_KEY, uuid4().hex)
    return finished


def _lock_conversations(connection: Connection, ids: Sequence[int]) -> None:
    """Let nobody store anything in these conversations that this transaction would not see.

    Whoever does so locks the conversation, too, before they look at what is stored.
    """
    connection.execute(
        select(conversations.c.id).where(conversations.c.id.in_(ids)).order_by(conversations.c.id).with_for_update()
    )


def has_traces(connection: Connection) -> bool:
    """Whether the database's file may have traces of erased rows."""
    return get_value(connection, REWRITE_KEY) is not None


async def remove_traces(store: Store) -> bool:
    """Remove the traces of erased rows from the database's file. Returns whether there were any. Raises `StoreError`.

    After an error, or if the process ends meanwhile, the next call does it.
    """
    erasure = await store.read(get_value, REWRITE_KEY)
    if erasure is None:
        return False
    await store.compact()
    await store.write(delete_value, REWRITE_KEY, erasure)
    return True


def _erase_names(connection: Connection, person: Person) -> None:
    """Where the person has changed a setting or decided on a request, their name stands beside it.

    Rows from before 0025 have only the name: there it is erased if other rows say that it is the person's.
    """
    rows = connection.scalars(select(turns.c.incoming_json).where(turns.c.person_key == person.key))
    events = map(decode_incoming, rows)
    names = {incoming.sender.name for incoming in events if incoming is not None}
    for table in (grants, access_requests):
        names |= set(connection.scalars(select(table.c.name).where(table.c.subject == person.subject)))
    names.discard("")
    for name, key in (
        (preferences.c.set_by, preferences.c.set_by_key),
        (access_requests.c.decided_by, access_requests.c.decided_by_key),
    ):
        is_unknown = func.coalesce(key, "") == ""
        is_theirs = or_(key == person.key, is_unknown & name.in_(names))
        connection.execute(update(name.table).where(is_theirs).values({name: "", key: ""}))


def _erase_content(
    connection: Connection, person: Person, own_ids: Sequence[int], own_keys: Sequence[str], shared_ids: Sequence[int]
) -> Erasure:
    asked = select(messages.c.turn_id).where(messages.c.person_key == person.key)
    is_theirs = or_(
        messages.c.conversation_id.in_(own_ids),
        messages.c.person_key == person.key,
        messages.c.variant_of.in_(asked),  # somebody else had their question answered again
    )
    ids = select(messages.c.id).where(is_theirs)
    is_vector = memory_chunks.c.kind == ChunkKind.MESSAGE
    connection.execute(delete(memory_chunks).where(is_vector, memory_chunks.c.message_id.in_(ids)))
    connection.execute(delete(summaries).where(summaries.c.conversation_id.in_([*own_ids, *shared_ids])))
    # The notes under the answers; the turns may be somebody else's. Under others' answers, notes may name their files.
    answered = select(messages.c.turn_id).where(is_theirs)
    connection.execute(update(turns).where(turns.c.id.in_(answered)).values(note=None, failure=None, buttons_json=None))
    erase_notes(connection, turns.c.conversation_id.in_(shared_ids))
    _keep_newest_message_id(connection, ids)
    message_count = connection.execute(delete(messages).where(is_theirs)).rowcount
    entries = or_(memory_entries.c.conversation_key.in_(own_keys), memory_entries.c.person_key == person.key)
    entry_ids = select(memory_entries.c.id).where(entries)
    connection.execute(
        delete(memory_chunks).where(
            or_(memory_chunks.c.conversation_key.in_(own_keys), memory_chunks.c.entry_id.in_(entry_ids))
        )
    )
    return Erasure(message_count, connection.execute(delete(memory_entries).where(entries)).rowcount)


def _keep_newest_message_id(connection: Connection, ids: Select[Any]) -> None:
    newest = connection.scalar(select(func.max(messages.c.id)))
    if connection.scalar(ids.where(messages.c.id == newest)) is None:
        return
    conversation_id = connection.scalar(select(conversations.c.id).where(conversations.c.key == TOMBSTONE_KEY))
    if conversation_id is None:
        statement = insert(conversations).values(key=TOMBSTONE_KEY).returning(conversations.c.id)
        conversation_id = connection.scalars(statement).one()
    values = {"conversation_id": conversation_id, "turn_id": 0, "role": "user", "text": "", "is_excluded": True}
    connection.execute(insert(messages).values(**values, created_at=database_now()))


def _erase_turns(connection: Connection, person: Person, own_ids: Sequence[int], except_turn: int | None) -> None:
    is_theirs = or_(turns.c.person_key == person.key, turns.c.conversation_id.in_(own_ids))
    _delete_turns(connection, select(turns.c.id).where(is_theirs, turns.c.id != (except_turn or 0)))
    _delete_conversations(connection, own_ids)


def _delete_turns(connection: Connection, ids: Select[Any]) -> None:
    newest = connection.scalar(select(func.max(turns.c.id)))
    if connection.scalar(ids.where(turns.c.id == newest)) is not None:
        values = {"event_key": f"{TOMBSTONE_KEY}:{newest}", "state": TurnState.DONE, "incoming_json": "{}"}
        times = {"created_at": database_now(), "finished_at": database_now()}
        connection.execute(insert(turns).values(**values, person_key="", **times))
    for table in (answer_parts, reasoning):
        connection.execute(delete(table).where(table.c.turn_id.in_(ids)))
    connection.execute(delete(turns).where(turns.c.id.in_(ids)))


def _delete_conversations(connection: Connection, ids: Sequence[int]) -> None:
    """Delete conversations, except those with a turn, which still needs them."""
    with_turns = select(turns.c.conversation_id).where(turns.c.conversation_id.in_(ids))
    with_messages = select(messages.c.conversation_id).where(messages.c.conversation_id.in_(ids))
    connection.execute(
        delete(conversations).where(
            conversations.c.id.in_(ids), conversations.c.id.not_in(with_turns), conversations.c.id.not_in(with_messages)
        )
    )


def _erase_settings(
    connection: Connection, person: Person, private_chats: Collection[str], *, keeps_access: bool
) -> None:
    scopes = setting_scopes(connection, person, private_chats)
    for chat in private_chats:
        account, _, chat_id = chat.rpartition(":")
        connection.execute(
            delete(rate_limits).where(rate_limits.c.account_key == account, rate_limits.c.chat == chat_id)
        )
    connection.execute(delete(preferences).where(preferences.c.scope.in_(scopes)))
    connection.execute(delete(daily_usage).where(daily_usage.c.subject.in_(person.usage_subjects)))
    for table in (personal_keys, suggested_questions):
        connection.execute(delete(table).where(table.c.person_key == person.key))
    connection.execute(delete(access_requests).where(access_requests.c.subject == person.subject))
    if not keeps_access:
        connection.execute(delete(grants).where(grants.c.subject == person.subject))
