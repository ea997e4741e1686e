"""A group becomes a supergroup: nothing known of it is lost, on both databases."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from core.conversation.scope import chat_scope, conversation_key, scopes
from core.port import Incoming, Kind, Place, Sender
from core.store import accepting, conversations, memories, moves, schema, spending, turns, waits
from core.store.accepting import Bounds
from core.store.conversations import Choice
from core.store.database import Store
from core.store.summaries import past
from core.store.turns import OUT_OF_REACH, Sent, State
from tests.databases import postgresql_url

OLD = Place("telegram", "1", "-5")
NEW = replace(OLD, chat="-1005")
ANN = Sender("telegram", "7", "Ann")


def asked(place: Place, key: str) -> dict[str, Any]:
    return {
        "incoming": Incoming(Kind.PROMPT, key, place, ANN, key, message="9"),
        "key": conversation_key(place, ANN, shared=False),
        "person": "telegram:7",
        "ordered": True,
        "bounds": Bounds(),
    }


async def say(store: Store, place: Place, key: str) -> None:
    await store.write(partial(accepting.accept, **asked(place, key)))


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
    said = (await store.read(past, conversation, None, 50)).messages
    assert [text for _, _, text in said] == ["before", "yes", "waits", "yes"]


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
    said = (await store.read(past, turn.conversation, None, 50)).messages
    assert [text for _, _, text in said] == ["first", "yes", "second", "yes", "third", "yes"]
    assert turn.seq == 3
    made = await store.read(conversations.all_choices, [chat_scope(NEW)])
    assert [choice.value for choice in made.values()] == ["new"]


def blocked(connection: Connection) -> int:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return connection.scalar(waiting) or 0


def seqs(connection: Connection) -> list[int]:
    return list(connection.scalars(select(schema.turns.c.seq)))


async def test_what_another_process_accepts_meanwhile_keeps_its_own_place() -> None:
    """Two turns in one place would be answered at the same time."""
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        await say(store, OLD, "first")
        await say(store, NEW, "second")
        async with elsewhere.begin() as connection:
            await connection.run_sync(partial(accepting.accept, **asked(OLD, "third")))
            moving = asyncio.create_task(move(store))
            async with asyncio.timeout(10):
                while not await store.read(blocked):
                    await asyncio.sleep(0.02)
        await moving
        await say(store, NEW, "fourth")
        assert sorted(await store.read(seqs)) == [1, 2, 3, 4]
    finally:
        await elsewhere.dispose()
        await store.close()


async def test_an_answer_begun_in_the_new_chat_before_the_move_is_kept(store: Store) -> None:
    await say(store, OLD, "first")
    await answer(store)
    await say(store, NEW, "second")
    (turn,) = await store.write(turns.claim, "me", [("telegram", "1")], lease=30, most=1)
    await move(store)
    await store.write(
        turns.reply, turn, "me", prompt="second", text="yes", note="", model="m", usage=(1, 1)
    )
    await store.write(turns.finish, turn, "me", State.DONE)
    conversation = await store.read(conversations.find, conversation_key(NEW, ANN, shared=False))
    assert conversation is not None
    said = (await store.read(past, conversation, None, 50)).messages
    assert [text for _, _, text in said] == ["first", "yes", "second", "yes"]


@pytest.mark.parametrize("place", [OLD, NEW])
async def test_an_answer_kept_while_its_chat_moves_is_not_undone(place: Place) -> None:
    """It was paid for: undone, the model would be asked again."""
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        await say(store, OLD, "first")
        await answer(store)
        await say(store, place, "second")
        async with elsewhere.begin() as connection:
            await connection.execute(select(schema.conversations.c.id).with_for_update())
            answering = asyncio.create_task(answer(store))
            async with asyncio.timeout(10):
                while not await store.read(blocked):
                    await asyncio.sleep(0.02)
            await connection.run_sync(moves.move_chat, "telegram", "1", "-5", "-1005")
        turn = await answering
        assert await store.read(turns.question_of, turn.id) == "second"
    finally:
        await elsewhere.dispose()
        await store.close()


@pytest.mark.parametrize("place", [OLD, NEW])
async def test_a_move_waits_for_an_answer_that_is_being_kept(place: Place) -> None:
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        for known in (OLD, NEW):
            await say(store, known, known.chat)
            await answer(store)
        await say(store, place, "asked")
        (turn,) = await store.write(turns.claim, "me", [("telegram", "1")], lease=30, most=1)
        async with elsewhere.begin() as connection:
            await connection.run_sync(turns._conversation, turn)
            moving = asyncio.create_task(move(store))
            async with asyncio.timeout(10):
                while not await store.read(blocked):
                    await asyncio.sleep(0.02)
            await connection.run_sync(
                partial(
                    turns.reply, turn=turn, owner="me", prompt="asked", text="yes", note="",
                    model="m", usage=(1, 1),
                )
            )  # fmt: skip
        await moving
        conversation = await store.read(
            conversations.find, conversation_key(NEW, ANN, shared=False)
        )
        assert conversation is not None
        said = (await store.read(past, conversation, None, 50)).messages
        assert [text for _, _, text in said] == ["-5", "yes", "-1005", "yes", "asked", "yes"]
    finally:
        await elsewhere.dispose()
        await store.close()


async def test_another_chat_is_not_touched(store: Store) -> None:
    other = replace(OLD, chat="-55")
    await say(store, other, "mine")
    await store.write(conversations.choose, chat_scope(other), "model", Choice("phi", "Ann"))
    await move(store)
    turn = await answer(store)
    assert turn.incoming.place == other
    assert await store.read(conversations.all_choices, [chat_scope(other)])


async def test_a_new_conversation_begun_in_the_new_chat_stays_one(store: Store) -> None:
    await say(store, OLD, "forgotten")
    await answer(store)
    await say(store, NEW, "this too")
    there = await answer(store)
    await store.write(conversations.begin_anew, there.conversation, there.id + 1)
    await move(store)
    await say(store, NEW, "known")
    turn = await answer(store)
    said = (await store.read(past, turn.conversation, None, 50)).messages
    assert [text for _, _, text in said] == ["known", "yes"]


async def test_both_chats_use_of_a_day_counts_once(store: Store) -> None:
    days = ("2026-01-01", "2026-01-02")
    await store.write(spending.allow, [chat_scope(OLD)], days[0], 10, 1)
    await store.write(spending.allow, [chat_scope(OLD)], days[1], 20, 2)
    await store.write(spending.allow, [chat_scope(NEW)], days[1], 300, 3)
    await move(store)
    await move(store)
    both = [chat_scope(OLD), chat_scope(NEW)]
    used = [await store.read(spending.allowance, both, day) for day in days]
    assert [one[chat_scope(NEW)] for one in used] == [(10, 1), (320, 5)]
    assert [one[chat_scope(OLD)] for one in used] == [(0, 0), (0, 0)]


async def test_what_stands_in_the_old_chat_stays_and_is_out_of_reach(store: Store) -> None:
    await say(store, OLD, "being answered")
    (turn,) = await store.write(turns.claim, "me", [("telegram", "1")], lease=30, most=1)
    await store.write(turns.mark_part, turn, "me", 0, Sent("sent", "77", "a"))
    await store.write(turns.mark_part, turn, "me", 1, Sent("sending", None, "b"))
    await move(store)
    assert await store.read(turns.sent_parts, turn.id) == {
        0: Sent("sent", OUT_OF_REACH, "a"),
        1: Sent("sending", None, "b"),
    }


async def test_a_wait_of_the_old_chat_holds_nobody(store: Store) -> None:
    await store.write(waits.put, "telegram:1", "-5", 60.0)
    await move(store)
    assert await store.read(waits.current, ["telegram:1"]) == []


async def test_choices_of_topics_and_of_people_there(store: Store) -> None:
    topic, elsewhere = replace(OLD, thread="9"), replace(OLD, account="2")
    mine = [scope.key for scope in scopes(topic, ANN)]
    for scope in (*mine, chat_scope(elsewhere)):
        await store.write(conversations.choose, scope, "model", Choice("phi", "Ann"))
    await move(store)
    moved = [scope.key for scope in scopes(replace(NEW, thread="9"), ANN)]
    assert moved != mine
    made = await store.read(conversations.all_choices, [*mine, *moved, chat_scope(elsewhere)])
    assert {scope for scope, _ in made} == {*moved, chat_scope(elsewhere)}


async def note(store: Store, place: Place, text: str) -> None:
    await store.write(
        partial(
            memories.add, kind=memories.NOTE, name=text, digest=text, model="m",
            items=[memories.Item("note", text)], vectors=np.ones((1, 4), dtype=np.float32),
        ),
        conversation_key(place, ANN, shared=False),
    )  # fmt: skip


async def test_notes_are_numbered_on_and_what_is_recalled_stays_chosen(store: Store) -> None:
    before, after = (conversation_key(place, ANN, shared=False) for place in (OLD, NEW))
    for place, texts in ((OLD, ("a", "b")), (NEW, ("c", "d", "e"))):
        await say(store, place, f"hello {place.chat}")
        await answer(store)
        for said in texts:
            await note(store, place, said)
    await store.write(memories.switch, before, memories.Recall.OFF)
    await move(store)
    await move(store)
    kept = await store.read(memories.entries, after)
    assert [(entry.number, entry.name) for entry in kept] == list(enumerate("abcde", 1))
    assert await store.read(memories.entries, before) == []
    known = await store.read(memories.summary, after)
    assert (known.recall, known.notes) == (memories.Recall.OFF, 5)
