"""Whose conversation it is, and where a choice holds: pure functions of a place and a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.port import Incoming, Place, Sender
from core.store.conversations import Preference

__all__ = [
    "Scope",
    "applicable_scopes",
    "chat_scope_key",
    "conversation_key",
    "person_key",
    "resolve_preference",
    "usage_subjects",
]


@dataclass(frozen=True, slots=True)
class Scope:
    """`label` is for people: "this chat". Narrower scopes win."""

    key: str
    label: str


def person_key(sender: Sender) -> str:
    return f"{sender.platform}:{sender.user}"


def conversation_key(place: Place, sender: Sender, *, shared: bool) -> str:
    """A private chat belongs to its person; elsewhere each person has a conversation of their own
    within chat and thread, unless the chat shares one.
    """
    person = "" if place.private or shared else sender.user
    return f"{place.platform}:{place.account}:{place.chat}:{place.thread or ''}:{person}"


def usage_subjects(incoming: Incoming) -> tuple[str, ...]:
    """Who a question counts for in a day: the person, and the chat where it is not private."""
    place = incoming.place
    person = f"person:{person_key(incoming.sender)}"
    return (person,) if place.private else (person, chat_scope_key(place))


def chat_scope_key(place: Place) -> str:
    return f"chat:{place.platform}:{place.account}:{place.chat}"


def applicable_scopes(place: Place, sender: Sender) -> tuple[Scope, ...]:
    """Narrowest first."""
    applicable = [
        Scope(chat_scope_key(place), "this chat"),
        Scope(f"person:{person_key(sender)}", "you, everywhere"),
    ]
    if place.thread is not None:
        thread = f"thread:{place.platform}:{place.account}:{place.chat}:{place.thread}"
        applicable.insert(0, Scope(thread, "this thread"))
    if place.server is not None:
        applicable.append(Scope(f"server:{place.platform}:{place.server}", "this server"))
    return tuple(applicable)


def resolve_preference(
    stored: Mapping[tuple[str, str], Preference], scopes: Sequence[Scope], name: str
) -> tuple[Preference, Scope] | None:
    """The choice that wins, and the scope it was made for."""
    for scope in scopes:
        if (scope.key, name) in stored:
            return stored[scope.key, name], scope
    return None
