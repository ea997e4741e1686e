"""The names under which everything is stored: databases hold them, so they do not change."""

from dataclasses import replace

from core.port import EventKind, Incoming, Place, Sender
from core.scopes import (
    applicable_scopes,
    conversation_key,
    grant_subjects,
    person_key,
    usage_subjects,
)

ANN = Sender("discord", "7", "Ann")
THREAD = Place("discord", "1", "20", thread="30", server="40")
PRIVATE = Place("discord", "1", "21", is_private=True)


def incoming_in(place: Place) -> Incoming:
    return Incoming(EventKind.PROMPT, "k", place, ANN, "hello")


def test_narrowest_scope_comes_first() -> None:
    assert [scope.key for scope in applicable_scopes(THREAD, ANN)] == [
        "member:discord:1:20:7",
        "thread:discord:1:20:30",
        "chat:discord:1:20",
        "person:discord:7",
        "server:discord:40",
    ]
    assert [scope.key for scope in applicable_scopes(PRIVATE, ANN)] == ["chat:discord:1:21", "person:discord:7"]


def test_conversation_belongs_to_person_unless_shared() -> None:
    assert person_key(ANN) == "discord:7"
    assert conversation_key(THREAD, ANN, shared=False) == "discord:1:20:30:7"
    assert conversation_key(THREAD, ANN, shared=True) == "discord:1:20:30:"
    assert conversation_key(replace(THREAD, thread=None), ANN, shared=False) == "discord:1:20::7"
    assert conversation_key(PRIVATE, ANN, shared=False) == "discord:1:21::"


def test_grant_to_person_chat_or_server_is_enough() -> None:
    assert grant_subjects(incoming_in(THREAD)) == ["discord:person:7", "discord:chat:20", "discord:server:40"]
    assert grant_subjects(incoming_in(PRIVATE)) == ["discord:person:7", "discord:chat:21"]


def test_question_counts_for_person_and_group() -> None:
    assert usage_subjects(incoming_in(THREAD)) == ("person:discord:7", "chat:discord:1:20")
    assert usage_subjects(incoming_in(PRIVATE)) == ("person:discord:7",)
