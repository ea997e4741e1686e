"""A group becomes a supergroup: nothing known of it is lost, on both databases."""

from dataclasses import replace

from core.conversation.scope import chat_scope, conversation_key
from core.port import Incoming, Kind, Place, Sender
from core.store import conversations, moves, turns
from core.store.conversations import Choice
from core.store.database import Store
from core.store.turns import Bounds, State

OLD = Place("telegram", "1", "-5")
NEW = replace(OLD, chat="-1005")
ANN = Sender("telegram", "7", "Ann")


async def say(store: Store, place: Place, key: str) -> None:
    await store.write(
        turns.accept,
        Incoming(Kind.PROMPT, key, place, ANN, key, message="9"),
        key=conversation_key(place, ANN, shared=False),
        person="telegram:7",
        ordered=True,
        bounds=Bounds(),
    )


async def answer(store: Store) -> turns.Turn:
    (turn,) = await store.write(turns.claim, "me", [("telegram", "1")], lease=30, most=1)
    await store.write(
        turns.reply, turn, "me", prompt=turn.incoming.text, text="yes", note="", model="m",
        usage=(1, 1),
    )  # fmt: skip
    await store.write(turns.finish, turn, "me", State.DONE)
    return turn


async def move(store: Store) -> None:
    await store.write(moves.move_chat, "telegram", "1", "-5", "-1005")


async def test_conversations_choices_and_grants_go_along(store: Store) -> None:
    await say(store, OLD, "before")
    await answer(store)
    await store.write(conversations.choose, chat_scope(OLD), "model", Choice("phi", "Ann"))
    await store.write(conversations.grant, "telegram:chat:-5", "member", "")
    await say(store, OLD, "waits")
    await move(store)
    await move(store)
    key = conversation_key(NEW, ANN, shared=False)
    conversation = await store.read(conversations.find, key)
    assert conversation is not None
    assert await store.read(conversations.find, conversation_key(OLD, ANN, shared=False)) is None
    assert await store.read(conversations.granted) == {"telegram:chat:-1005": "member"}
    made = await store.read(conversations.all_choices, [chat_scope(NEW), chat_scope(OLD)])
    assert list(made) == [(chat_scope(NEW), "model")]
    turn = await answer(store)
    assert turn.incoming.place == NEW
    said = await store.read(conversations.history, conversation, None, 50)
    assert [text for _, text in said] == ["before", "yes", "waits", "yes"]


async def test_what_was_said_in_the_new_chat_before_comes_after(store: Store) -> None:
    await say(store, OLD, "first")
    await answer(store)
    await say(store, NEW, "second")
    await answer(store)
    await store.write(conversations.choose, chat_scope(OLD), "model", Choice("old", "Ann"))
    await store.write(conversations.choose, chat_scope(NEW), "model", Choice("new", "Ann"))
    await move(store)
    await say(store, NEW, "third")
    turn = await answer(store)
    said = await store.read(conversations.history, turn.conversation, None, 50)
    assert [text for _, text in said] == ["first", "yes", "second", "yes", "third", "yes"]
    assert turn.seq == 3
    made = await store.read(conversations.all_choices, [chat_scope(NEW)])
    assert [choice.value for choice in made.values()] == ["new"]


async def test_another_chat_is_not_touched(store: Store) -> None:
    other = replace(OLD, chat="-55")
    await say(store, other, "mine")
    await store.write(conversations.choose, chat_scope(other), "model", Choice("phi", "Ann"))
    await move(store)
    turn = await answer(store)
    assert turn.incoming.place == other
    assert await store.read(conversations.all_choices, [chat_scope(other)])
