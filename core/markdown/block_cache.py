"""Caches what a dialect wrote for a block: while an answer grows, most of its blocks stay the same objects.

Blocks are found by identity, because comparing their contents costs almost as much as writing them.
"""

from typing import Generic, TypeVar

from core.bounded_dict import BoundedDict
from core.markdown.document import Block

MAX_CACHED_BLOCKS = 4096

T = TypeVar("T")


class BlockCache(Generic[T]):
    def __init__(self) -> None:
        self._entries: BoundedDict[int, tuple[Block, T]] = BoundedDict(MAX_CACHED_BLOCKS)
        """By the identity of the block, which exists as long as its entry."""

    def get(self, block: Block) -> T | None:
        entry = self._entries.get(id(block))
        return None if entry is None else entry[1]

    def put(self, block: Block, written: T) -> None:
        self._entries[id(block)] = block, written
