"""Memories in both databases: near is found, scopes are apart, everything can be removed."""

import asyncio

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from core.store import memories
from core.store.database import Store
from core.store.memories import MemoryEntry, MemoryLimits, NewChunk, RecallMode, UnindexedMessage, Vectors
from core.store.schema import conversations, memory_entries, messages
from core.store.schema import memory_chunks as table

MODEL = "some/embedder"
ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"


def unit_vector(*values: float) -> Vectors:
    vector = np.zeros(8, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


async def remember(
    store: Store, scope: str, name: str, *vectors: Vectors, kind: str = "note", limits: MemoryLimits | None = None
) -> MemoryEntry | None:
    return await store.write(
        memories.add_entry,
        scope,
        kind=kind,
        name=name,
        digest=f"digest of {name}",
        model=MODEL,
        chunks=[NewChunk(f"page {n}", f"{name} {n}") for n, _ in enumerate(vectors, 1)],
        vectors=np.array(vectors),
        limits=limits or MemoryLimits(),
    )


async def find_nearest(store: Store, scope: str, *near: float, limit: int = 5, **how: object) -> list[str]:
    found = await store.read(
        memories.search,
        scope,
        unit_vector(*near),
        MODEL,
        limit_per_kind=limit,
        **how,  # type: ignore[arg-type]
    )
    return [one.text for one in found]


async def test_search_returns_nearest_of_each_kind(store: Store) -> None:
    await remember(store, ANN, "report", unit_vector(1, 0), unit_vector(1, 1), unit_vector(0, 1), kind="pdf")
    await remember(store, ANN, "wifi", unit_vector(1, 0.2))
    assert await find_nearest(store, ANN, 1, 0) == ["report 1", "wifi 1", "report 2", "report 3"]
    assert await find_nearest(store, ANN, 1, 0, limit=1) == ["report 1", "wifi 1"]
    found = await store.read(memories.search, ANN, unit_vector(1, 1), MODEL, limit_per_kind=1)
    assert (found[0].name, found[0].label) == ("report", "page 2")
    assert found[0].score == pytest.approx(1.0, abs=1e-6)


async def test_scopes_are_separate(store: Store) -> None:
    await remember(store, ANN, "secret", unit_vector(1, 0))
    file = await remember(store, ANN, "private", unit_vector(1, 0), kind="pdf")
    assert file is not None
    assert await find_nearest(store, BOB, 1, 0) == []
    assert await find_nearest(store, BOB, 1, 0, entry_ids=[file.id]) == []
    assert await store.read(memories.first_chunks, BOB, file.id, 5) == []
    assert await store.read(memories.list_entries, BOB) == []
    assert await store.read(memories.find_by_digest, BOB, "digest of private") is None
    assert await store.write(memories.delete_entry, BOB, file.number) is None
    await store.write(memories.delete_all, BOB)
    assert await find_nearest(store, ANN, 1, 0) == ["secret 1", "private 1"]


async def test_vectors_of_other_models_are_ignored(store: Store) -> None:
    await remember(store, ANN, "old", unit_vector(1, 0))
    found = await store.read(memories.search, ANN, unit_vector(1, 0), "another/embedder", limit_per_kind=5)
    assert found == []


async def test_numbers_are_stable_after_removal(store: Store) -> None:
    for name in ("one", "two", "three"):
        await remember(store, ANN, name, unit_vector(1, 0))
    gone = await store.write(memories.delete_entry, ANN, 2)
    assert gone is not None
    assert gone.name == "two"
    assert await store.write(memories.delete_entry, ANN, 2) is None
    left = await store.read(memories.list_entries, ANN)
    assert [(entry.number, entry.name) for entry in left] == [(1, "one"), (3, "three")]
    assert await find_nearest(store, ANN, 1, 0) == ["one 1", "three 1"]
    await store.write(memories.delete_all, ANN)
    assert await store.read(_rows) == (0, 0)


async def test_duplicates_are_stored_once(store: Store) -> None:
    both = await asyncio.gather(*(remember(store, ANN, "same", unit_vector(1, 0)) for _ in range(4)))
    others = await asyncio.gather(*(remember(store, ANN, f"n{n}", unit_vector(0, 1)) for n in range(6)))
    assert len({entry.id for entry in both if entry}) == 1
    assert sorted(entry.number for entry in others if entry) == [2, 3, 4, 5, 6, 7]


async def test_scope_size_is_limited(store: Store) -> None:
    limits = MemoryLimits(max_entries=2, max_chunks=3)
    assert await remember(store, ANN, "long", *[unit_vector(1)] * 4, kind="pdf", limits=limits) is None
    assert await remember(store, ANN, "one", unit_vector(1), limits=limits)
    assert await remember(store, ANN, "two", unit_vector(1), limits=limits)
    assert await remember(store, ANN, "three", unit_vector(1), limits=limits) is None
    assert await remember(store, BOB, "one", unit_vector(1), limits=limits)
    assert await store.read(_rows) == (3, 3)


async def test_only_old_messages_are_recalled_on_request(store: Store) -> None:
    ids = await store.write(_say, ANN, 30)
    await store.write(_say, BOB, 2)
    assert await store.read(memories.list_unindexed_messages, ANN, 50) == []
    await store.write(memories.set_recall_mode, ANN, RecallMode.WITH_MESSAGES)
    said = await store.read(memories.list_unindexed_messages, ANN, 10)
    assert said == [UnindexedMessage(id_, f"message {n}") for n, id_ in enumerate(ids[:10])]
    vectors = np.array([unit_vector(1, n) for n in range(10)])
    await store.write(memories.index_messages, ANN, MODEL, said, vectors)
    assert [message.id for message in await store.read(memories.list_unindexed_messages, ANN, 50)] == ids[10:]
    # Of 30, the last 20 are shown to the model as they are.
    later = await store.read(memories.list_unindexed_messages, ANN, 50)
    await store.write(memories.index_messages, ANN, MODEL, later, np.array([unit_vector(1, 0)] * len(later)))
    assert await find_nearest(store, ANN, 1, 0, limit=20) == [f"message {n}" for n in range(10)]
    assert await find_nearest(store, BOB, 1, 0) == []
    await store.write(memories.set_recall_mode, ANN, RecallMode.OFF)
    assert await find_nearest(store, ANN, 1, 0) == []
    assert await store.read(_rows) == (0, 0)


async def test_cleared_messages_are_not_recalled(store: Store) -> None:
    await store.write(_say, ANN, 3)
    await store.write(memories.set_recall_mode, ANN, RecallMode.WITH_MESSAGES)
    await store.write(memories.delete_all, ANN)
    assert await store.read(memories.list_unindexed_messages, ANN, 50) == []
    ids = await store.write(_say, ANN, 1)
    assert [message.id for message in await store.read(memories.list_unindexed_messages, ANN, 50)] == ids


async def test_oldest_messages_are_dropped(store: Store) -> None:
    ids = await store.write(_say, ANN, 6)
    said = [UnindexedMessage(id_, "words") for id_ in ids]
    await store.write(
        memories.index_messages, ANN, MODEL, said, np.array([unit_vector(1)] * 6), MemoryLimits(max_indexed_messages=4)
    )

    def kept(connection: Connection) -> list[int]:
        return list(connection.scalars(select(table.c.message_id).order_by(table.c.message_id)))

    assert await store.read(kept) == ids[2:]


def _rows(connection: Connection) -> tuple[int, int]:
    counts = (select(func.count()).select_from(t) for t in (memory_entries, table))
    one, two = (connection.scalar(count) or 0 for count in counts)
    return one, two


def _say(connection: Connection, scope: str, count: int) -> list[int]:
    id_ = connection.scalar(select(conversations.c.id).where(conversations.c.key == scope))
    if id_ is None:
        made = conversations.insert().values(key=scope).returning(conversations.c.id)
        id_ = connection.execute(made).scalar_one()
    return [
        connection.execute(
            messages.insert()
            .values(conversation_id=id_, turn_id=0, role="user", text=f"message {n}", created_at=0.0)
            .returning(messages.c.id)
        ).scalar_one()
        for n in range(count)
    ]
