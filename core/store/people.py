"""Finds what belongs to one person.

A conversation is a person's own if its key names them, or if nobody else has written in it. In a shared conversation,
the questions that they asked, the answers to them, and their notes and files are theirs.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, exists, literal, or_, select, union

from core.scopes import ScopeKind, grant_subject
from core.store.incoming_codec import decode_incoming
from core.store.schema import conversations, memory_entries, messages, preferences, rate_limits, turns
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
class PersonConversations:
    """Conversations by their keys, with their IDs; `NO_ROW`: only notes and files are left of it."""

    own: dict[str, int]
    shared: dict[str, int]
    """Those in which others have written, too."""
    private_chats: frozenset[str]
    """The keys of the person's private chats, as far as they are known."""


NO_ROW = 0


def find_conversations(connection: Connection, person: Person) -> PersonConversations:
    private = _private_conversations(connection, person)
    ids = _named_conversations(connection, person) | _written_conversations(connection, person)
    own: dict[str, int] = {}
    shared: dict[str, int] = {}
    for key, id_ in ids.items():
        owner = _owner(key)
        is_own = id_ in private or _is_named(key, person)
        if is_own or (not owner and not _has_other_people(connection, id_, key, person)):
            own[key] = id_
        elif not owner:
            shared[key] = id_
    in_private = {_chat_of(key) for key, id_ in own.items() if id_ in private}
    return PersonConversations(own, shared, frozenset(in_private | _private_chats_with_settings(connection, person)))


def _named_conversations(connection: Connection, person: Person) -> dict[str, int]:
    """Those whose keys name the person, or a private chat with the person's ID."""
    ids: dict[str, int] = {}
    has_row = exists().where(conversations.c.key == memory_entries.c.conversation_key)
    without_row = select(literal(NO_ROW), memory_entries.c.conversation_key).distinct().where(~has_row)
    for key, query in (
        (memory_entries.c.conversation_key, without_row),
        (conversations.c.key, select(conversations.c.id, conversations.c.key)),
    ):
        of_platform = key.startswith(f"{person.platform}:", autoescape=True)
        is_candidate = key.contains(f":{person.user}:", autoescape=True) | key.endswith(f":{person.user}")
        rows = connection.execute(query.where(of_platform, is_candidate))
        ids |= {key: id_ for id_, key in rows if _is_named(key, person)}
    return ids


def _written_conversations(connection: Connection, person: Person) -> dict[str, int]:
    """Those in which the person has asked or stored something."""
    asked = union(
        *(select(table.c.conversation_id).where(table.c.person_key == person.key) for table in (messages, turns))
    )
    stored = select(memory_entries.c.conversation_key).where(memory_entries.c.person_key == person.key)
    has_written = or_(conversations.c.id.in_(asked), conversations.c.key.in_(stored))
    rows = connection.execute(select(conversations.c.id, conversations.c.key).where(has_written))
    return dict.fromkeys(connection.scalars(stored), NO_ROW) | {row.key: row.id for row in rows}


def _private_chats_with_settings(connection: Connection, person: Person) -> set[str]:
    """Private chats that have the person's ID, as on Telegram, even if no conversation is left in them."""
    chat = f"{person.platform}:%:{person.user}"
    scope = preferences.c.scope
    of_chat = or_(scope.like(f"{ScopeKind.CHAT}:{chat}"), scope.like(f"{ScopeKind.THREAD}:{chat}:%"))
    scopes = connection.scalars(select(scope).distinct().where(of_chat))
    of_account = rate_limits.c.account_key.startswith(f"{person.platform}:", autoescape=True)
    waits = connection.execute(select(rate_limits).where(of_account, rate_limits.c.chat == person.user))
    keys = [scope.partition(":")[2] for scope in scopes] + [f"{row.account_key}:{row.chat}" for row in waits]
    return {_chat_of(key) for key in keys if _is_chat_of(key, person)}


def _is_named(key: str, person: Person) -> bool:
    return _owner(key) == person.user or _is_chat_of(key, person)


def _chat_of(key: str) -> str:
    """The key of the chat in which a conversation or thread is."""
    return ":".join(key.split(":")[:3])


def _is_chat_of(key: str, person: Person) -> bool:
    """Whether the key is that of a chat with the person's ID, or of a conversation or thread in it."""
    return key.split(":")[2] == person.user


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
    return private | {row.id for row in rows if _is_chat_of(row.key, person)}


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


def setting_scopes(connection: Connection, person: Person, private_chats: Collection[str]) -> list[str]:
    """The scopes of the person's preferences: in all chats, in single groups, in private chats and in their topics."""
    scopes = [person.scope_key, *member_scopes(connection, person)]
    for chat in private_chats:
        scopes.append(f"{ScopeKind.CHAT}:{chat}")
        in_topics = preferences.c.scope.startswith(f"{ScopeKind.THREAD}:{chat}:", autoescape=True)
        scopes += connection.scalars(select(preferences.c.scope).distinct().where(in_topics))
    return scopes


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
