"""A search in a large memory does not hold up the event loop."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.memory.vector_search import PAGE_SIZE, VectorSearch
from core.store import memories
from core.store.database import Store
from core.store.memories import MemoryEntry, NewChunk, Vectors
from tests.sqlite import sqlite_url

ANN, MODEL = "telegram:1:2::3", "some/embedder"
CHUNKS = 3 * PAGE_SIZE + 1


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


async def add_file(store: Store) -> MemoryEntry:
    """The later a chunk, the nearer to (1, 0)."""
    angles = np.linspace(1.5, 0.1, CHUNKS)
    entry = await store.write(
        memories.add_entry,
        ANN,
        kind="pdf",
        name="book.pdf",
        digest="digest",
        model=MODEL,
        chunks=[NewChunk("", str(number)) for number in range(CHUNKS)],
        vectors=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
    )
    assert entry is not None
    return entry


class WatchedVector(np.ndarray[Any, np.dtype[np.float32]]):
    """Records the threads that calculate with it, and the rows of what it is multiplied with."""

    threads: set[int]
    row_counts: list[int]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self.threads.add(threading.get_ident())
        self.row_counts.append(len(inputs[0]))
        return getattr(ufunc, method)(*(np.asarray(value) for value in inputs), **options)


def watched(*values: float) -> WatchedVector:
    vector = np.array(values, np.float32).view(WatchedVector)
    vector.threads, vector.row_counts = set(), []
    return vector


async def test_nearest_are_found_on_all_pages(store: Store) -> None:
    await add_file(store)

    async def nearest(query: Vectors) -> list[str]:
        return [chunk.text for chunk in await VectorSearch(store).search(ANN, query, MODEL, limit_per_kind=2)]

    assert await nearest(np.array([1, 0], np.float32)) == [str(CHUNKS - 1), str(CHUNKS - 2)]
    assert await nearest(np.array([0, 1], np.float32)) == ["0", "1"]


async def test_vectors_are_compared_in_threads_page_by_page(store: Store) -> None:
    await add_file(store)
    query = watched(1, 0)
    await VectorSearch(store).search(ANN, query, MODEL, limit_per_kind=2)
    assert sum(query.row_counts) == CHUNKS
    assert max(query.row_counts) <= PAGE_SIZE
    assert threading.get_ident() not in query.threads
