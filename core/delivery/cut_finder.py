"""Finds the best place to cut a full part without breaking its markup.

Candidates, from the best kind to the worst, and within a kind from the last to the first:

    between blocks, between the parts of one (list items, table rows), between lines,
    after a sentence, after a word or table cell, between graphemes

A candidate breaks markup if the two halves together show something other than the whole: half a link shows its
brackets. The first candidate wins that breaks nothing and leaves the part at least half full, or else at least 5 %
full. If there is none, the first wins that only separates marks which might still become a pair. The search ends early
if it costs too much. It reads only the text of the part and the one character that did not fit, so later text never
moves a cut.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

import regex

from core.delivery.part_parser import PartParser
from core.markdown.document import Block, Document
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
from core.markdown.parser import parse_blocks
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, Part

MAX_CANDIDATES = 24
"""The number of candidates examined for each minimum fill."""
MIN_FILL_RATIOS = (0.5, 0.05)
MAX_WORK = 400
"""A search that costs more than this per unit of `allowance` ends with the next candidate, whatever it breaks."""
MAX_GRAPHEME_SEARCH_CHARS = 256
LIST_MARKER_PATTERN = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])")
"""Begins a list item, unless something other than a space follows."""
OPENER_BY_CLOSER = {
    "**": "**",
    "*": "*",
    "__": "__",
    "_": "_",
    "`": "`",
    "``": "``",
    "~~": "~~",
    "||": "||",
    "==": "==",
    "](x)": "[",
    "x)": "](",
    "\\)": "\\(",
    "\\]": "\\[",
    "$": "$",
}
"""The mark that closes a pair, and the mark that opens it."""
BLOCK_START_PATTERN = re.compile(
    r"[ \t]*(?:\d{1,9}(?:[.)](?:\s|\Z)|\Z)|[-*+](?:\s|\Z)|#{1,6}(?:\s|\Z)|>|`{2,}|~~|\||\$\$|\\\[)"
)
"""Begins a block at the start of a line, but not in the middle of a paragraph."""
SENTENCE_END_PATTERN = re.compile(r"(?:(?<![.!?…])[.!?…]++[\"')\]*_»”’]*+\s++|(?<![。！？])[。！？]++[」』”]?+)(?=\S)")
WORD_END_PATTERN = re.compile(r"(?<!\s)\s++(?=\S)|(?<=\|)(?=[^\s|])")


@dataclass(frozen=True, slots=True)
class Cut:
    """The part ends at `end`, the next one begins at `resume_at`; both are positions in the text."""

    end: int
    resume_at: int
    """The position after the markers that the next part's prefix repeats."""
    open_blocks: tuple[OpenBlock, ...] = ()
    is_mid_line: bool = False

    def prefix(self) -> str:
        """Source to put before the next part, so that it continues the open blocks."""
        return continuation_prefix(self.open_blocks, is_mid_line=self.is_mid_line)


class _Tear(IntEnum):
    NONE = 0
    POSSIBLE = 1
    """The cut separates marks that later text might turn into a pair."""
    CERTAIN = 2


@dataclass(frozen=True, slots=True)
class _Variant:
    """The rendered part if `closer` comes next."""

    closer: str
    blocks: tuple[Block, ...]


