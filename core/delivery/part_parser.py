"""Parses the text of one part, again and again while it grows, but each of its blocks only until it is settled.

A block is *settled* when another one follows whose first line is complete: no later text can change it. When

    # Title
    Some **bo

grows by "ld** text", only the second block is parsed again. In a list, an item settles when another one follows.

The result depends on the text alone, and so does its cost, whatever was parsed before: where a part ends may therefore
depend on its cost.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.markdown.document import Block, ListBlock, MathBlock, Table
from core.markdown.formulas import DISPLAY_OPENER_PATTERN
from core.markdown.outline import OpenBlock, open_formula_closer, strip_continuation
from core.markdown.parser import PlacedBlock, parse_blocks

ITEM_PATTERN = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t][^|\n]*\n")
"""The first line of an item that would not begin a table if no item preceded it."""


@dataclass(frozen=True, slots=True)
class ParsedPart:
    blocks: tuple[Block, ...]
    cost: int
    """What parsing the last block costs, in characters of prose, and half of what the others cost."""


@dataclass(frozen=True, slots=True)
class _Boundary:
    """A position from which the rest of the part can be parsed, because what precedes it is settled."""

    start: int
    min_end: int
    """What precedes `start` is settled if the text reaches this position."""
    block_start: int
    """Where the block begins that continues or begins at `start`."""
    block_count: int = 0
    """The number of blocks before that one."""
    work: int = 0
    """What their marks cost."""
    items: ListBlock | None = None
    """If the block is a list that continues at `start`, its items before it."""
    items_work: int = 0
    """What their marks cost."""


class PartParser:
    """`prefix` opens `open_blocks` again for a part that begins at `start` in the text."""

    def __init__(self, start: int, prefix: str = "", open_blocks: Sequence[OpenBlock] = ()) -> None:
        self._start = start
        self._prefix = prefix
        self._open_blocks = open_blocks
        self._offset = start - len(prefix)
        """From a position in the source, which is the prefix and the part, to one in the text."""
        self._settled: list[Block] = []
        self._boundaries = [_Boundary(self._offset, self._offset, self._offset)]
        self.work = 0
        """What all parsing so far cost, in characters of prose."""

    def parse(self, text: str, end: int, suffix: str = "") -> ParsedPart:
        """The part if `text`, which may only grow from call to call, ended at `end` and `suffix` followed."""
        boundary = self._boundaries[bisect_right(self._boundaries, end, key=_min_end) - 1]
        if boundary.start == self._offset:
            source = self._prefix + text[self._start : end] + suffix
            placed = parse_blocks(source, open_formula_closer(self._open_blocks) if self._prefix else None)
        else:
            source = text[boundary.start : end] + suffix
            placed = parse_blocks(source)
        self.work += len(source) + sum(block.work for block in placed)
        blocks = self._join(boundary, placed)
        tail = _Tail(boundary, placed, blocks, source)
        if not suffix:
            self._settle(tail)
        source_chars = boundary.start - self._offset + len(source)
        return ParsedPart((*self._settled[: boundary.block_count], *blocks), tail.cost(source_chars))

    def _join(self, boundary: _Boundary, placed: list[PlacedBlock]) -> tuple[Block, ...]:
        """The blocks behind `boundary`; the first may continue the settled items or a block of the previous part."""
        blocks = tuple(block.block for block in placed)
        if boundary.start == self._offset:
            return strip_continuation(blocks, self._open_blocks)
        if boundary.items is None:
            return blocks
        match blocks:
            case (ListBlock(items), *others):
                return (ListBlock(boundary.items.items + items, boundary.items.start), *others)
        return (boundary.items, *blocks)

    def _settle(self, tail: "_Tail") -> None:
        for boundary in tail.boundaries():
            last = self._boundaries[-1]
            if boundary.start > last.start and boundary.start >= self._start:
                first = tail.boundary.block_count
                self._settled += tail.blocks[len(self._settled) - first : boundary.block_count - first]
                self._boundaries.append(replace(boundary, min_end=max(boundary.min_end, last.min_end)))


def _min_end(boundary: _Boundary) -> int:
    return boundary.min_end


@dataclass(frozen=True, slots=True)
class _Tail:
    """The parsed end of a part."""

    boundary: _Boundary
    """Where it begins."""
    placed: list[PlacedBlock]
    blocks: tuple[Block, ...]
    """`placed`, joined with what precedes them."""
    source: str

    def cost(self, source_chars: int) -> int:
        """See `ParsedPart.cost`. `source_chars`: the length of the whole part."""
        boundary = self.boundary
        open_work = boundary.items_work + len(self.source) + boundary.start - boundary.block_start
        if len(self.placed) > 1:
            open_work = len(self.source) - self._line_starts()[self.placed[-1].line]
        open_work += self.placed[-1].work if self.placed else 0
        work = source_chars + boundary.work + boundary.items_work + sum(block.work for block in self.placed)
        return open_work + (work - open_work) // 2

    def boundaries(self) -> Iterator[_Boundary]:
        """From where longer texts need to be parsed."""
        line_starts = self._line_starts()
        work = self.boundary.work + self.boundary.items_work
        last = self.boundary
        block_count = last.block_count + len(self.blocks) - len(self.placed)
        for previous, block in pairwise(self.placed):
            work += previous.work
            block_count += 1
            # Later text may turn the lines of a formula or a table into a part of the previous block.
            is_unsure = isinstance(block.block, MathBlock | Table)
            if previous.line < block.line < len(line_starts) - 1 and not is_unsure:
                start, min_end = self._line_range(line_starts, block.line)
                last = _Boundary(start, min_end, start, block_count, work)
                yield last
        if last.block_count == self.boundary.block_count + len(self.blocks) - 1:
            yield from self._item_boundary(last, line_starts)

    def _item_boundary(self, block: _Boundary, line_starts: list[int]) -> Iterator[_Boundary]:
        """The last item that settles those before it, if the last block, which begins at `block`, is a list."""
        list_block, placed_items = self.blocks[-1], self.placed[-1].items
        if not isinstance(list_block, ListBlock):
            return
        earlier_items = len(list_block.items) - len(placed_items)
        for index in range(len(placed_items) - 1, 0, -1):
            line = placed_items[index].line
            if line < len(line_starts) - 1 and index + earlier_items > 0:
                if ITEM_PATTERN.match(self.source, line_starts[line]):
                    start, min_end = self._line_range(line_starts, line)
                    items = ListBlock(list_block.items[: index + earlier_items], list_block.start)
                    items_work = block.items_work + placed_items[index].work_before
                    yield replace(block, start=start, min_end=min_end, items=items, items_work=items_work)
                return

    def _line_range(self, line_starts: list[int], line: int) -> tuple[int, int]:
        """Where the line begins, and where a text must end at least for the line to begin a block."""
        start = self.boundary.start
        # A formula without end takes up the rest of the text, until the text shows that it is none.
        is_uncertain = DISPLAY_OPENER_PATTERN.search(self.source) is not None
        return start + line_starts[line], start + (len(self.source) if is_uncertain else line_starts[line + 1])

    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.source))]
