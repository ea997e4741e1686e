"""The one splitter: a growing text to parts that fit, of which only the last still changes.

A part is closed by the first character with which what it shows would no longer fit, and it is
cut by looking only at what stands before that character. Text that comes later therefore changes
no closed part, and it does not matter in how many steps the text came.

Between blocks if the part is at least half full, else inside the last block: between items, rows
and inner blocks, then lines, sentences, words, graphemes. A place where a link, code or emphasis
would be torn apart is avoided while there is another.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import regex

from core.markdown.document import Block, Document, ListBlock, MathBlock, Paragraph, Table, Text
from core.markdown.outline import (
    BreakRank,
    OpenBlock,
    OpenBlockKind,
    Outline,
    build_outline,
    container_indent,
    continuation_prefix,
    open_formula_closer,
    strip_continuation,
)
from core.markdown.parser import PlacedBlock, normalise_text, parse_blocks
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, Part

__all__ = ["Splitter"]

INITIAL_STRIDE_CHARS = 512  # characters looked at in one go, halved where they might not fit
MAX_INLINE_CHARS = 1000  # characters that never take long
SLOW_CPU_SECONDS = 0.02  # seconds of the processor
MAX_CUT_CANDIDATES = 24  # places looked at for one cut
MIN_FILL_RATIOS = (0.5, 0.05)  # of a part that should be filled, if nothing is torn apart; at worst
SIZE_SLACK = 24  # by how much what is shown may grow for a moment and shrink again
MARKUP_PATTERN = re.compile(r"[*_~`\[\]()!\\$&<|]")
PAIRED_MARKUP_PATTERN = re.compile(r"[*_~`\[\]()!\\$&<]")
TABLE_DELIMITER_PATTERN = re.compile(r"^[ \t>]*(?:[|:][|: \t]*-|-(?=[-|:]))[|:\- \t]*(?=[^\n|:\- \t])", re.MULTILINE)
LIST_ITEM_PATTERN = re.compile(r"^(?:[-*+]|\d{1,9}[.)])[ \t]", re.MULTILINE)
LIST_MARKER_PATTERN = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])")
"""Begins an item, unless something other than a space follows."""
OPENER_BY_CLOSER = {
    "**": "**",
    "*": "*",
    "__": "__",
    "_": "_",
    "`": "`",
    "``": "``",
    "~~": "~~",
    "](x)": "[",
    "x)": "](",
    "\\)": "\\(",
    "\\]": "\\[",
    "$": "$",
}
"""What closes a pair of marks, and what opened it."""
BLOCK_START_PATTERN = re.compile(
    r"[ \t]*(?:\d{1,9}(?:[.)](?:\s|\Z)|\Z)|[-*+](?:\s|\Z)|#{1,6}(?:\s|\Z)|>|`{2,}|~~|\||\$\$|\\\[)"
)
"""At the start of a line these would begin a block, which they do not inside a paragraph."""
SENTENCE_END_PATTERN = re.compile(r"(?:[.!?…]+[\"')\]*_»”’]*\s+|[。！？]+[」』”]?)(?=\S)")
WORD_GAP_PATTERN = re.compile(r"\s+(?=\S)")


class _Rendering(NamedTuple):
    """What a part shows when it ends somewhere."""

    blocks: list[PlacedBlock]
    part: Part
    size: int


class _Cut(NamedTuple):
    end: int
    resume_at: int
    """Where the next part begins: behind the marks that its frames stand for."""
    frames: tuple[OpenBlock, ...]
    is_inside_block: bool


class Splitter:
    """`room`: units of the dialect's size kept free in every part."""

    def __init__(self, dialect: Dialect, *, reserved_size: int = 0) -> None:
        self._dialect = dialect
        self._max_size = dialect.limit - reserved_size
        self._text = ""
        self._is_slow = False
        self._is_cancelled = False
        self._closed_parts: list[Part] = []
        self._begin_part(_Cut(0, 0, (), is_inside_block=False))

    async def update_async(self, text: str) -> tuple[Part, ...]:
        """As `feed`, for an event loop: what takes long goes on beside it."""
        if len(text) - len(self._text) <= MAX_INLINE_CHARS and not self._is_slow:
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
            self._is_slow = time.thread_time() - started_at > SLOW_CPU_SECONDS

    def update(self, text: str) -> tuple[Part, ...]:
        """All parts of `text`, the whole of what there is so far; the last one may still grow."""
        text = normalise_text(text)
        if not text.startswith(self._text):
            self._closed_parts = []
            self._begin_part(_Cut(0, 0, (), is_inside_block=False))
        self._text = text
        while self._fit_end < len(text) and not self._is_cancelled:
            self._advance()
        last = self._render_up_to(len(text)).part
        parts = (*self._closed_parts, last) if last.text.strip() else tuple(self._closed_parts)
        if not parts and text.strip():
            # Markup without content: nothing a model wrote may vanish.
            literal = Document((Paragraph((Text(text.strip()),)),))
            return (self._dialect.render(literal),)
        return parts

    # The open part

    def _begin_part(self, cut: _Cut) -> None:
        self._start = self._fit_end = self._tail_start = cut.resume_at
        self._frames = cut.frames
        self._head = self._tail_prefix = continuation_prefix(cut.frames, is_mid_line=cut.is_inside_block)
        self._settled_blocks: tuple[Block, ...] = ()
        self._settled_items: ListBlock | None = None
        self._stride = INITIAL_STRIDE_CHARS
        self._renderings: dict[int, _Rendering] = {}

    def _advance(self) -> None:
        """Take in as much as certainly fits, or close the part if nothing more does."""
        stride = min(self._stride, len(self._text) - self._fit_end)
        while stride > 1 and not self._fits_up_to(self._fit_end + stride):
            stride //= 2
        end = self._fit_end + stride
        if stride > 1 or self._render_up_to(end).size <= self._max_size or self._fit_end == self._start:
            self._stride = stride * 2
            self._settle_blocks(end)
        else:
            self._close_part()

    def _fits_up_to(self, end: int) -> bool:
        """Whether the part fits wherever it ends up to `end`.

        With half of a pair of marks, or of a table, more may show than with the whole: such text
        is taken in by single characters when the part is nearly full.
        """
        tail = self._text[self._tail_start : end]
        max_size = self._max_size - (SIZE_SLACK if PAIRED_MARKUP_PATTERN.search(tail) else 0)
        if self._render_up_to(end).size > max_size:
            return False
        added = self._text[self._fit_end : end]
        for delimiter in TABLE_DELIMITER_PATTERN.finditer(added):
            # A table that lasts for a few characters only.
            if self._render_up_to(self._fit_end + delimiter.end()).size > max_size:
                return False
        if not MARKUP_PATTERN.search(added):
            return True
        # Count all the marks as text.
        text = self._text[self._tail_start : self._fit_end] + PAIRED_MARKUP_PATTERN.sub("@", added)
        return self._render_tail(text).size <= max_size

    def _settle_blocks(self, end: int) -> None:
        """Keep the blocks that no later text can change, and what was found out about the rest."""
        rendering = self._render_up_to(end)
        self._fit_end = end
        source = self._tail_prefix + self._text[self._tail_start : end]
        complete = source.count("\n")
        first = _first_unsettled_line(rendering.blocks, complete)
        if first:
            self._settled_blocks += tuple(placed.block for placed in rendering.blocks if placed.line < first)
            self._settled_items = None
            rest = [
                PlacedBlock(placed.line - first, placed.block) for placed in rendering.blocks if placed.line >= first
            ]
            rendering = rendering._replace(blocks=rest)
            self._drop_settled_lines(source, first)
            self._renderings = {}
        self._renderings = {at: look for at, look in self._renderings.items() if at > end} | {end: rendering}
        match rendering.blocks:
            case [PlacedBlock(block=ListBlock() as list_block)]:
                self._settle_items(list_block)

    def _settle_items(self, block: ListBlock) -> None:
        """As `_settle`, for all but the last item of a long list."""
        source = self._tail_prefix + self._text[self._tail_start : self._fit_end]
        item_starts = [match.start() for match in LIST_ITEM_PATTERN.finditer(source)]
        settled_count = len(self._settled_items.items) if self._settled_items else 0
        if len(item_starts) < 4 or item_starts[0] != 0 or settled_count + len(item_starts) != len(block.items):
            return
        if "\n" not in source[item_starts[-1] :]:
            item_starts.pop()
        self._settled_items = ListBlock(block.items[: settled_count + len(item_starts) - 1], block.start)
        self._drop_settled_lines(source, source.count("\n", 0, item_starts[-1]))
        self._renderings = {self._fit_end: self._renderings[self._fit_end]}

    def _drop_settled_lines(self, source: str, line: int) -> None:
        """What stands before `line` of `source` need not be parsed again."""
        self._tail_start += _line_offset(source, line) - len(self._tail_prefix)
        self._tail_prefix = ""

    def _render_up_to(self, end: int) -> _Rendering:
        rendering = self._renderings.get(end)
        if rendering is None:
            rendering = self._renderings[end] = self._render_tail(self._text[self._tail_start : end])
        return rendering

    def _render_tail(self, tail: str) -> _Rendering:
        closing_text = open_formula_closer(self._frames) if self._tail_prefix else None
        blocks = parse_blocks(self._tail_prefix + tail, closing_text)
        if self._tail_prefix or self._tail_start == self._start:
            blocks = _resume_blocks(blocks, self._frames)
        if self._settled_items:
            blocks = _merge_list(self._settled_items, blocks)
        part = self._dialect.render(Document(self._settled_blocks + tuple(placed.block for placed in blocks)))
        return _Rendering(blocks, part, self._dialect.size(part))

    # The cut

    def _close_part(self) -> None:
        cut = self._choose_cut()
        part = self._dialect.render(Document(self._blocks_up_to(cut.end)))
        if part.text.strip():
            self._closed_parts.append(part)
        self._begin_part(cut)

    def _choose_cut(self) -> _Cut:
        """A half full part is enough, and a short one better than something torn apart."""
        variants = self._visible_variants()
        second_best: _Cut | None = None
        for min_fill in MIN_FILL_RATIOS:
            for cut in islice(self._cut_candidates(self._max_size * min_fill), MAX_CUT_CANDIDATES):
                tear = self._tear_severity(cut, variants)
                if not tear:
                    return cut
                if tear == 1 and second_best is None:
                    second_best = cut
        return second_best or self._cut_at_end()

    def _cut_candidates(self, min_size: float) -> Iterator[_Cut]:
        for group in self._candidate_groups():
            for cut in group:
                if self._would_start_block(cut):
                    continue
                if self._size_at(cut.end) < min_size:
                    break
                yield cut

    def _would_start_block(self, cut: _Cut) -> bool:
        text = self._text[cut.resume_at : self._fit_end + 1]
        return bool(cut.frames and cut.frames[-1].kind is OpenBlockKind.PARAGRAPH and BLOCK_START_PATTERN.match(text))

    def _candidate_groups(self) -> Iterator[Iterator[_Cut]]:
        """Places to cut, the best kind first, each kind from the end."""
        source = self._head + self._text[self._start : self._fit_end]
        block_outline = build_outline(source, self._frames)
        for rank in BreakRank:
            yield self._cuts_between_blocks(source, block_outline, rank)
        for pattern in (SENTENCE_END_PATTERN, WORD_GAP_PATTERN):
            yield self._cuts_inside_block(source, block_outline, pattern)
        yield self._cuts_between_graphemes(source, block_outline)

    def _cuts_between_blocks(self, source: str, block_outline: Outline, rank: BreakRank) -> Iterator[_Cut]:
        lines = source.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        has_open_marker = LIST_MARKER_PATTERN.fullmatch(lines[-1]) and not self._overflow_char().isspace()
        for candidate in reversed(block_outline.break_points):
            if has_open_marker and candidate.line == len(lines) - 1:
                continue
            at = self._start + starts[candidate.line] - len(self._head)
            if candidate.rank != rank or candidate.orphans_heading or at <= self._start:
                continue
            has_lines = candidate.open_blocks and candidate.open_blocks[-1].lines_before
            indent = 0 if has_lines else container_indent(lines[candidate.line], candidate.open_blocks)
            if len(lines[candidate.line]) > indent:
                yield _Cut(at, at + indent, candidate.open_blocks, is_inside_block=False)

    def _cuts_inside_block(self, source: str, block_outline: Outline, pattern: re.Pattern[str]) -> Iterator[_Cut]:
        shift = self._start - len(self._head)
        search_start = max(len(self._head), len(source) - self._max_size)
        ends = [match.end() for match in pattern.finditer(source + self._overflow_char(), search_start)]
        for end in reversed(ends):
            if "\n" not in source[end - 1 : end] and end <= len(source):
                yield self._cut_inside_at(source, block_outline, end, shift)

    def _cuts_between_graphemes(self, source: str, block_outline: Outline) -> Iterator[_Cut]:
        shift = self._start - len(self._head)
        search_start = max(len(self._head), len(source) - 256)
        ends = [match.end() for match in regex.finditer(r"\X", source + self._overflow_char(), pos=search_start)]
        for end in reversed(ends):
            # What the next line belongs to is not known yet where it has not begun.
            if search_start < end <= len(source) and not source.endswith("\n", 0, end):
                yield self._cut_inside_at(source, block_outline, end, shift)

    def _cut_inside_at(self, source: str, block_outline: Outline, end: int, shift: int) -> _Cut:
        frames = block_outline.open_blocks_at(source.count("\n", 0, end))
        return _Cut(end + shift, end + shift, frames, is_inside_block=True)

    def _overflow_char(self) -> str:
        """The character that did not fit: it is what closed the part, so it may be looked at."""
        return self._text[self._fit_end : self._fit_end + 1]

    def _cut_at_end(self) -> _Cut:
        source = self._head + self._text[self._start : self._fit_end]
        block_outline = build_outline(source, self._frames)
        return self._cut_inside_at(source, block_outline, len(source), self._start - len(self._head))

    def _size_at(self, end: int) -> int:
        """How large the part would be if it ended at `end`; 0 if nothing would be seen of it."""
        part = self._dialect.render(Document(self._blocks_up_to(end)))
        return self._dialect.size(part) if part.text.strip() else 0

    def _blocks_up_to(self, end: int, suffix: str = "") -> tuple[Block, ...]:
        text = self._head + self._text[self._start : end] + suffix
        blocks = _resume_blocks(parse_blocks(text, open_formula_closer(self._frames)), self._frames)
        return tuple(placed.block for placed in blocks)

    def _visible_variants(self) -> list[tuple[str, str]]:
        """What the part shows, as it is and with each mark closed that might still be open."""
        visible = _visible_text(self._blocks_up_to(self._fit_end))
        variants = [("", visible)]
        last = self._text[self._start : self._fit_end].rpartition("\n\n")[2]
        for mark, opener in OPENER_BY_CLOSER.items():
            if opener in last:
                visible_closed = _visible_text(self._blocks_up_to(self._fit_end, mark))
                if visible_closed != visible + mark:
                    variants.append((mark, visible_closed))
        return variants

    def _tear_severity(self, cut: _Cut, variants: list[tuple[str, str]]) -> int:
        """0: nothing is torn apart; 1: something that may yet become a pair is; 2: a pair is."""
        before = _visible_text(self._blocks_up_to(cut.end))
        rest = (
            continuation_prefix(cut.frames, is_mid_line=cut.is_inside_block) + self._text[cut.resume_at : self._fit_end]
        )
        for mark, visible in variants:
            blocks = _resume_blocks(parse_blocks(rest + mark, open_formula_closer(cut.frames)), cut.frames)
            if before + _visible_text(tuple(placed.block for placed in blocks)) != visible:
                return 1 if mark else 2
        return 0


