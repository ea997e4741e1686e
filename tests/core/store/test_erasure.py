"""What is erased of a person when little else is stored of them, and while others write."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, insert, select

from core.buttons import ButtonAction, encode_action
from core.port import EventKind, Incoming, Place, Sender
from core.store.access_requests import Decision, decide_request, request_access
from core.store.answers import store_answer
from core.store.database import Store
from core.store.erasure import erase_person
from core.store.grants import Role, grant
from core.store.history import ConversationSummary, save_summary
from core.store.image_references import ImageReference
from core.store.memories import (
    NewChunk,
    RecallMode,
    add_entry,
    index_messages,
    list_unindexed_messages,
    set_recall_mode,
)
from core.store.people import Person
from core.store.person_export import export_person
from core.store.preferences import Preference, PreferenceName, set_preference
from core.store.retention import delete_turns
from core.store.schema import daily_usage, database_now, memory_chunks, metadata, rate_limits
from core.store.token_usage import adjust_daily_usage, charge_daily_usage
from core.store.turns import LostLeaseError, TurnState, finish_turn
from tests.core.store.test_chat_migration import has_blocked_query, two_processes
from tests.core.store.turn_helpers import accept_event, answer, claim, message_event
from tests.waiting import wait_until

ANN = Person("telegram", "5")
OWN_KEY = "telegram:1:5::"
GROUP = Place("telegram", "1", "-7")
GROUP_KEY = "telegram:1:-7::"
ANN_SENDER, BOB = Sender("telegram", "5", "Ann"), Sender("telegram", "6", "Bob")
SUBJECT, DAY = "person:telegram:5", "2026-01-01"


def rows_with(connection: Connection, text: str) -> list[str]:
    rows = [
        f"{table.name} {tuple(row)!r}" for table in metadata.sorted_tables for row in connection.execute(select(table))
    ]
    return [row for row in rows if text in row]


async def erase(store: Store) -> None:
    await store.write(erase_person, ANN)


def add_note(connection: Connection, key: str, text: str, person_key: str | None, turn_id: int | None = None) -> None:
    add_entry(
        connection,
        key,
        kind="note",
        name=text,
        digest=text,
        model="m",
        chunks=[NewChunk("note", text)],
        vectors=np.zeros((1, 2), np.float32),
        person_key=person_key,
        turn_id=turn_id,
    )


async def test_settings_of_a_chat_without_conversation_are_erased(store: Store) -> None:
    def prepare(connection: Connection) -> None:
        for scope in ("chat:telegram:1:5", "thread:telegram:1:5:9"):
            set_preference(connection, scope, PreferenceName.SYSTEM_PROMPT, Preference("my secret", ""))
        set_preference(connection, "chat:telegram:1:55", PreferenceName.SYSTEM_PROMPT, Preference("another's", ""))
        wait = {"account_key": "telegram:1", "chat": "5", "blocked_until": 1.0}
        connection.execute(insert(rate_limits).values(wait))

    await store.write(prepare)
    exported = await store.read(export_person, ANN)
    assert [setting["value"] for setting in exported.settings] == ["my secret", "my secret"]
    await erase(store)
    assert await store.read(rows_with, "secret") == []
    assert await store.read(lambda connection: connection.execute(select(rate_limits)).all()) == []
    assert len(await store.read(rows_with, "another's")) == 1


@pytest.mark.parametrize("person_key", [None, ANN.key])
async def test_notes_of_a_conversation_without_messages_are_exported_and_erased(
    store: Store, person_key: str | None
) -> None:
    await store.write(add_note, OWN_KEY, "my secret", person_key)
    await store.write(add_note, GROUP_KEY, "Bob's note", "telegram:6")
    assert "my secret" in (await store.read(export_person, ANN)).encode().decode()
    await erase(store)
    assert await store.read(rows_with, "secret") == []
    assert len(await store.read(rows_with, "Bob's note")) == 2


@pytest.mark.parametrize("key", ["telegram:1:55::", "telegram:1:-5::", "telegram:1:-7:5:", "telegram:5:-7::"])
async def test_conversation_with_a_similar_key_is_not_the_persons(store: Store, key: str) -> None:
    event = replace(message_event("1"), sender=BOB)
    await store.write(partial(accept_event, incoming=event, conversation_key=key, person_key="telegram:6"))
    (turn,) = await claim(store)
    await answer(store, turn, "Bob's question", "yes")
    await store.write(save_summary, turn.conversation_id, ConversationSummary(2, "Bob's summary"), "m", 0)
    await store.write(add_note, key + "6", "Bob's note", "telegram:6")
    data = await store.read(export_person, ANN)
    assert data.is_empty
    await erase(store)
    for text in ("Bob's question", "Bob's summary"):
        assert len(await store.read(rows_with, text)) == 1
    assert len(await store.read(rows_with, "Bob's note")) == 2


async def test_export_has_pictures_and_reasoning(store: Store) -> None:
    event = message_event("1", "a secret")
    await store.write(partial(accept_event, incoming=event, conversation_key=OWN_KEY))
    (turn,) = await claim(store)
    pictures = [ImageReference("photo", "", "PICTURE-ID")]
    store_answer_ = partial(store_answer, prompt="what is this?", answer="a heron", note="", model="m")
    await store.write(partial(store_answer_, turn=turn, reasoning="it has a long neck", images=pictures))
    exported = (await store.read(export_person, ANN)).encode().decode()
    assert "PICTURE-ID" in exported
    assert exported.count("it has a long neck") == 1
    await erase(store)
    assert await store.read(rows_with, "neck") == []
    assert await store.read(rows_with, "PICTURE-ID") == []


async def test_note_under_an_answer_is_exported_and_erased_also_of_somebody_elses_turn(store: Store) -> None:
    for key, sender in (("1", ANN_SENDER), ("2", BOB)):
        event = replace(message_event(key, "what?", place=GROUP), sender=sender)
        await store.write(
            partial(accept_event, incoming=event, conversation_key=GROUP_KEY, person_key=f"telegram:{sender.user}")
        )
        (turn,) = await claim(store)
        noted = partial(store_answer, prompt="what?", answer="yes", note="I heard: a secret", model="m")
        await store.write(partial(noted, replaces_last=sender is BOB, buttons_json="[]"), turn)
        await store.write(finish_turn, turn, TurnState.DONE)
    assert (await store.read(export_person, ANN)).encode().count(b'"note": "I heard: a secret"') == 2
    await erase(store)
    assert await store.read(rows_with, "a secret") == []


async def test_note_under_somebody_elses_answer_names_no_file_of_the_person_any_more(store: Store) -> None:
    for key, sender, note in (("1", ANN_SENDER, ""), ("2", BOB, "Sources: a secret.pdf")):
        event = replace(message_event(key, "what?", place=GROUP), sender=sender)
        await store.write(
            partial(accept_event, incoming=event, conversation_key=GROUP_KEY, person_key=f"telegram:{sender.user}")
        )
        (turn,) = await claim(store)
        noted = partial(store_answer, prompt="what?", answer=f"for {sender.name}", note=note, model="m")
        await store.write(noted, turn)
        await store.write(finish_turn, turn, TurnState.DONE)
    await erase(store)
    assert await store.read(rows_with, "a secret") == []
    assert len(await store.read(rows_with, "for Bob")) == 1


async def test_question_that_somebody_else_asked_again_is_erased(store: Store) -> None:
    async def ask(key: str, sender: Sender, *, again: bool) -> None:
        event = replace(message_event(key, "a secret", place=GROUP), sender=sender)
        await store.write(
            partial(accept_event, incoming=event, conversation_key=GROUP_KEY, person_key=f"telegram:{sender.user}")
        )
        (turn,) = await claim(store)
        await answer(store, turn, "a secret", "yes", replaces_last=again)

    await ask("1", ANN_SENDER, again=False)
    await ask("2", BOB, again=True)
    await store.write(delete_turns, database_now() + 60)
    assert len(await store.read(rows_with, "a secret")) == 1, "Ann's own row is deleted with its turn"
    await erase(store)
    assert await store.read(rows_with, "a secret") == []


async def test_decision_of_an_operator_does_not_name_the_person(store: Store) -> None:
    press = Incoming(
        EventKind.BUTTON,
        "press",
        Place("telegram", "1", "6", is_private=True),
        BOB,
        encode_action(ButtonAction.APPROVE, ANN.subject),
    )
    accept_bob = partial(accept_event, incoming=press, conversation_key="telegram:1:6::", person_key="telegram:6")
    await store.write(partial(accept_bob, ordered=False))
    (turn,) = await claim(store)
    await store.write(finish_turn, turn, TurnState.DONE)
    await erase(store)
    assert await store.read(rows_with, "telegram:person:5") == []


async def test_name_is_erased_by_the_persons_key_after_their_turns_and_not_a_namesakes(store: Store) -> None:
    namesake = Sender("telegram", "6", "Annabella")
    deciders = {"telegram:person:71": Sender("telegram", "5", "Annabella"), "telegram:person:72": namesake}

    def prepare(connection: Connection) -> None:
        for name, key in ((PreferenceName.MODEL, ANN.key), (PreferenceName.LANGUAGE, "telegram:6")):
            set_preference(connection, "chat:telegram:1:-7", name, Preference("value", "Annabella", key))
        grant(connection, ANN.subject, Role.OPERATOR, "Annabella")
        for number, (subject, operator) in enumerate(deciders.items()):
            stranger = replace(message_event(f"s{number}"), sender=Sender("telegram", subject[-2:], "Eve"))
            request_access(connection, stranger, "Eve", None)
            decide_request(connection, subject, Decision.REFUSED, operator, "welcome", 0.0)

    await store.write(prepare)
    await erase(store)
    left = await store.read(rows_with, "Annabella")
    assert sorted(row.split()[0] for row in left) == ["access_requests", "preferences"]
    assert all("'telegram:6'" in row for row in left)
    assert await store.read(rows_with, f"'{ANN.key}'") == []


async def test_name_from_before_the_key_was_stored_is_erased_without_events(store: Store) -> None:
    def prepare(connection: Connection) -> None:
        grant(connection, ANN.subject, Role.MEMBER, "Annabella")
        for name, set_by in ((PreferenceName.MODEL, "Annabella"), (PreferenceName.LANGUAGE, "Bob")):
            set_preference(connection, "chat:telegram:1:-7", name, Preference("value", set_by))

    await store.write(prepare)
    await erase(store)
    assert await store.read(rows_with, "Annabella") == []
    assert len(await store.read(rows_with, "'Bob'")) == 1


class SharedGroup:
    """Ann's question in a group's conversation is answered, and her next one is being answered."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def prepare(self) -> None:
        store = self._store
        await self._accept("1")
        (first,) = await claim(store)
        await answer(store, first, "a secret", "yes")
        await store.write(set_recall_mode, GROUP_KEY, RecallMode.WITH_MESSAGES)
        (self.question,) = await store.read(list_unindexed_messages, GROUP_KEY, 9)
        await self._accept("2")
        (self.turn,) = await claim(store)
        await store.write(charge_daily_usage, {SUBJECT: 1000}, DAY, 700)

    async def _accept(self, key: str) -> None:
        event = message_event(key, "a secret", place=GROUP)
        await self._store.write(partial(accept_event, incoming=event, conversation_key=GROUP_KEY))

    def store_answer(self, connection: Connection) -> None:
        store_answer(connection, self.turn, prompt="a secret", answer="a secret", note="", model="m")

    def index_message(self, connection: Connection) -> None:
        index_messages(connection, GROUP_KEY, "m", [self.question], np.ones((1, 4), np.float32))

    def save_summary(self, connection: Connection) -> None:
        summary = ConversationSummary(self.question.id + 1, "a secret")
        ids = [self.question.id, self.question.id + 1]
        save_summary(connection, self.turn.conversation_id, summary, "m", 0, ids)

    def add_note(self, connection: Connection) -> None:
        add_note(connection, GROUP_KEY, "a secret", ANN.key, self.turn.id)

    def settle_charge(self, connection: Connection) -> None:
        adjust_daily_usage(connection, [SUBJECT], DAY, -300)


