"""Memories in both databases: near is found, scopes are apart, everything can be removed."""

import asyncio

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from core.api.embedding import Vectors
from core.store import memories
from core.store.database import Store
from core.store.memories import Entry, Item, Recall
from core.store.schema import conversations, documents, messages
from core.store.schema import memories as table

MODEL = "some/embedder"
ANN, BOB = "telegram:1:2::3", "telegram:1:2::4"


def unit(*values: float) -> Vectors:
    vector = np.zeros(8, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


async def give(
    store: Store, scope: str, name: str, *vectors: Vectors, kind: str = "note"
) -> Entry | None:
    return await store.write(
        memories.add, scope, kind=kind, name=name, digest=f"digest of {name}", model=MODEL,
        items=[Item(f"page {n}", f"{name} {n}") for n, _ in enumerate(vectors, 1)],
        vectors=np.array(vectors),
    )  # fmt: skip


async def look(store: Store, scope: str, *near: float, most: int = 5, **how: object) -> list[str]:
    found = await store.read(
        memories.search,
        scope,
        unit(*near),
        MODEL,
        most=most,
        **how,  # type: ignore[arg-type]
    )
    return [one.text for one in found]


async def test_the_nearest_of_each_kind_are_found_first(store: Store) -> None:
    await give(store, ANN, "report", unit(1, 0), unit(1, 1), unit(0, 1), kind="pdf")
    await give(store, ANN, "wifi", unit(1, 0.2))
    assert await look(store, ANN, 1, 0) == ["report 1", "wifi 1", "report 2", "report 3"]
    assert await look(store, ANN, 1, 0, most=1) == ["report 1", "wifi 1"]
    found = await store.read(memories.search, ANN, unit(1, 1), MODEL, most=1)
    assert (found[0].name, found[0].label) == ("report", "page 2")
    assert found[0].score == pytest.approx(1.0, abs=1e-6)


async def test_nothing_of_another_scope_is_found_listed_or_removed(store: Store) -> None:
    await give(store, ANN, "secret", unit(1, 0))
    file = await give(store, ANN, "private", unit(1, 0), kind="pdf")
    assert file is not None
    assert await look(store, BOB, 1, 0) == []
    assert await look(store, BOB, 1, 0, within=[file.id]) == []
    assert await store.read(memories.opening, BOB, file.id, 5) == []
    assert await store.read(memories.entries, BOB) == []
    assert await store.read(memories.same, BOB, "digest of private") is None
    assert await store.write(memories.forget, BOB, file.number) is None
    await store.write(memories.clear, BOB)
    assert await look(store, ANN, 1, 0) == ["secret 1", "private 1"]


async def test_vectors_of_another_model_are_left_out(store: Store) -> None:
    await give(store, ANN, "old", unit(1, 0))
    found = await store.read(memories.search, ANN, unit(1, 0), "another/embedder", most=5)
    assert found == []


async def test_numbers_stay_when_something_is_removed(store: Store) -> None:
    for name in ("one", "two", "three"):
        await give(store, ANN, name, unit(1, 0))
    gone = await store.write(memories.forget, ANN, 2)
    assert gone is not None
    assert gone.name == "two"
    assert await store.write(memories.forget, ANN, 2) is None
    left = await store.read(memories.entries, ANN)
    assert [(entry.number, entry.name) for entry in left] == [(1, "one"), (3, "three")]
    assert await look(store, ANN, 1, 0) == ["one 1", "three 1"]
    await store.write(memories.clear, ANN)
    assert await store.read(_rows) == (0, 0)


async def test_the_same_is_kept_once_also_when_it_comes_twice_at_once(store: Store) -> None:
    both = await asyncio.gather(*(give(store, ANN, "same", unit(1, 0)) for _ in range(4)))
    others = await asyncio.gather(*(give(store, ANN, f"n{n}", unit(0, 1)) for n in range(6)))
    assert len({entry.id for entry in both if entry}) == 1
    assert sorted(entry.number for entry in others if entry) == [2, 3, 4, 5, 6, 7]


async def test_a_scope_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MOST_ENTRIES", 2)
    monkeypatch.setattr(memories, "MOST_PIECES", 3)
    assert await give(store, ANN, "long", *[unit(1)] * 4, kind="pdf") is None
    assert await give(store, ANN, "one", unit(1))
    assert await give(store, ANN, "two", unit(1))
    assert await give(store, ANN, "three", unit(1)) is None
    assert await give(store, BOB, "one", unit(1))
    assert await store.read(_rows) == (3, 3)


async def test_messages_are_recalled_only_when_asked_for_and_only_old_ones(store: Store) -> None:
    ids = await store.write(_say, ANN, 30)
    await store.write(_say, BOB, 2)
    assert await store.read(memories.unheld, ANN, 50) == []
    await store.write(memories.switch, ANN, Recall.ON)
    said = await store.read(memories.unheld, ANN, 10)
    assert said == [(id_, f"message {n}") for n, id_ in enumerate(ids[:10])]
    vectors = np.array([unit(1, n) for n in range(10)])
    await store.write(memories.hold_messages, ANN, MODEL, said, vectors)
    assert [id_ for id_, _ in await store.read(memories.unheld, ANN, 50)] == ids[10:]
    # Of 30, the last 20 are shown to the model as they are.
    later = await store.read(memories.unheld, ANN, 50)
    await store.write(
        memories.hold_messages, ANN, MODEL, later, np.array([unit(1, 0)] * len(later))
    )
    assert await look(store, ANN, 1, 0, most=20) == [f"message {n}" for n in range(10)]
    assert await look(store, BOB, 1, 0) == []
    await store.write(memories.switch, ANN, Recall.OFF)
    assert await look(store, ANN, 1, 0) == []
    assert await store.read(_rows) == (0, 0)


async def test_what_was_cleared_is_not_recalled_again(store: Store) -> None:
    await store.write(_say, ANN, 3)
    await store.write(memories.switch, ANN, Recall.ON)
    await store.write(memories.clear, ANN)
    assert await store.read(memories.unheld, ANN, 50) == []
    ids = await store.write(_say, ANN, 1)
    assert [id_ for id_, _ in await store.read(memories.unheld, ANN, 50)] == ids


async def test_the_oldest_messages_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MOST_MESSAGES", 4)
    ids = await store.write(_say, ANN, 6)
    said = [(id_, "words") for id_ in ids]
    await store.write(memories.hold_messages, ANN, MODEL, said, np.array([unit(1)] * 6))

    def kept(connection: Connection) -> list[int]:
        return list(connection.scalars(select(table.c.position).order_by(table.c.position)))

    assert await store.read(kept) == ids[2:]


def _rows(connection: Connection) -> tuple[int, int]:
    counts = (select(func.count()).select_from(t) for t in (documents, table))
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
            .values(conversation=id_, turn=0, role="user", text=f"message {n}", created=0.0)
            .returning(messages.c.id)
        ).scalar_one()
        for n in range(count)
    ]
