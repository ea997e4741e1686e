"""Splits a growing text into parts that each fit one message; only the last part still changes.

A part is full when one more character would not fit. The cut (`core.delivery.cut_finder`) depends only on the part's
text and that character. A closed part therefore never changes, whatever text follows and in however many steps: the
parts are a pure function of the text. With 10 characters per message:

    update("Hi. You")           ->  "Hi. You"                      one open part
    update("Hi. You are he")    ->  "Hi. You", "are he"            "Hi. You ar" is full, the cut is after a word
    update("Hi. You are here")  ->  "Hi. You", "are here"

Two techniques avoid parsing the whole part again on every update:

- Strides: the part grows by as many characters as certainly fit, doubled after each success and halved after each
  failure.
- Settled blocks: a block that is followed by another can no longer change. Only the *tail* of the part
  behind it is parsed again. The items of a long list settle in the same way.
"""

import asyncio
import re
import time
from dataclasses import dataclass, replace

from core.delivery.cut_finder import Cut, CutFinder, resume_blocks
from core.markdown.document import Block, Document, ListBlock, MathBlock, Paragraph, Table, Text
from core.markdown.outline import open_formula_closer
from core.markdown.parser import PlacedBlock, normalise_text, parse_blocks
from core.port import Dialect, Part
from core.timings import Timings

INITIAL_STRIDE_CHARS = 512
MAX_INLINE_CHARS = 1000
"""Up to this many new characters are split without a thread."""
MIN_SETTLED_ITEMS = 4
SIZE_SLACK = 24
"""The maximum by which half a pair of marks makes a part larger than the complete pair."""
MARKUP_PATTERN = re.compile(r"[*_~`\[\]()!\\$&<|]")
PAIRED_MARKUP_PATTERN = re.compile(r"[*_~`\[\]()!\\$&<]")
TABLE_DELIMITER_PATTERN = re.compile(r"^[ \t>]*(?:[|:][|: \t]*-|-(?=[-|:]))[|:\- \t]*(?=[^\n|:\- \t])", re.MULTILINE)
LIST_ITEM_PATTERN = re.compile(r"^(?:[-*+]|\d{1,9}[.)])[ \t]", re.MULTILINE)
START_OF_TEXT = Cut(0, 0)


@dataclass(frozen=True, slots=True)
class _Rendering:
    """The open part, as if it ended at a certain position."""

    tail_blocks: list[PlacedBlock]
    part: Part
    size: int


