"""The strings that name people, chats and conversations in the database.

    person        telegram:PERSON                            who asked, whose API key
    conversation  telegram:BOT:CHAT:THREAD:PERSON            messages, notes and files; THREAD and PERSON may be empty
    chat          telegram:BOT:CHAT
    scope         person:telegram:PERSON                     where a preference holds, what a daily allowance is for
                  member:telegram:BOT:CHAT:PERSON
                  chat:telegram:BOT:CHAT
                  thread:telegram:BOT:CHAT:THREAD
                  server:discord:SERVER
    grant         telegram:person:PERSON, telegram:chat:CHAT, discord:server:SERVER, discord:role:ROLE

BOT is the bot's account. The strings are stored: changing one takes a migration. Pure functions.
"""

from dataclasses import dataclass
from enum import StrEnum

from core.port import Incoming, Place, Sender


class ScopeKind(StrEnum):
    MEMBER = "member"
    """One person in one group or channel."""
    THREAD = "thread"
    CHAT = "chat"
    PERSON = "person"
    SERVER = "server"
    ROLE = "role"
    """A role of a server's members; only for grants."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a preference holds."""

    kind: ScopeKind
    key: str


def person_key(sender: Sender) -> str:
    return f"{sender.platform}:{sender.user}"


def conversation_key(place: Place, sender: Sender, *, shared: bool, is_confidential: bool = False) -> str:
    """A private chat is one conversation. In a group, each person has one per thread, or all share one; what only the
    person sees is another one.
    """
    if is_confidential:
        return f"{conversation_key_prefix(place)}{place.thread or ''}:{sender.user}:confidential"
    person = "" if place.is_private or shared else sender.user
    return f"{conversation_key_prefix(place)}{place.thread or ''}:{person}"


def chat_key(place: Place) -> str:
    return f"{place.platform}:{place.account}:{place.chat}"


def conversation_key_prefix(place: Place) -> str:
    """How the keys of all conversations in a chat begin."""
    return f"{chat_key(place)}:"


def chat_scope_key(place: Place) -> str:
    return f"{ScopeKind.CHAT}:{chat_key(place)}"


def thread_scope_prefix(place: Place) -> str:
    """How the scope keys of all threads in a chat begin."""
    return f"{ScopeKind.THREAD}:{chat_key(place)}:"


def member_scope_prefix(place: Place) -> str:
    """How the scope keys of all people in a chat begin."""
    return f"{ScopeKind.MEMBER}:{chat_key(place)}:"


def applicable_scopes(place: Place, sender: Sender) -> tuple[Scope, ...]:
    """The scopes whose preferences hold here; the first that has one wins."""
    scopes = [Scope(ScopeKind.CHAT, chat_scope_key(place)), Scope(ScopeKind.PERSON, _person_scope_key(sender))]
    if place.thread is not None:
        scopes.insert(0, Scope(ScopeKind.THREAD, thread_scope_prefix(place) + place.thread))
    if not place.is_private and not sender.is_anonymous:
        scopes.insert(0, Scope(ScopeKind.MEMBER, member_scope_prefix(place) + sender.user))
    if place.server is not None:
        scopes.append(Scope(ScopeKind.SERVER, f"{ScopeKind.SERVER}:{place.platform}:{place.server}"))
    return tuple(scopes)


def usage_subjects(incoming: Incoming) -> tuple[str, ...]:
    """Whose daily allowance a question counts for: the person's and, in a group or channel, the chat's."""
    person, place = _person_scope_key(incoming.sender), incoming.place
    return (person,) if place.is_private or place.is_foreign else (person, chat_scope_key(place))


def grant_subject(platform: str, kind: ScopeKind, id_: str) -> str:
    """A person, chat, server or role that may be granted access, or banned."""
    return f"{platform}:{kind}:{id_}"


def person_subject(sender: Sender) -> str:
    return grant_subject(sender.platform, ScopeKind.PERSON, sender.user)


def person_key_of_subject(subject: str) -> str | None:
    """The `person_key` of a person who may be granted access; None for a chat, server or role."""
    platform, kind, id_ = subject.split(":", 2)
    return f"{platform}:{id_}" if kind == ScopeKind.PERSON else None


def grant_subjects(incoming: Incoming) -> list[str]:
    """The subjects of which one, or a role, must have a grant for the sender to use the bot in this place."""
    place = incoming.place
    subjects = [
        person_subject(incoming.sender),
        grant_subject(place.platform, ScopeKind.CHAT, place.chat),
    ]
    if place.server:
        subjects.append(grant_subject(place.platform, ScopeKind.SERVER, place.server))
    return subjects


def role_subjects(sender: Sender) -> list[str]:
    return [grant_subject(sender.platform, ScopeKind.ROLE, role) for role in sender.roles or ()]


def is_role_subject(subject: str) -> bool:
    return subject.split(":", 2)[1] == ScopeKind.ROLE


def _person_scope_key(sender: Sender) -> str:
    return f"{ScopeKind.PERSON}:{person_key(sender)}"