class CutFinder:
    """Finds the cut of the part that begins at `start` and is full at `end`."""

    def __init__(
        self,
        render: Callable[[tuple[Block, ...]], Part],
        parser: PartParser,
        dialect: Dialect,
        text: str,
        start: Cut,
        end: int,
        allowance: int,
    ) -> None:
        self._render = render
        self._parser = parser
        self._parser_cost = 0
        self.work = 0
        """What the search cost apart from the work of `parser`, in characters of prose."""
        self._dialect = dialect
        self._max_size = dialect.limit
        self._allowance = allowance
        self._text = text
        self._start = start.resume_at
        self._end = end
        self._open_blocks = start.open_blocks
        self._prefix = start.prefix()
        self._source = self._prefix + text[self._start : end]
        self._offset = self._start - len(self._prefix)
        """From a position in `_source` to one in the text."""
        self._overflow_char = text[end : end + 1]
        self._outline: Outline = build_outline(self._source, self._open_blocks)

    @property
    def cost(self) -> int:
        """What the search cost, in characters of prose, if nothing had been parsed before."""
        return self._parser_cost + self.work

    def find(self) -> Cut:
        variants = self._variants()
        fallback: Cut | None = None
        for min_fill in MIN_FILL_RATIOS:
            for cut in islice(self._candidates(self._max_size * min_fill), MAX_CANDIDATES):
                if self.cost > MAX_WORK * self._allowance:
                    return cut
                tear = self._tear(cut, variants)
                if tear is _Tear.NONE:
                    return cut
                if tear is _Tear.POSSIBLE and fallback is None:
                    fallback = cut
        return fallback or self._cut_inside_block(len(self._source))

    def blocks_up_to(self, end: int, suffix: str = "") -> tuple[Block, ...]:
        """The blocks of the part if it ended at `end`, followed by `suffix`."""
        parsed = self._parser.parse(self._text, end, suffix)
        self._parser_cost += parsed.cost
        return parsed.blocks

    # Candidates

    def _candidates(self, min_size: float) -> Iterator[Cut]:
        for kind in self._candidates_by_kind():
            for cut in kind:
                if self._would_start_block(cut):
                    continue
                size = self._size_at(cut.end)
                if size < min_size:
                    break
                if size <= self._max_size:
                    yield cut

    def _candidates_by_kind(self) -> Iterator[Iterator[Cut]]:
        for rank in BreakRank:
            yield self._cuts_at_breaks(rank)
        for pattern in (SENTENCE_END_PATTERN, WORD_END_PATTERN):
            yield self._cuts_after(pattern)
        yield self._cuts_between_graphemes()

    def _cuts_at_breaks(self, rank: BreakRank) -> Iterator[Cut]:
        lines = self._source.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        ends_in_marker = LIST_MARKER_PATTERN.fullmatch(lines[-1]) and not self._overflow_char.isspace()
        for candidate in reversed(self._outline.break_points):
            if ends_in_marker and candidate.line == len(lines) - 1:
                continue
            end = starts[candidate.line] + self._offset
            if candidate.rank != rank or candidate.orphans_heading or end <= self._start:
                continue
            has_lines = candidate.open_blocks and candidate.open_blocks[-1].lines_before
            indent = 0 if has_lines else container_indent(lines[candidate.line], candidate.open_blocks)
            if len(lines[candidate.line]) > indent:
                yield Cut(end, end + indent, candidate.open_blocks)

    def _cuts_after(self, pattern: re.Pattern[str]) -> Iterator[Cut]:
        search_start = max(len(self._prefix), len(self._source) - self._max_size)
        ends = [match.end() for match in pattern.finditer(self._source + self._overflow_char, search_start)]
        for end in reversed(ends):
            if "\n" not in self._source[end - 1 : end] and end <= len(self._source):
                yield self._cut_inside_block(end)

    def _cuts_between_graphemes(self) -> Iterator[Cut]:
        search_start = max(len(self._prefix), len(self._source) - MAX_GRAPHEME_SEARCH_CHARS)
        graphemes = regex.finditer(r"\X", self._source + self._overflow_char, pos=search_start)
        ends = [match.end() for match in graphemes]
        for end in reversed(ends):
            # At the start of a line, it is unknown to which block the line belongs.
            if search_start < end <= len(self._source) and not self._source.endswith("\n", 0, end):
                yield self._cut_inside_block(end)

    def _cut_inside_block(self, end: int) -> Cut:
        open_blocks = self._outline.open_blocks_at(self._source.count("\n", 0, end))
        return Cut(end + self._offset, end + self._offset, open_blocks, is_mid_line=True)

    def _would_start_block(self, cut: Cut) -> bool:
        """Whether the rest of a paragraph, at the start of a part, would become another block."""
        rest = self._text[cut.resume_at : self._end + 1]
        in_paragraph = bool(cut.open_blocks) and cut.open_blocks[-1].kind is OpenBlockKind.PARAGRAPH
        return in_paragraph and BLOCK_START_PATTERN.match(rest) is not None

    def _size_at(self, end: int) -> int:
        """The size of the part if it ended at `end`; 0 if it would show nothing."""
        part = self._render(self.blocks_up_to(end))
        return self._dialect.size(part) if part.text.strip() else 0

    # Tears

    def _variants(self) -> list[_Variant]:
        """The part as it is, and once for each mark that may still be open, with that mark closed."""
        blocks = self.blocks_up_to(self._end)
        variants = [_Variant("", blocks)]
        last_paragraph = self._text[self._start : self._end].rpartition("\n\n")[2]
        for closer, opener in OPENER_BY_CLOSER.items():
            if opener in last_paragraph:
                closed_blocks = self.blocks_up_to(self._end, closer)
                if not _shows_same(closed_blocks, blocks, closer):
                    variants.append(_Variant(closer, closed_blocks))
        return variants

    def _tear(self, cut: Cut, variants: list[_Variant]) -> _Tear:
        first_half = self.blocks_up_to(cut.end)
        rest = cut.prefix() + self._text[cut.resume_at : self._end]
        for variant in variants:
            second_half = _visible_text(self._parse_rest(rest + variant.closer, cut.open_blocks))
            if not _shows_same(variant.blocks, first_half, second_half):
                return _Tear.POSSIBLE if variant.closer else _Tear.CERTAIN
        return _Tear.NONE

    def _parse_rest(self, source: str, open_blocks: tuple[OpenBlock, ...]) -> tuple[Block, ...]:
        placed = parse_blocks(source, open_formula_closer(open_blocks))
        self.work += len(source) + sum(block.work for block in placed)
        return strip_continuation(tuple(block.block for block in placed), open_blocks)


def _shows_same(whole: tuple[Block, ...], first: tuple[Block, ...], second_text: str) -> bool:
    """Whether `whole` shows what `first` shows, and then `second_text`."""
    common = 0
    while common < min(len(whole), len(first)) and whole[common] is first[common]:
        common += 1
    return _visible_text(whole[common:]) == _visible_text(first[common:]) + second_text


def _visible_text(blocks: tuple[Block, ...]) -> str:
    """The text without white space, which differs between a whole and its halves."""
    return "".join(to_plain_text(Document(blocks)).split())
