"""Finds the texts of a conversation whose vectors are nearest to the vector of a question.

A memory may hold some ten thousand vectors of four kilobytes. They are read in pages and compared in threads, so that
the event loop never handles more than a page at once, and the process holds no more than a few pages.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from core.store import memories
from core.store.database import Store
from core.store.memories import ChunkKind, ScoredChunk, StoredVector, Vectors

PAGE_SIZE = 500
MAX_CONCURRENT_SEARCHES = 2

_Match = tuple[float, int, ChunkKind]
"""Distance, ID and kind of a chunk: in this order, the nearest come first."""


class VectorSearch:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_SEARCHES)

    async def search(
        self, conversation_key: str, query: Vectors, model: str, *, limit_per_kind: int, entry_ids: Sequence[int] = ()
    ) -> list[ScoredChunk]:
        """The chunks nearest to `query`, nearest first: up to `limit_per_kind` each of notes, messages and files.

        With `entry_ids`, only chunks of these entries.
        """
        async with self._slots:
            ids = await self._store.read(
                memories.list_vector_ids, conversation_key, model, vector_bytes=query.nbytes, entry_ids=entry_ids
            )
            nearest: list[_Match] = []
            for start in range(0, len(ids), PAGE_SIZE):
                page = await self._store.read(memories.get_vectors, ids[start : start + PAGE_SIZE])
                nearest = await asyncio.to_thread(_select_nearest, nearest, page, query, limit_per_kind)
        return await self._store.read(memories.get_chunks, {id_: -distance for distance, id_, _ in nearest})


def _select_nearest(
    nearest: list[_Match], page: Sequence[StoredVector], query: Vectors, limit_per_kind: int
) -> list[_Match]:
    """The nearest of those known so far and of a page."""
    import numpy as np

    matrix = np.frombuffer(b"".join(stored.vector for stored in page), np.float32).reshape(-1, query.size)
    distances = (-(matrix @ query)).tolist()
    matches = [(distance, stored.id, stored.kind) for distance, stored in zip(distances, page, strict=True)]
    selected, counts = [], Counter[ChunkKind]()
    for match in sorted((*nearest, *matches)):
        counts[match[2]] += 1
        if counts[match[2]] <= limit_per_kind:
            selected.append(match)
    return selected
