"""Notes, files and messages of a conversation: stored, searched, limited and deleted, on both databases."""

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from core.memory.vector_search import VectorSearch
from core.store import memories
from core.store.answers import store_answer
from core.store.database import Store
from core.store.memories import MemoryEntry, MemoryLimits, NewChunk, RecallMode, UnindexedMessage, Vectors
from core.store.schema import conversations, memory_chunks, memory_entries, messages, turns
from core.store.turns import TurnState, finish_turn
from tests.core.store.turn_helpers import accept_event, claim, message_event

MODEL = "some/embedder"
ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"


def unit_vector(*values: float) -> Vectors:
    vector = np.zeros(8, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


async def add_entry(
    store: Store,
    conversation_key: str,
    name: str,
    *vectors: Vectors,
    kind: str = "note",
    limits: MemoryLimits | None = None,
) -> MemoryEntry | None:
    return await store.write(
        memories.add_entry,
        conversation_key,
        kind=kind,
        name=name,
        digest=f"digest of {name}",
        model=MODEL,
        chunks=[NewChunk(f"page {n}", f"{name} {n}") for n, _ in enumerate(vectors, 1)],
        vectors=np.array(vectors),
        limits=limits or MemoryLimits(),
    )


async def nearest_texts(
    store: Store, conversation_key: str, *query: float, limit: int = 5, entry_ids: Sequence[int] = ()
) -> list[str]:
    search = partial(VectorSearch(store).search, limit_per_kind=limit, entry_ids=entry_ids)
    chunks = await search(conversation_key, unit_vector(*query), MODEL)
    return [chunk.text for chunk in chunks]


async def test_search_returns_nearest_of_each_kind(store: Store) -> None:
    await add_entry(store, ANN, "report", unit_vector(1, 0), unit_vector(1, 1), unit_vector(0, 1), kind="pdf")
    await add_entry(store, ANN, "wifi", unit_vector(1, 0.2))
    assert await nearest_texts(store, ANN, 1, 0) == ["report 1", "wifi 1", "report 2", "report 3"]
    assert await nearest_texts(store, ANN, 1, 0, limit=1) == ["report 1", "wifi 1"]
    nearest, _ = await VectorSearch(store).search(ANN, unit_vector(1, 1), MODEL, limit_per_kind=1)
    assert (nearest.name, nearest.label) == ("report", "page 2")
    assert nearest.score == pytest.approx(1.0, abs=1e-6)


async def test_conversations_are_separate(store: Store) -> None:
    await add_entry(store, ANN, "secret", unit_vector(1, 0))
    file = await add_entry(store, ANN, "private", unit_vector(1, 0), kind="pdf")
    assert file is not None
    assert await nearest_texts(store, BOB, 1, 0) == []
    assert await nearest_texts(store, BOB, 1, 0, entry_ids=[file.id]) == []
    assert await store.read(memories.first_chunks, BOB, file.id, 5) == []
    assert await store.read(memories.list_entries, BOB) == []
    assert await store.read(memories.find_by_digest, BOB, "digest of private") is None
    assert await store.write(memories.delete_entry, BOB, file.number) is None
    await store.write(memories.delete_all, BOB)
    assert await nearest_texts(store, ANN, 1, 0) == ["secret 1", "private 1"]


async def test_vectors_of_other_models_are_ignored(store: Store) -> None:
    await add_entry(store, ANN, "old", unit_vector(1, 0))
    assert await VectorSearch(store).search(ANN, unit_vector(1, 0), "another/embedder", limit_per_kind=5) == []


async def test_numbers_are_stable_after_removal(store: Store) -> None:
    for name in ("one", "two", "three"):
        await add_entry(store, ANN, name, unit_vector(1, 0))
    deleted = await store.write(memories.delete_entry, ANN, 2)
    assert deleted is not None
    assert deleted.name == "two"
    assert await store.write(memories.delete_entry, ANN, 2) is None
    entries = await store.read(memories.list_entries, ANN)
    assert [(entry.number, entry.name) for entry in entries] == [(1, "one"), (3, "three")]
    assert await nearest_texts(store, ANN, 1, 0) == ["one 1", "three 1"]
    await store.write(memories.delete_all, ANN)
    assert await store.read(count_rows) == (0, 0)


async def test_longest_name_of_a_renamed_entry_is_kept(store: Store) -> None:
    await add_entry(store, ANN, "report", unit_vector(1, 0))
    (entry,) = await store.read(memories.list_entries, ANN)
    await store.write(memories.rename_entry, entry.id, "n" * 300)
    (entry,) = await store.read(memories.list_entries, ANN)
    assert entry.name == "n" * 200


async def test_duplicates_are_stored_once(store: Store) -> None:
    duplicates = await asyncio.gather(*(add_entry(store, ANN, "same", unit_vector(1, 0)) for _ in range(4)))
    others = await asyncio.gather(*(add_entry(store, ANN, f"n{n}", unit_vector(0, 1)) for n in range(6)))
    assert len({entry.id for entry in duplicates if entry}) == 1
    assert sorted(entry.number for entry in others if entry) == [2, 3, 4, 5, 6, 7]


async def test_conversation_size_is_limited(store: Store) -> None:
    limits = MemoryLimits(max_entries=2, max_chunks=3)
    assert await add_entry(store, ANN, "long", *[unit_vector(1)] * 4, kind="pdf", limits=limits) is None
    assert await add_entry(store, ANN, "one", unit_vector(1), limits=limits)
    assert await add_entry(store, ANN, "two", unit_vector(1), limits=limits)
    assert await add_entry(store, ANN, "three", unit_vector(1), limits=limits) is None
    assert await add_entry(store, BOB, "one", unit_vector(1), limits=limits)
    assert await store.read(count_rows) == (3, 3)


async def test_only_old_messages_are_recalled_on_request(store: Store) -> None:
    ids = await store.write(add_messages, ANN, 30)
    await store.write(add_messages, BOB, 2)
    assert await store.read(memories.list_unindexed_messages, ANN, 50) == []
    await store.write(memories.set_recall_mode, ANN, RecallMode.WITH_MESSAGES)
    oldest = await store.read(memories.list_unindexed_messages, ANN, 10)
    assert oldest == [UnindexedMessage(id_, f"message {n}") for n, id_ in enumerate(ids[:10])]
    vectors = np.array([unit_vector(1, n) for n in range(10)])
    await store.write(memories.index_messages, ANN, MODEL, oldest, vectors)
    assert [message.id for message in await store.read(memories.list_unindexed_messages, ANN, 50)] == ids[10:]
    # The model sees the newest 20 of the 30 messages anyway.
    newest = await store.read(memories.list_unindexed_messages, ANN, 50)
    await store.write(memories.index_messages, ANN, MODEL, newest, np.array([unit_vector(1, 0)] * len(newest)))
    assert await nearest_texts(store, ANN, 1, 0, limit=20) == [f"message {n}" for n in range(10)]
    assert await nearest_texts(store, BOB, 1, 0) == []
    await store.write(memories.set_recall_mode, ANN, RecallMode.OFF)
    assert await nearest_texts(store, ANN, 1, 0) == []
    assert await store.read(count_rows) == (0, 0)


async def test_cleared_messages_are_not_recalled(store: Store) -> None:
    await store.write(add_messages, ANN, 3)
    await store.write(memories.set_recall_mode, ANN, RecallMode.WITH_MESSAGES)
    await store.write(memories.delete_all, ANN)
    assert await store.read(memories.list_unindexed_messages, ANN, 50) == []
    ids = await store.write(add_messages, ANN, 1)
    assert [message.id for message in await store.read(memories.list_unindexed_messages, ANN, 50)] == ids


async def test_clearing_forgets_what_notes_under_answers_name(store: Store) -> None:
    for key, conversation in (("1", ANN), ("2", BOB)):
        await store.write(partial(accept_event, incoming=message_event(key), conversation_key=conversation))
        (turn,) = await claim(store)
        noted = partial(store_answer, prompt="what?", answer="yes", note="Sources: a.pdf", model="m")
        await store.write(noted, turn)
        await store.write(finish_turn, turn, TurnState.DONE)
    await store.write(memories.delete_all, ANN)
    notes = await store.read(lambda connection: connection.scalars(select(turns.c.note).order_by(turns.c.id)).all())
    assert notes == [None, "Sources: a.pdf"]


async def test_deleting_a_file_forgets_what_notes_under_answers_name_it(store: Store) -> None:
    notes = ["Sources: 50%_a.pdf, page 1", "Sources: b.pdf", "50%_a.pdf is elsewhere"]
    for key, conversation, note in zip("123", (ANN, ANN, BOB), notes, strict=True):
        await store.write(partial(accept_event, incoming=message_event(key), conversation_key=conversation))
        (turn,) = await claim(store)
        noted = partial(store_answer, prompt="what?", answer="yes", note=note, model="m")
        await store.write(noted, turn)
        await store.write(finish_turn, turn, TurnState.DONE)
    remembered = await add_entry(store, ANN, "b", unit_vector(1))
    file = await add_entry(store, ANN, "50%_a.pdf", unit_vector(1), kind="pdf")
    assert remembered is not None
    assert file is not None

    def stored_notes(connection: Connection) -> list[str | None]:
        return list(connection.scalars(select(turns.c.note).order_by(turns.c.id)))

    await store.write(memories.delete_entry, ANN, remembered.number)
    assert await store.read(stored_notes) == notes
    await store.write(memories.delete_entry, ANN, file.number)
    assert await store.read(stored_notes) == [None, *notes[1:]]


@pytest.mark.parametrize(
    ("note", "is_erased"),
    [
        ("Searched plan.", True),
        ("Sources: a.pdf, page 1; plan", True),
        ("已搜索：plan和a.pdf。", True),
        ("No explanation.", False),
        ("Plan B", False),
        ("Sources: plan.pdf", False),
        ("Sources: floor-plan; plan_2", False),
    ],
)
async def test_deleting_a_file_keeps_notes_with_longer_names(store: Store, note: str, is_erased: bool) -> None:
    await store.write(partial(accept_event, incoming=message_event("1"), conversation_key=ANN))
    (turn,) = await claim(store)
    await store.write(partial(store_answer, prompt="what?", answer="yes", note=note, model="m"), turn)
    file = await add_entry(store, ANN, "plan", unit_vector(1), kind="text")
    assert file is not None
    await store.write(memories.delete_entry, ANN, file.number)
    stored = await store.read(lambda connection: connection.scalar(select(turns.c.note)))
    assert stored == (None if is_erased else note)


async def test_clearing_erases_the_note_under_a_stopped_answer_that_is_still_to_be_delivered(store: Store) -> None:
    await store.write(partial(accept_event, incoming=message_event("1"), conversation_key=ANN))
    (turn,) = await claim(store)
    noted = partial(store_answer, prompt="what?", answer="yes, bec", note="Sources: a.pdf", model="m")
    await store.write(partial(noted, final_state=TurnState.STOPPED), turn)
    await store.write(memories.delete_all, ANN)
    assert await store.read(lambda connection: connection.scalar(select(turns.c.note))) is None


async def test_clearing_keeps_a_note_that_is_still_to_be_delivered_without_a_text(store: Store) -> None:
    for key, answer, state in (("1", "", TurnState.FAILED), ("2", "yes", TurnState.DONE)):
        await store.write(partial(accept_event, incoming=message_event(key), conversation_key=f"{ANN}{key}"))
        (turn,) = await claim(store)
        noted = partial(store_answer, prompt="what?", answer=answer, note="a note", model="m", final_state=state)
        await store.write(noted, turn)
        await store.write(memories.delete_all, f"{ANN}{key}")
    notes = await store.read(lambda connection: connection.scalars(select(turns.c.note).order_by(turns.c.id)).all())
    assert notes == ["a note", None]


async def test_oldest_messages_are_dropped(store: Store) -> None:
    ids = await store.write(add_messages, ANN, 6)
    await store.write(memories.set_recall_mode, ANN, RecallMode.WITH_MESSAGES)
    indexed = [UnindexedMessage(id_, "words") for id_ in ids]
    await store.write(
        memories.index_messages,
        ANN,
        MODEL,
        indexed,
        np.array([unit_vector(1)] * 6),
        MemoryLimits(max_indexed_messages=4),
    )

    def stored_ids(connection: Connection) -> list[int]:
        return list(connection.scalars(select(memory_chunks.c.message_id).order_by(memory_chunks.c.message_id)))

    assert await store.read(stored_ids) == ids[2:]


def count_rows(connection: Connection) -> tuple[int, int]:
    """(entries, chunks)"""
    queries = (select(func.count()).select_from(table) for table in (memory_entries, memory_chunks))
    entries, chunks = (connection.scalar(query) or 0 for query in queries)
    return entries, chunks


def add_messages(connection: Connection, conversation_key: str, count: int) -> list[int]:
    """The IDs of `count` new messages of a person."""
    conversation_id = connection.scalar(select(conversations.c.id).where(conversations.c.key == conversation_key))
    if conversation_id is None:
        new = conversations.insert().values(key=conversation_key).returning(conversations.c.id)
        conversation_id = connection.execute(new).scalar_one()
    return [
        connection.execute(
            messages.insert()
            .values(conversation_id=conversation_id, turn_id=0, role="user", text=f"message {n}", created_at=0.0)
            .returning(messages.c.id)
        ).scalar_one()
        for n in range(count)
    ]


async def test_words_are_found_without_vectors(store: Store) -> None:
    await add_entry(store, ANN, "Green 100% wool", unit_vector(1, 0))
    await add_entry(store, ANN, "Überweisung", np.empty(0, np.float32))
    await add_entry(store, BOB, "green", np.empty(0, np.float32))

    async def find(*terms: str, only_without_vector: bool = False) -> list[str]:
        search = partial(memories.search_words, limit=5, only_without_vector=only_without_vector)
        return [chunk.text for chunk in await store.read(search, ANN, terms)]

    assert await find("green", "überwe") == ["Green 100% wool 1", "Überweisung 1"]
    assert await find("green", "überwe", only_without_vector=True) == ["Überweisung 1"]
    assert await find("100%", "wool", "überwe") == ["Green 100% wool 1", "Überweisung 1"], "most terms first"
    assert await find("1_0") == await find() == []