WRITES = pytest.mark.parametrize(
    "write",
    [
        SharedGroup.store_answer,
        SharedGroup.index_message,
        SharedGroup.save_summary,
        SharedGroup.add_note,
        SharedGroup.settle_charge,
    ],
    ids=lambda write: write.__name__,
)


def traces(connection: Connection) -> list[str]:
    vectors = connection.execute(select(memory_chunks.c.id)).all()
    usage = connection.execute(select(daily_usage)).all()
    return [*rows_with(connection, "secret"), *map(str, vectors), *map(str, usage)]


@WRITES
async def test_nothing_is_stored_after_an_erasure(
    store: Store, write: Callable[[SharedGroup, Connection], None]
) -> None:
    group = SharedGroup(store)
    await group.prepare()
    await erase(store)
    with contextlib.suppress(LostLeaseError):
        await store.write(partial(write, group))
    assert await store.read(traces) == []


@pytest.mark.slow
@WRITES
async def test_erasure_waits_for_what_is_being_stored(write: Callable[[SharedGroup, Connection], None]) -> None:
    async with two_processes() as (store, other):
        group = SharedGroup(store)
        await group.prepare()
        async with other.connect() as connection:
            await connection.run_sync(partial(write, group))
            erasure = asyncio.create_task(erase(store))
            await wait_until(lambda: is_done_or_blocked(store, erasure))
            await connection.commit()
        await erasure
        assert await store.read(traces) == []


async def is_done_or_blocked(store: Store, task: "asyncio.Task[None]") -> bool:
    return task.done() or await store.read(has_blocked_query)