def _first_unsettled_line(blocks: list[PlacedBlock], complete_lines: int) -> int:
    """The line from which later text may change something, when `complete` lines are."""
    started = [placed for placed in blocks if placed.line < complete_lines]
    while started and isinstance(started[-1].block, MathBlock | Table):
        # These may turn out to be none, and their lines part of the block before.
        started.pop()
    return started[-1].line if started else 0


def _resume_blocks(blocks: list[PlacedBlock], frames: tuple[OpenBlock, ...]) -> list[PlacedBlock]:
    if not frames or not blocks:
        return blocks
    first, *others = blocks
    return [PlacedBlock(first.line, block) for block in strip_continuation((first.block,), frames)] + others


def _merge_list(items: ListBlock, blocks: list[PlacedBlock]) -> list[PlacedBlock]:
    """`items` and the rest of their list, with which `found` begins."""
    first = blocks[0].block if blocks else None
    if isinstance(first, ListBlock):
        return [PlacedBlock(0, ListBlock(items.items + first.items, items.start)), *blocks[1:]]
    return [PlacedBlock(0, items), *blocks]


def _visible_text(blocks: tuple[Block, ...]) -> str:
    return "".join(to_plain_text(Document(blocks)).split())


def _line_offset(text: str, line: int) -> int:
    at = 0
    for _ in range(line):
        at = text.index("\n", at) + 1
    return at
