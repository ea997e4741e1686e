"""A group becomes a supergroup with a new ID: everything stored for it moves along, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.port import EventKind, Incoming, Place, Sender
from core.scopes import applicable_scopes, chat_key, chat_scope_key, conversation_key, conversation_key_prefix
from core.store import (
    answer_parts,
    answers,
    claims,
    conversations,
    grants,
    inbound,
    memories,
    preferences,
    rate_limits,
    schema,
    token_usage,
)
from core.store.answer_parts import PartState, SentPart
from core.store.chat_migration import move_chat
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.preferences import Preference, PreferenceName
from core.store.token_usage import DailyUsage
from core.store.turns import Turn, TurnState, find_turn_of_message, finish_turn
from tests.core.store.turn_helpers import ACCOUNT, answer, claim, history_texts
from tests.postgresql import postgresql_url
from tests.waiting import wait_until

OLD_PLACE = Place("telegram", "1", "-5")
NEW_PLACE = replace(OLD_PLACE, chat="-1005")
ANN = Sender("telegram", "7", "Ann")
MODEL = PreferenceName.MODEL


def key_in(place: Place) -> str:
    return conversation_key(place, ANN, shared=False)


def accept_in(connection: Connection, place: Place, text_: str) -> None:
    inbound.accept_event(
        connection,
        Incoming(EventKind.PROMPT, text_, place, ANN, text_),
        conversation_key=key_in(place),
        person_key="telegram:7",
        ordered=True,
        limits=InboundLimits(),
    )


async def accept(store: Store, place: Place, text_: str) -> None:
    await store.write(accept_in, place, text_)


async def answer_next(store: Store) -> Turn:
    (turn,) = await claim(store)
    await answer(store, turn, turn.incoming.text, "yes")
    return turn


async def migrate_chat(store: Store) -> None:
    await store.write(move_chat, ACCOUNT, "-5", "-1005")


async def history_in(store: Store, place: Place) -> list[str]:
    conversation_id = await store.read(conversations.find_conversation, key_in(place))
    assert conversation_id is not None
    return await history_texts(store, conversation_id)


async def set_model(store: Store, scope: str, model: str) -> None:
    await store.write(preferences.set_preference, scope, MODEL, Preference(model, "Ann"))


async def test_conversations_preferences_and_grants_move(store: Store) -> None:
    await accept(store, OLD_PLACE, "before")
    await answer_next(store)
    await set_model(store, chat_scope_key(OLD_PLACE), "phi")
    await store.write(grants.grant, "telegram:chat:-5", grants.Role.MEMBER, "")
    await accept(store, OLD_PLACE, "waits")
    await migrate_chat(store)
    await migrate_chat(store)
    assert await store.read(conversations.find_conversation, key_in(OLD_PLACE)) is None
    assert await store.read(grants.roles_by_subject) == {"telegram:chat:-1005": grants.Role.MEMBER}
    stored = await store.read(preferences.list_preferences, [chat_scope_key(NEW_PLACE), chat_scope_key(OLD_PLACE)])
    assert list(stored) == [(chat_scope_key(NEW_PLACE), MODEL)]
    turn = await answer_next(store)
    assert turn.incoming.place == NEW_PLACE
    assert await history_in(store, NEW_PLACE) == ["before", "yes", "waits", "yes"]


async def test_preferences_of_all_scopes_in_the_chat_move(store: Store) -> None:
    old, new = (applicable_scopes(replace(place, thread="3"), ANN) for place in (OLD_PLACE, NEW_PLACE))
    for scope in old:
        await set_model(store, scope.key, f"of the {scope.kind}")
    await migrate_chat(store)
    stored = await store.read(preferences.list_preferences, [scope.key for scope in new])
    assert {key: preference.value for (key, _), preference in stored.items()} == {
        scope.key: f"of the {scope.kind}" for scope in new
    }


async def test_messages_of_new_chat_follow_old_ones(store: Store) -> None:
    await accept(store, OLD_PLACE, "first")
    await answer_next(store)
    await accept(store, NEW_PLACE, "second")
    await answer_next(store)
    await set_model(store, chat_scope_key(OLD_PLACE), "old")
    await set_model(store, chat_scope_key(NEW_PLACE), "new")
    await migrate_chat(store)
    await accept(store, NEW_PLACE, "third")
    turn = await answer_next(store)
    assert await history_in(store, NEW_PLACE) == ["first", "yes", "second", "yes", "third", "yes"]
    assert turn.seq == 3
    stored = await store.read(preferences.list_preferences, [chat_scope_key(NEW_PLACE)])
    assert [preference.value for preference in stored.values()] == ["new"]


def has_blocked_query(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


async def wait_until_blocked(store: Store) -> None:
    await wait_until(lambda: store.read(has_blocked_query))


def sequence_numbers(connection: Connection) -> list[int]:
    return sorted(connection.scalars(select(schema.turns.c.seq)))


@asynccontextmanager
async def two_processes() -> AsyncIterator[tuple[Store, AsyncEngine]]:
    """A store, and connections of another process to the same database."""
    url = postgresql_url()
    store = Store(url)
    other = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    await store.open()
    try:
        yield store, other
    finally:
        await other.dispose()
        await store.close()


@pytest.mark.slow
async def test_concurrent_accept_gets_own_sequence_number() -> None:
    """Two turns with the same number would be answered at the same time."""
    async with two_processes() as (store, other):
        await accept(store, OLD_PLACE, "first")
        await accept(store, NEW_PLACE, "second")
        async with other.begin() as connection:
            await connection.run_sync(accept_in, OLD_PLACE, "third")
            migration = asyncio.create_task(migrate_chat(store))
            await wait_until_blocked(store)
        await migration
        await accept(store, NEW_PLACE, "fourth")
        assert await store.read(sequence_numbers) == [1, 2, 3, 4]


async def test_answer_started_before_move_is_kept(store: Store) -> None:
    await accept(store, OLD_PLACE, "first")
    await answer_next(store)
    await accept(store, NEW_PLACE, "second")
    (turn,) = await claim(store)
    await migrate_chat(store)
    await answer(store, turn, "second", "yes")
    assert await history_in(store, NEW_PLACE) == ["first", "yes", "second", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize("place", [OLD_PLACE, NEW_PLACE])
async def test_answer_stored_during_move_survives(place: Place) -> None:
    async with two_processes() as (store, other):
        await accept(store, OLD_PLACE, "first")
        await answer_next(store)
        await accept(store, place, "second")
        async with other.begin() as connection:
            await connection.execute(select(schema.conversations.c.id).with_for_update())
            answering = asyncio.create_task(answer_next(store))
            await wait_until_blocked(store)
            await connection.run_sync(move_chat, ACCOUNT, "-5", "-1005")
        turn = await answering
        question = await store.read(answers.get_question, turn.id)
        assert question is not None
        assert question.text == "second"


@pytest.mark.slow
@pytest.mark.parametrize("place", [OLD_PLACE, NEW_PLACE])
async def test_move_waits_for_answer_being_stored(place: Place) -> None:
    async with two_processes() as (store, other):
        for known in (OLD_PLACE, NEW_PLACE):
            await accept(store, known, known.chat)
            await answer_next(store)
        await accept(store, place, "asked")
        (turn,) = await claim(store)
        async with other.begin() as connection:
            await connection.run_sync(answers.lock_conversation, turn)
            migration = asyncio.create_task(migrate_chat(store))
            await wait_until_blocked(store)
            store_answer = partial(answers.store_answer, prompt="asked", answer="yes", note="", model="m")
            await connection.run_sync(store_answer, turn)
        await migration
        assert await history_in(store, NEW_PLACE) == ["-5", "yes", "-1005", "yes", "asked", "yes"]


async def test_another_chat_is_not_touched(store: Store) -> None:
    other = replace(OLD_PLACE, chat="-55")
    await accept(store, other, "mine")
    await set_model(store, chat_scope_key(other), "phi")
    await migrate_chat(store)
    turn = await answer_next(store)
    assert turn.incoming.place == other
    assert await store.read(preferences.list_preferences, [chat_scope_key(other)])


async def test_conversation_reset_in_new_chat_is_kept(store: Store) -> None:
    await accept(store, OLD_PLACE, "forgotten")
    await answer_next(store)
    await accept(store, NEW_PLACE, "this too")
    turn = await answer_next(store)
    await store.write(conversations.reset_history, turn.conversation_id, turn.id + 1)
    await migrate_chat(store)
    await accept(store, NEW_PLACE, "known")
    await answer_next(store)
    assert await history_in(store, NEW_PLACE) == ["known", "yes"]


async def test_daily_usage_is_merged(store: Store) -> None:
    old, new = chat_scope_key(OLD_PLACE), chat_scope_key(NEW_PLACE)
    days = ("2026-01-01", "2026-01-02")
    await store.write(token_usage.add_daily_usage, [old], days[0], 10, 1)
    await store.write(token_usage.add_daily_usage, [old], days[1], 20, 2)
    await store.write(token_usage.add_daily_usage, [new], days[1], 300, 3)
    await migrate_chat(store)
    await migrate_chat(store)
    usage = [await store.read(token_usage.get_daily_usage, [old, new], day) for day in days]
    assert [one[new] for one in usage] == [DailyUsage(10, 1), DailyUsage(320, 5)]
    assert [one[old] for one in usage] == [DailyUsage(), DailyUsage()]


async def test_parts_in_old_chat_are_unreachable(store: Store) -> None:
    await accept(store, OLD_PLACE, "being answered")
    (turn,) = await claim(store)
    await store.write(answer_parts.save_part, turn, 0, SentPart(PartState.SENT, "77", "a"))
    await store.write(answer_parts.save_part, turn, 1, SentPart(PartState.SENDING, None, "b"))
    await migrate_chat(store)
    assert await store.read(answer_parts.list_sent_parts, turn.id) == {
        0: SentPart(PartState.UNREACHABLE, None, "a"),
        1: SentPart(PartState.SENDING, None, "b"),
    }


async def test_message_ids_of_the_old_chat_name_no_messages_of_the_new_one(store: Store) -> None:
    """A supergroup numbers its messages from 1."""
    edit = Incoming(EventKind.EDIT, "edit", NEW_PLACE, ANN, "another text", message_id="39")
    question = Incoming(EventKind.PROMPT, "asked", OLD_PLACE, ANN, "asked", message_id="39")
    accept_question = partial(inbound.accept_event, conversation_key=key_in(OLD_PLACE), ordered=True)
    await store.write(accept_question, question, person_key="telegram:7", limits=InboundLimits())
    (turn,) = await claim(store)
    await store.write(answer_parts.save_part, turn, 0, SentPart(PartState.SENT, "40", "a"))
    await answer(store, turn, "asked", "yes")
    await migrate_chat(store)
    assert await store.read(find_turn_of_message, conversation_key_prefix(NEW_PLACE), "40") is None
    assert await store.read(answers.find_answer, turn.conversation_id, "40") is None
    accept_edit = partial(inbound.accept_edit, conversation_key=key_in(NEW_PLACE), person_key="telegram:7")
    assert await store.write(accept_edit, edit, limits=InboundLimits()) is inbound.AcceptResult.IGNORED


@pytest.mark.slow
async def test_text_of_a_turn_that_ends_during_the_move_stays_erased() -> None:
    async with two_processes() as (store, other):
        await accept(store, OLD_PLACE, "a secret")
        (turn,) = await claim(store)
        async with other.connect() as connection:
            await connection.run_sync(finish_turn, turn, TurnState.DONE)
            moving = asyncio.create_task(migrate_chat(store))
            await wait_until_blocked(store)
            await connection.commit()
            await moving
        assert '"text":"a secret"' not in await store.read(stored_events)


def stored_events(connection: Connection) -> str:
    return "".join(connection.scalars(select(schema.turns.c.incoming_json)))


async def test_rate_limit_of_old_chat_is_dropped(store: Store) -> None:
    await store.write(rate_limits.save_platform_wait, ACCOUNT, "-5", 60.0)
    await migrate_chat(store)
    assert await store.read(rate_limits.load_platform_waits, [ACCOUNT]) == []


async def test_thread_preferences_move_and_personal_ones_stay(store: Store) -> None:
    thread, other_account = replace(OLD_PLACE, thread="9"), replace(OLD_PLACE, account="2")
    old_scopes = [scope.key for scope in applicable_scopes(thread, ANN)]
    for scope in (*old_scopes, chat_scope_key(other_account)):
        await set_model(store, scope, "phi")
    await migrate_chat(store)
    new_scopes = [scope.key for scope in applicable_scopes(replace(NEW_PLACE, thread="9"), ANN)]
    assert new_scopes != old_scopes
    all_scopes = [*old_scopes, *new_scopes, chat_scope_key(other_account)]
    stored = await store.read(preferences.list_preferences, all_scopes)
    assert {scope for scope, _ in stored} == {*new_scopes, chat_scope_key(other_account)}


def add_note(connection: Connection, place: Place, text_: str) -> None:
    memories.add_entry(
        connection,
        key_in(place),
        kind=memories.NOTE_KIND,
        name=text_,
        digest=text_,
        model="m",
        chunks=[memories.NewChunk("note", text_)],
        vectors=np.ones((1, 4), dtype=np.float32),
    )


async def test_notes_are_renumbered_and_recall_mode_is_kept(store: Store) -> None:
    for place, notes in ((OLD_PLACE, ("a", "b")), (NEW_PLACE, ("c", "d", "e"))):
        await accept(store, place, f"hello {place.chat}")
        await answer_next(store)
        for note in notes:
            await store.write(add_note, place, note)
    await store.write(memories.set_recall_mode, key_in(OLD_PLACE), memories.RecallMode.OFF)
    await migrate_chat(store)
    await migrate_chat(store)
    entries = await store.read(memories.list_entries, key_in(NEW_PLACE))
    assert [(entry.number, entry.name) for entry in entries] == list(enumerate("abcde", 1))
    assert await store.read(memories.list_entries, key_in(OLD_PLACE)) == []
    statistics = await store.read(memories.get_statistics, key_in(NEW_PLACE))
    assert (statistics.recall_mode, statistics.note_count) == (memories.RecallMode.OFF, 5)


async def test_open_turns_count_for_new_chat(store: Store) -> None:
    await accept(store, OLD_PLACE, "waiting")
    await migrate_chat(store)
    claim_others = partial(claims.claim_turns, lease_seconds=30, limit=9)
    assert await store.write(partial(claim_others, busy_chats=[chat_key(NEW_PLACE)]), "me", [ACCOUNT]) == []
    assert len(await store.write(partial(claim_others, busy_chats=[chat_key(OLD_PLACE)]), "me", [ACCOUNT])) == 1


@pytest.mark.parametrize("new_role", [None, grants.Role.MEMBER, grants.Role.BANNED])
async def test_ban_moves_with_the_chat(store: Store, new_role: grants.Role | None) -> None:
    await store.write(grants.ban, "telegram:chat:-5")
    if new_role is not None:
        await store.write(grants.grant, "telegram:chat:-1005", new_role, "")
    await migrate_chat(store)
    assert await store.read(grants.roles_by_subject) == {"telegram:chat:-1005": grants.Role.BANNED}


async def test_ban_of_the_new_chat_stays(store: Store) -> None:
    await store.write(grants.grant, "telegram:chat:-5", grants.Role.MEMBER, "")
    await store.write(grants.ban, "telegram:chat:-1005")
    await migrate_chat(store)
    assert await store.read(grants.roles_by_subject) == {"telegram:chat:-1005": grants.Role.BANNED}
