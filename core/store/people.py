"""Finds what belongs to one person.

A conversation is a person's own if its key names them, or if nobody else has written in it. In a shared conversation,
the questions that they asked, the answers to them, and their notes and files are theirs.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from core.scopes import ScopeKind, grant_subject
from core.store.incoming_codec import decode_incoming
from core.store.schema import conversations, memory_entries, messages, preferences, turns
from core.store.token_usage import UsageKind


@dataclass(frozen=True, slots=True)
class Person:
    platform: str
    user: str

    @property
    def key(self) -> str:
        """See `core.scopes.person_key`."""
        return f"{self.platform}:{self.user}"

    @property
    def subject(self) -> str:
        return grant_subject(self.platform, ScopeKind.PERSON, self.user)

    @property
    def scope_key(self) -> str:
        """Where their preferences for all chats hold."""
        return f"{ScopeKind.PERSON}:{self.key}"

    @property
    def usage_subjects(self) -> tuple[str, ...]:
        """What their daily usage is counted for."""
        return self.scope_key, f"{UsageKind.EMBEDDINGS}:{self.scope_key}"


@dataclass(frozen=True, slots=True)
class ConversationIds:
    own: dict[int, str]
    """The keys of their own conversations."""
    shared: dict[int, str]
    """The keys of those in which others have written, too."""
    private_chats: frozenset[str]
    """The keys of the person's private chats, as far as they are known."""


def find_conversations(connection: Connection, person: Person) -> ConversationIds:
    private = _private_conversations(connection, person)
    has_written = or_(
        exists().where(messages.c.conversation_id == conversations.c.id, messages.c.person_key == person.key),
        exists().where(turns.c.conversation_id == conversations.c.id, turns.c.person_key == person.key),
        exists().where(
            memory_entries.c.conversation_key == conversations.c.key, memory_entries.c.person_key == person.key
        ),
    )
    of_platform = conversations.c.key.startswith(f"{person.platform}:", autoescape=True)
    names_person = conversations.c.key.contains(f":{person.user}", autoescape=True)
    rows = connection.execute(
        select(conversations.c.id, conversations.c.key).where(of_platform, or_(names_person, has_written))
    ).all()
    own: dict[int, str] = {}
    shared: dict[int, str] = {}
    for row in rows:
        owner = _owner(row.key)
        is_own = row.id in private or owner == person.user
        if is_own or (not owner and not _has_other_people(connection, row.id, row.key, person)):
            own[row.id] = row.key
        elif not owner:
            shared[row.id] = row.key
    private_chats = frozenset(":".join(own[id_].split(":")[:3]) for id_ in private & own.keys())
    return ConversationIds(own, shared, private_chats)


def _owner(key: str) -> str:
    """The ID of the person whose conversation this is: the last part of the key, or on some platforms the private
    chat's; "" if the key names none.
    """
    parts = key.split(":")
    return parts[4] if len(parts) >= 5 else ""


def _private_conversations(connection: Connection, person: Person) -> set[int]:
    """Those in private chats, by the person's events that are still stored and by the chat's ID."""
    rows = connection.execute(
        select(turns.c.conversation_id, turns.c.incoming_json).where(
            turns.c.person_key == person.key, turns.c.conversation_id.is_not(None)
        )
    )
    events = ((row.conversation_id, decode_incoming(row.incoming_json)) for row in rows)
    private = {id_ for id_, incoming in events if incoming is not None and incoming.place.is_private}
    # On Telegram, a private chat has its person's ID.
    by_chat = conversations.c.key.like(f"{person.platform}:%:{person.user}:%")
    rows = connection.execute(select(conversations.c.id, conversations.c.key).where(by_chat))
    return private | {row.id for row in rows if row.key.split(":")[2] == person.user}


def _has_other_people(connection: Connection, conversation_id: int, key: str, person: Person) -> bool:
    """Whether somebody else, or an unknown person, has written or stored something in a conversation."""
    others = (
        exists().where(messages.c.conversation_id == conversation_id, is_of_another(messages.c.person_key, person)),
        exists().where(turns.c.conversation_id == conversation_id, is_of_another(turns.c.person_key, person)),
        exists().where(memory_entries.c.conversation_key == key, is_of_another(memory_entries.c.person_key, person)),
    )
    return bool(connection.scalar(select(or_(*others))))


def is_of_another(column: ColumnElement[str | None], person: Person) -> ColumnElement[bool]:
    return column.is_(None) | (column != person.key)


def member_scopes(connection: Connection, person: Person) -> Collection[str]:
    """The scopes of the person's preferences in single groups."""
    prefix = f"{ScopeKind.MEMBER}:{person.platform}:"
    scopes = connection.scalars(
        select(preferences.c.scope)
        .distinct()
        .where(
            preferences.c.scope.startswith(prefix, autoescape=True),
            preferences.c.scope.endswith(f":{person.user}", autoescape=True),
        )
    )
    return scopes.all()
