"""Which conversations and settings belong to a person, on both databases."""

from dataclasses import replace
from functools import partial

import pytest

from core.port import Place, Sender
from core.store.database import Store
from core.store.people import Person, PersonConversations, find_conversations, member_scopes, setting_scopes
from core.store.preferences import Preference, PreferenceName, set_preference
from tests.core.store.turn_helpers import accept_event, message_event

ANN = Person("telegram", "5")
PRIVATE, GROUP = Place("telegram", "1", "5", is_private=True), Place("telegram", "1", "-7")
DISCORD_DM = Place("discord", "1", "99", is_private=True)


async def ask(store: Store, key: str, place: Place = GROUP, user: str = "5") -> None:
    """A question in the conversation `key`."""
    event = message_event(f"{user} in {key}", place=place)
    event = replace(event, sender=Sender(place.platform, user, "Somebody"))
    keys = {"conversation_key": key, "person_key": f"{place.platform}:{user}"}
    await store.write(partial(accept_event, incoming=event, **keys))


async def set_model(store: Store, *scopes: str) -> None:
    for scope in scopes:
        await store.write(set_preference, scope, PreferenceName.MODEL, Preference("phi-4", "Ann"))


async def found(store: Store, person: Person = ANN) -> PersonConversations:
    return await store.read(find_conversations, person)


def test_names_of_a_person() -> None:
    assert (ANN.key, ANN.subject, ANN.scope_key) == ("telegram:5", "telegram:person:5", "person:telegram:5")
    assert ANN.usage_subjects == ("person:telegram:5", "embeddings:person:telegram:5")


async def test_own_conversations_are_told_from_shared_ones(store: Store) -> None:
    await ask(store, "telegram:1:5::5", PRIVATE)
    await ask(store, "telegram:1:-7::5")
    await ask(store, "telegram:1:-7::5", user="6")  # a press under an answer to Ann
    await ask(store, "telegram:1:-7::6", user="6")
    await ask(store, "telegram:1:-7:9")  # a topic that shares one, in which only Ann has asked
    await ask(store, "telegram:1:-8:9")
    await ask(store, "telegram:1:-8:9", user="6")
    await ask(store, "telegram:1:-9:9", user="6")
    conversations = await found(store)
    assert set(conversations.own) == {"telegram:1:5::5", "telegram:1:-7::5", "telegram:1:-7:9"}
    assert set(conversations.shared) == {"telegram:1:-8:9"}
    assert conversations.private_chats == {"telegram:1:5"}
    bob = await found(store, Person("telegram", "6"))
    assert (set(bob.own), set(bob.shared)) == ({"telegram:1:-7::6", "telegram:1:-9:9"}, {"telegram:1:-8:9"})
    nobody = await found(store, Person("telegram", "55"))
    assert nobody == PersonConversations({}, {}, frozenset())


async def test_person_of_another_platform_with_the_same_id_is_somebody_else(store: Store) -> None:
    await ask(store, "telegram:1:5::5", PRIVATE)
    await ask(store, "discord:1:99::5", DISCORD_DM)
    assert set((await found(store)).own) == {"telegram:1:5::5"}
    on_discord = await found(store, Person("discord", "5"))
    assert set(on_discord.own) == {"discord:1:99::5"}
    assert on_discord.private_chats == {"discord:1:99"}, "the event says that the chat is private"


async def test_settings_show_a_private_chat_without_conversations(store: Store) -> None:
    await set_model(store, "chat:telegram:1:5", "thread:telegram:2:5:9", "chat:telegram:1:55", "chat:discord:1:5")
    assert (await found(store)).private_chats == {"telegram:1:5", "telegram:2:5"}


@pytest.mark.parametrize("private_chats", [(), ("telegram:1:5",)])
async def test_scopes_of_settings(store: Store, private_chats: tuple[str, ...]) -> None:
    in_private = {"chat:telegram:1:5", "thread:telegram:1:5:9"}
    own = {"person:telegram:5", "member:telegram:1:-7:5"}
    others = {"person:telegram:6", "member:telegram:1:-7:15", "member:discord:1:-7:5", "thread:telegram:1:55:9"}
    await set_model(store, *in_private, *own, *others)
    scopes = await store.read(setting_scopes, ANN, private_chats)
    assert sorted(scopes) == sorted(own | in_private if private_chats else own)
    assert await store.read(member_scopes, ANN) == ["member:telegram:1:-7:5"]
