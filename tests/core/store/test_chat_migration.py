"""A group becomes a supergroup: nothing known of it is lost, on both databases."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.scopes import applicable_scopes, chat_scope_key, conversation_key
from core.store import (
    answer_parts,
    answers,
    chat_migration,
    claims,
    conversations,
    grants,
    inbound,
    memories,
    preferences,
    rate_limits,
    schema,
    token_usage,
    turns,
)
from core.store.answer_parts import PartState, SentPart
from core.store.answers import TokenCount
from core.store.database import Store
from core.store.history import load_history
from core.store.inbound import InboundLimits
from core.store.preferences import Preference
from core.store.token_usage import DailyUsage
from core.store.turns import TurnState
from tests.postgresql import postgresql_url
from tests.waiting import wait_until

OLD_PLACE = Place("telegram", "1", "-5")
NEW_PLACE = replace(OLD_PLACE, chat="-1005")
ANN = Sender("telegram", "7", "Ann")


def accept_args(place: Place, key: str) -> dict[str, Any]:
    return {
        "incoming": Incoming(EventKind.PROMPT, key, place, ANN, key, message_id="9"),
        "conversation_key": conversation_key(place, ANN, shared=False),
        "person_key": "telegram:7",
        "ordered": True,
        "limits": InboundLimits(),
    }


async def accept_message(store: Store, place: Place, key: str) -> None:
    await store.write(partial(inbound.accept_event, **accept_args(place, key)))


async def answer_next(store: Store) -> turns.Turn:
    (turn,) = await store.write(claims.claim_turns, "me", [AccountKey("telegram", "1")], lease_seconds=30, limit=1)
    await store.write(
        answers.store_answer,
        turn,
        "me",
        prompt=turn.incoming.text,
        answer="yes",
        note="",
        model="m",
        usage=TokenCount(1, 1),
    )
    await store.write(turns.finish_turn, turn, "me", TurnState.DONE)
    return turn


async def migrate_chat(store: Store) -> None:
    await store.write(chat_migration.move_chat, AccountKey("telegram", "1"), "-5", "-1005")


async def test_conversations_choices_and_grants_move(store: Store) -> None:
    await accept_message(store, OLD_PLACE, "before")
    await answer_next(store)
    await store.write(preferences.set_preference, chat_scope_key(OLD_PLACE), "model", Preference("phi", "Ann"))
    await store.write(grants.grant, "telegram:chat:-5", grants.Role.MEMBER, "")
    await accept_message(store, OLD_PLACE, "waits")
    await migrate_chat(store)
    await migrate_chat(store)
    key = conversation_key(NEW_PLACE, ANN, shared=False)
    conversation = await store.read(conversations.find_conversation, key)
    assert conversation is not None
    assert await store.read(conversations.find_conversation, conversation_key(OLD_PLACE, ANN, shared=False)) is None
    assert await store.read(grants.roles_by_subject) == {"telegram:chat:-1005": "member"}
    made = await store.read(preferences.list_preferences, [chat_scope_key(NEW_PLACE), chat_scope_key(OLD_PLACE)])
    assert list(made) == [(chat_scope_key(NEW_PLACE), "model")]
    turn = await answer_next(store)
    assert turn.incoming.place == NEW_PLACE
    said = (await store.read(load_history, conversation, None, 50)).messages
    assert [message.text for message in said] == ["before", "yes", "waits", "yes"]


async def test_messages_of_new_chat_follow_old_ones(store: Store) -> None:
    await accept_message(store, OLD_PLACE, "first")
    await answer_next(store)
    await accept_message(store, NEW_PLACE, "second")
    await answer_next(store)
    await store.write(preferences.set_preference, chat_scope_key(OLD_PLACE), "model", Preference("old", "Ann"))
    await store.write(preferences.set_preference, chat_scope_key(NEW_PLACE), "model", Preference("new", "Ann"))
    await migrate_chat(store)
    await accept_message(store, NEW_PLACE, "third")
    turn = await answer_next(store)
    said = (await store.read(load_history, turn.conversation_id, None, 50)).messages
    assert [message.text for message in said] == ["first", "yes", "second", "yes", "third", "yes"]
    assert turn.seq == 3
    made = await store.read(preferences.list_preferences, [chat_scope_key(NEW_PLACE)])
    assert [choice.value for choice in made.values()] == ["new"]


def has_blocked_query(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def seqs(connection: Connection) -> list[int]:
    return list(connection.scalars(select(schema.turns.c.seq)))


@pytest.mark.slow
async def test_concurrent_accept_gets_own_sequence_number() -> None:
    """Two turns in one place would be answered at the same time."""
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        await accept_message(store, OLD_PLACE, "first")
        await accept_message(store, NEW_PLACE, "second")
        async with elsewhere.begin() as connection:
            await connection.run_sync(partial(inbound.accept_event, **accept_args(OLD_PLACE, "third")))
            moving = asyncio.create_task(migrate_chat(store))
            await wait_until(lambda: store.read(has_blocked_query))
        await moving
        await accept_message(store, NEW_PLACE, "fourth")
        assert sorted(await store.read(seqs)) == [1, 2, 3, 4]
    finally:
        await elsewhere.dispose()
        await store.close()


async def test_answer_started_before_move_is_kept(store: Store) -> None:
    await accept_message(store, OLD_PLACE, "first")
    await answer_next(store)
    await accept_message(store, NEW_PLACE, "second")
    (turn,) = await store.write(claims.claim_turns, "me", [AccountKey("telegram", "1")], lease_seconds=30, limit=1)
    await migrate_chat(store)
    await store.write(
        answers.store_answer,
        turn,
        "me",
        prompt="second",
        answer="yes",
        note="",
        model="m",
        usage=TokenCount(1, 1),
    )
    await store.write(turns.finish_turn, turn, "me", TurnState.DONE)
    conversation = await store.read(conversations.find_conversation, conversation_key(NEW_PLACE, ANN, shared=False))
    assert conversation is not None
    said = (await store.read(load_history, conversation, None, 50)).messages
    assert [message.text for message in said] == ["first", "yes", "second", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize("place", [OLD_PLACE, NEW_PLACE])
async def test_answer_stored_during_move_survives(place: Place) -> None:
    """It was paid for: undone, the model would be asked again."""
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        await accept_message(store, OLD_PLACE, "first")
        await answer_next(store)
        await accept_message(store, place, "second")
        async with elsewhere.begin() as connection:
            await connection.execute(select(schema.conversations.c.id).with_for_update())
            answering = asyncio.create_task(answer_next(store))
            await wait_until(lambda: store.read(has_blocked_query))
            await connection.run_sync(chat_migration.move_chat, AccountKey("telegram", "1"), "-5", "-1005")
        turn = await answering
        assert await store.read(answers.get_question, turn.id) == "second"
    finally:
        await elsewhere.dispose()
        await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", [OLD_PLACE, NEW_PLACE])
async def test_move_waits_for_answer_being_stored(place: Place) -> None:
    url = postgresql_url()
    store = Store(url)
    elsewhere = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        for known in (OLD_PLACE, NEW_PLACE):
            await accept_message(store, known, known.chat)
            await answer_next(store)
        await accept_message(store, place, "asked")
        (turn,) = await store.write(claims.claim_turns, "me", [AccountKey("telegram", "1")], lease_seconds=30, limit=1)
        async with elsewhere.begin() as connection:
            await connection.run_sync(answers.lock_conversation, turn)
            moving = asyncio.create_task(migrate_chat(store))
            await wait_until(lambda: store.read(has_blocked_query))
            await connection.run_sync(
                partial(
                    answers.store_answer,
                    turn=turn,
                    owner="me",
                    prompt="asked",
                    answer="yes",
                    note="",
                    model="m",
                    usage=TokenCount(1, 1),
                )
            )
        await moving
        conversation = await store.read(conversations.find_conversation, conversation_key(NEW_PLACE, ANN, shared=False))
        assert conversation is not None
        said = (await store.read(load_history, conversation, None, 50)).messages
        assert [message.text for message in said] == ["-5", "yes", "-1005", "yes", "asked", "yes"]
    finally:
        await elsewhere.dispose()
        await store.close()


async def test_another_chat_is_not_touched(store: Store) -> None:
    other = replace(OLD_PLACE, chat="-55")
    await accept_message(store, other, "mine")
    await store.write(preferences.set_preference, chat_scope_key(other), "model", Preference("phi", "Ann"))
    await migrate_chat(store)
    turn = await answer_next(store)
    assert turn.incoming.place == other
    assert await store.read(preferences.list_preferences, [chat_scope_key(other)])


async def test_conversation_reset_in_new_chat_is_kept(store: Store) -> None:
    await accept_message(store, OLD_PLACE, "forgotten")
    await answer_next(store)
    await accept_message(store, NEW_PLACE, "this too")
    there = await answer_next(store)
    await store.write(conversations.reset_history, there.conversation_id, there.id + 1)
    await migrate_chat(store)
    await accept_message(store, NEW_PLACE, "known")
    turn = await answer_next(store)
    said = (await store.read(load_history, turn.conversation_id, None, 50)).messages
    assert [message.text for message in said] == ["known", "yes"]


async def test_daily_usage_is_merged(store: Store) -> None:
    days = ("2026-01-01", "2026-01-02")
    await store.write(token_usage.add_daily_usage, [chat_scope_key(OLD_PLACE)], days[0], 10, 1)
    await store.write(token_usage.add_daily_usage, [chat_scope_key(OLD_PLACE)], days[1], 20, 2)
    await store.write(token_usage.add_daily_usage, [chat_scope_key(NEW_PLACE)], days[1], 300, 3)
    await migrate_chat(store)
    await migrate_chat(store)
    both = [chat_scope_key(OLD_PLACE), chat_scope_key(NEW_PLACE)]
    used = [await store.read(token_usage.get_daily_usage, both, day) for day in days]
    assert [one[chat_scope_key(NEW_PLACE)] for one in used] == [DailyUsage(10, 1), DailyUsage(320, 5)]
    assert [one[chat_scope_key(OLD_PLACE)] for one in used] == [DailyUsage(), DailyUsage()]


async def test_parts_in_old_chat_are_unreachable(store: Store) -> None:
    await accept_message(store, OLD_PLACE, "being answered")
    (turn,) = await store.write(claims.claim_turns, "me", [AccountKey("telegram", "1")], lease_seconds=30, limit=1)
    await store.write(answer_parts.save_part, turn, "me", 0, SentPart(PartState.SENT, "77", "a"))
    await store.write(answer_parts.save_part, turn, "me", 1, SentPart(PartState.SENDING, None, "b"))
    await migrate_chat(store)
    assert await store.read(answer_parts.list_sent_parts, turn.id) == {
        0: SentPart(PartState.UNREACHABLE, None, "a"),
        1: SentPart(PartState.SENDING, None, "b"),
    }


async def test_wait_of_old_chat_is_dropped(store: Store) -> None:
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "1"), "-5", 60.0)
    await migrate_chat(store)
    assert await store.read(rate_limits.active_rate_limits, [AccountKey("telegram", "1")]) == []


async def test_topic_and_personal_choices_move(store: Store) -> None:
    topic, elsewhere = replace(OLD_PLACE, thread="9"), replace(OLD_PLACE, account="2")
    mine = [scope.key for scope in applicable_scopes(topic, ANN)]
    for scope in (*mine, chat_scope_key(elsewhere)):
        await store.write(preferences.set_preference, scope, "model", Preference("phi", "Ann"))
    await migrate_chat(store)
    moved = [scope.key for scope in applicable_scopes(replace(NEW_PLACE, thread="9"), ANN)]
    assert moved != mine
    made = await store.read(preferences.list_preferences, [*mine, *moved, chat_scope_key(elsewhere)])
    assert {scope for scope, _ in made} == {*moved, chat_scope_key(elsewhere)}


async def save_note(store: Store, place: Place, text: str) -> None:
    await store.write(
        partial(
            memories.add_entry,
            kind=memories.NOTE_KIND,
            name=text,
            digest=text,
            model="m",
            chunks=[memories.NewChunk("note", text)],
            vectors=np.ones((1, 4), dtype=np.float32),
        ),
        conversation_key(place, ANN, shared=False),
    )


async def test_notes_are_renumbered_and_recall_choice_is_kept(store: Store) -> None:
    before, after = (conversation_key(place, ANN, shared=False) for place in (OLD_PLACE, NEW_PLACE))
    for place, texts in ((OLD_PLACE, ("a", "b")), (NEW_PLACE, ("c", "d", "e"))):
        await accept_message(store, place, f"hello {place.chat}")
        await answer_next(store)
        for said in texts:
            await save_note(store, place, said)
    await store.write(memories.set_recall_mode, before, memories.RecallMode.OFF)
    await migrate_chat(store)
    await migrate_chat(store)
    kept = await store.read(memories.list_entries, after)
    assert [(entry.number, entry.name) for entry in kept] == list(enumerate("abcde", 1))
    assert await store.read(memories.list_entries, before) == []
    known = await store.read(memories.get_statistics, after)
    assert (known.recall_mode, known.note_count) == (memories.RecallMode.OFF, 5)