class Splitter:
    def __init__(self, dialect: Dialect, *, timings: Timings = Timings()) -> None:
        self._dialect = dialect
        self._timings = timings
        self._text = ""
        self._was_slow = False
        self._is_cancelled = False
        self._closed_parts: list[Part] = []
        self._begin_part(START_OF_TEXT)

    async def update_async(self, text: str) -> tuple[Part, ...]:
        """Like `update`, but splits in a thread if that may take long."""
        if len(text) - len(self._text) <= MAX_INLINE_CHARS and not self._was_slow:
            return self._timed_update(text)
        try:
            return await asyncio.to_thread(self._timed_update, text)
        except asyncio.CancelledError:
            self._is_cancelled = True
            raise

    def _timed_update(self, text: str) -> tuple[Part, ...]:
        started_at = time.thread_time()
        try:
            return self.update(text)
        finally:
            self._was_slow = time.thread_time() - started_at > self._timings.slow_split

    def update(self, text: str) -> tuple[Part, ...]:
        """The parts of `text`, the whole text so far. Starts again if it does not continue the previous text."""
        text = normalise_text(text)
        if not text.startswith(self._text):
            self._closed_parts = []
            self._begin_part(START_OF_TEXT)
        self._text = text
        while self._fit_end < len(text) and not self._is_cancelled:
            self._grow_or_close_part()
        last = self._render_up_to(len(text)).part
        parts = (*self._closed_parts, last) if last.text.strip() else tuple(self._closed_parts)
        if not parts and text.strip():
            # Markup without content (a lone "#"): show its source rather than nothing.
            literal = Document((Paragraph((Text(text.strip()),)),))
            return (self._dialect.render(literal),)
        return parts

    def _begin_part(self, cut: Cut) -> None:
        self._part_start = cut
        self._fit_end = self._tail_start = cut.resume_at
        """Text up to `_fit_end` fits the part; text from `_tail_start` on is not settled."""
        self._tail_prefix = cut.prefix()
        self._settled_blocks: tuple[Block, ...] = ()
        self._settled_items: ListBlock | None = None
        """The settled items of the list at the beginning of the tail."""
        self._stride = INITIAL_STRIDE_CHARS
        self._renderings: dict[int, _Rendering] = {}

    def _grow_or_close_part(self) -> None:
        stride = min(self._stride, len(self._text) - self._fit_end)
        while stride > 1 and not self._fits_up_to(self._fit_end + stride):
            stride //= 2
        end = self._fit_end + stride
        is_empty = self._fit_end == self._part_start.resume_at
        if stride > 1 or self._render_up_to(end).size <= self._dialect.limit or is_empty:
            self._stride = stride * 2
            self._settle_blocks(end)
        else:
            self._close_part()

    def _close_part(self) -> None:
        finder = CutFinder(self._dialect, self._text, self._part_start, self._fit_end)
        cut = finder.find()
        part = self._dialect.render(Document(finder.blocks_up_to(cut.end)))
        if part.text.strip():
            self._closed_parts.append(part)
        self._begin_part(cut)

    # Growing

    def _fits_up_to(self, end: int) -> bool:
        """Whether the part fits at `end` and at every earlier end.

        Half a pair of marks, or half a table, may show more than the whole. There, a nearly full part grows by single
        characters.
        """
        tail = self._text[self._tail_start : end]
        max_size = self._dialect.limit - (SIZE_SLACK if PAIRED_MARKUP_PATTERN.search(tail) else 0)
        if self._render_up_to(end).size > max_size:
            return False
        new_text = self._text[self._fit_end : end]
        for delimiter in TABLE_DELIMITER_PATTERN.finditer(new_text):
            # The text is a table up to here, but no longer with the next character.
            if self._render_up_to(self._fit_end + delimiter.end()).size > max_size:
                return False
        if not MARKUP_PATTERN.search(new_text):
            return True
        # The worst case: every mark is shown as a character.
        unmarked_tail = self._text[self._tail_start : self._fit_end] + PAIRED_MARKUP_PATTERN.sub("@", new_text)
        return self._render_tail(unmarked_tail).size <= max_size

    def _render_up_to(self, end: int) -> _Rendering:
        rendering = self._renderings.get(end)
        if rendering is None:
            rendering = self._renderings[end] = self._render_tail(self._text[self._tail_start : end])
        return rendering

    def _render_tail(self, tail: str) -> _Rendering:
        open_blocks = self._part_start.open_blocks
        closing_text = open_formula_closer(open_blocks) if self._tail_prefix else None
        blocks = parse_blocks(self._tail_prefix + tail, closing_text)
        if self._tail_prefix or self._tail_start == self._part_start.resume_at:
            blocks = resume_blocks(blocks, open_blocks)
        if self._settled_items:
            blocks = _prepend_items(self._settled_items, blocks)
        part = self._dialect.render(Document(self._settled_blocks + tuple(placed.block for placed in blocks)))
        return _Rendering(blocks, part, self._dialect.size(part))

    # Settling

    def _settle_blocks(self, end: int) -> None:
        """Grow the part to `end`, and settle the blocks that no later text can change."""
        rendering = self._render_up_to(end)
        self._fit_end = end
        tail = self._tail_source()
        first_open_line = _first_open_line(rendering.tail_blocks, tail.count("\n"))
        if first_open_line:
            blocks = rendering.tail_blocks
            self._settled_blocks += tuple(placed.block for placed in blocks if placed.line < first_open_line)
            self._settled_items = None
            open_blocks = [
                PlacedBlock(placed.line - first_open_line, placed.block)
                for placed in blocks
                if placed.line >= first_open_line
            ]
            rendering = replace(rendering, tail_blocks=open_blocks)
            self._drop_from_tail(tail, first_open_line)
            self._renderings = {}
        later = {position: rendered for position, rendered in self._renderings.items() if position > end}
        self._renderings = later | {end: rendering}
        match rendering.tail_blocks:
            case [PlacedBlock(block=ListBlock() as list_block)]:
                self._settle_items(list_block)

    def _settle_items(self, list_block: ListBlock) -> None:
        """Settle all but the last item of a long list at the beginning of the tail."""
        tail = self._tail_source()
        item_starts = [match.start() for match in LIST_ITEM_PATTERN.finditer(tail)]
        settled_count = len(self._settled_items.items) if self._settled_items else 0
        is_whole_list = settled_count + len(item_starts) == len(list_block.items)
        if len(item_starts) < MIN_SETTLED_ITEMS or item_starts[0] != 0 or not is_whole_list:
            return
        if "\n" not in tail[item_starts[-1] :]:
            item_starts.pop()
        self._settled_items = ListBlock(list_block.items[: settled_count + len(item_starts) - 1], list_block.start)
        self._drop_from_tail(tail, tail.count("\n", 0, item_starts[-1]))
        self._renderings = {self._fit_end: self._renderings[self._fit_end]}

    def _tail_source(self) -> str:
        return self._tail_prefix + self._text[self._tail_start : self._fit_end]

    def _drop_from_tail(self, tail: str, line_count: int) -> None:
        lines = tail.split("\n", line_count)[:line_count]
        self._tail_start += sum(len(line) + 1 for line in lines) - len(self._tail_prefix)
        self._tail_prefix = ""


def _first_open_line(blocks: list[PlacedBlock], complete_line_count: int) -> int:
    """The first line whose block may still change if the first `complete_line_count` lines are complete."""
    open_candidates = [placed for placed in blocks if placed.line < complete_line_count]
    while open_candidates and isinstance(open_candidates[-1].block, MathBlock | Table):
        # Later text may turn its lines into a part of the previous block.
        open_candidates.pop()
    return open_candidates[-1].line if open_candidates else 0


def _prepend_items(items: ListBlock, blocks: list[PlacedBlock]) -> list[PlacedBlock]:
    """`blocks`, which begin with the rest of a list, completed with the list's settled items."""
    first = blocks[0].block if blocks else None
    if isinstance(first, ListBlock):
        return [PlacedBlock(0, ListBlock(items.items + first.items, items.start)), *blocks[1:]]
    return [PlacedBlock(0, items), *blocks]
