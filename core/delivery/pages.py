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

from core.markdown.document import Block, Document, ListBlock, Math, Paragraph, Table, Text
from core.markdown.outline import Frame, Outline, closer, head, indentation, outline, resume
from core.markdown.parse import clean, parse_blocks
from core.markdown.plain import plain
from core.port import Dialect, Part

__all__ = ["Pages"]

STRIDE = 512  # characters looked at in one go, halved where they might not fit
QUICK = 1000  # characters that never take long
SLOW = 0.02  # seconds of the processor
TRIES = 24  # places looked at for one cut
SHARES = (0.5, 0.05)  # of a part that should be filled, if nothing is torn apart; at worst
WAVERING = 24  # by how much what is shown may grow for a moment and shrink again
MARKS = re.compile(r"[*_~`\[\]()!\\$&<|]")
PAIRED = re.compile(r"[*_~`\[\]()!\\$&<]")
DELIMITERS = re.compile(
    r"^[ \t>]*(?:[|:][|: \t]*-|-(?=[-|:]))[|:\- \t]*(?=[^\n|:\- \t])", re.MULTILINE
)
ITEM = re.compile(r"^(?:[-*+]|\d{1,9}[.)])[ \t]", re.MULTILINE)
MARKER = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])")
"""Begins an item, unless something other than a space follows."""
CLOSERS = {
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
BLOCKISH = re.compile(
    r"[ \t]*(?:\d{1,9}(?:[.)](?:\s|\Z)|\Z)|[-*+](?:\s|\Z)|#{1,6}(?:\s|\Z)|>|`{2,}|~~|\||\$\$|\\\[)"
)
"""At the start of a line these would begin a block, which they do not inside a paragraph."""
SENTENCE = re.compile(r"(?:[.!?…]+[\"')\]*_»”’]*\s+|[。！？]+[」』”]?)(?=\S)")
WORD = re.compile(r"\s+(?=\S)")


class _Look(NamedTuple):
    """What a part shows when it ends somewhere."""

    blocks: list[tuple[int, Block]]
    part: Part
    size: int


class _Cut(NamedTuple):
    at: int
    resumes: int
    """Where the next part begins: behind the marks that its frames stand for."""
    frames: tuple[Frame, ...]
    inside: bool


class Pages:
    """`room`: units of the dialect's size kept free in every part."""

    def __init__(self, dialect: Dialect, *, room: int = 0) -> None:
        self._dialect = dialect
        self._most = dialect.limit - room
        self._text = ""
        self._slow = False
        self._given_up = False
        self._closed: list[Part] = []
        self._begin(_Cut(0, 0, (), inside=False))

    async def follow(self, text: str) -> tuple[Part, ...]:
        """As `feed`, for an event loop: what takes long goes on beside it."""
        if len(text) - len(self._text) <= QUICK and not self._slow:
            return self._timed(text)
        try:
            return await asyncio.to_thread(self._timed, text)
        except asyncio.CancelledError:
            self._given_up = True
            raise

    def _timed(self, text: str) -> tuple[Part, ...]:
        began = time.thread_time()
        try:
            return self.feed(text)
        finally:
            self._slow = time.thread_time() - began > SLOW

    def feed(self, text: str) -> tuple[Part, ...]:
        """All parts of `text`, the whole of what there is so far; the last one may still grow."""
        text = clean(text)
        if not text.startswith(self._text):
            self._closed = []
            self._begin(_Cut(0, 0, (), inside=False))
        self._text = text
        while self._fits < len(text) and not self._given_up:
            self._advance()
        last = self._look(len(text)).part
        parts = (*self._closed, last) if last.text.strip() else tuple(self._closed)
        if not parts and text.strip():
            # Markup without content: nothing a model wrote may vanish.
            literal = Document((Paragraph((Text(text.strip()),)),))
            return (self._dialect.render(literal),)
        return parts

    # The open part

    def _begin(self, cut: _Cut) -> None:
        self._start = self._fits = self._base = cut.resumes
        self._frames = cut.frames
        self._head = self._before = head(cut.frames, inside=cut.inside)
        self._settled: tuple[Block, ...] = ()
        self._items: ListBlock | None = None
        self._stride = STRIDE
        self._seen: dict[int, _Look] = {}

    def _advance(self) -> None:
        """Take in as much as certainly fits, or close the part if nothing more does."""
        stride = min(self._stride, len(self._text) - self._fits)
        while stride > 1 and not self._certain(self._fits + stride):
            stride //= 2
        end = self._fits + stride
        if stride > 1 or self._look(end).size <= self._most or self._fits == self._start:
            self._stride = stride * 2
            self._settle(end)
        else:
            self._close()

    def _certain(self, end: int) -> bool:
        """Whether the part fits wherever it ends up to `end`.

        With half of a pair of marks, or of a table, more may show than with the whole: such text
        is taken in by single characters when the part is nearly full.
        """
        tail = self._text[self._base : end]
        most = self._most - (WAVERING if PAIRED.search(tail) else 0)
        if self._look(end).size > most:
            return False
        added = self._text[self._fits : end]
        for half in DELIMITERS.finditer(added):
            # A table that lasts for a few characters only.
            if self._look(self._fits + half.end()).size > most:
                return False
        if not MARKS.search(added):
            return True
        # Count all the marks as text.
        text = self._text[self._base : self._fits] + PAIRED.sub("@", added)
        return self._show(text).size <= most

    def _settle(self, end: int) -> None:
        """Keep the blocks that no later text can change, and what was found out about the rest."""
        look = self._look(end)
        self._fits = end
        source = self._before + self._text[self._base : end]
        complete = source.count("\n")
        first = _first_unsettled(look.blocks, complete)
        if first:
            self._settled += tuple(block for line, block in look.blocks if line < first)
            self._items = None
            rest = [(line - first, block) for line, block in look.blocks if line >= first]
            look = look._replace(blocks=rest)
            self._drop(source, first)
            self._seen = {}
        self._seen = {at: look for at, look in self._seen.items() if at > end} | {end: look}
        if len(look.blocks) == 1 and isinstance(look.blocks[0][1], ListBlock):
            self._settle_items(look.blocks[0][1])

    def _settle_items(self, block: ListBlock) -> None:
        """As `_settle`, for all but the last item of a long list."""
        source = self._before + self._text[self._base : self._fits]
        begun = [match.start() for match in ITEM.finditer(source)]
        done = len(self._items.items) if self._items else 0
        if len(begun) < 4 or begun[0] != 0 or done + len(begun) != len(block.items):
            return
        if "\n" not in source[begun[-1] :]:
            begun.pop()
        self._items = ListBlock(block.items[: done + len(begun) - 1], block.start)
        self._drop(source, source.count("\n", 0, begun[-1]))
        self._seen = {self._fits: self._seen[self._fits]}

    def _drop(self, source: str, line: int) -> None:
        """What stands before `line` of `source` need not be parsed again."""
        self._base += _offset(source, line) - len(self._before)
        self._before = ""

    def _look(self, end: int) -> _Look:
        look = self._seen.get(end)
        if look is None:
            look = self._seen[end] = self._show(self._text[self._base : end])
        return look

    def _show(self, tail: str) -> _Look:
        resumed = closer(self._frames) if self._before else None
        found = parse_blocks(self._before + tail, resumed)
        if self._before or self._base == self._start:
            found = _resumed(found, self._frames)
        if self._items:
            found = _joined(self._items, found)
        part = self._dialect.render(Document(self._settled + tuple(block for _, block in found)))
        return _Look(found, part, self._dialect.size(part))

    # The cut

    def _close(self) -> None:
        cut = self._choose()
        part = self._dialect.render(Document(self._blocks(cut.at)))
        if part.text.strip():
            self._closed.append(part)
        self._begin(cut)

    def _choose(self) -> _Cut:
        """A half full part is enough, and a short one better than something torn apart."""
        ends = self._ends()
        spare: _Cut | None = None
        for share in SHARES:
            for cut in islice(self._candidates(self._most * share), TRIES):
                torn = self._torn(cut, ends)
                if not torn:
                    return cut
                if torn == 1 and spare is None:
                    spare = cut
        return spare or self._anywhere()

    def _candidates(self, least: float) -> Iterator[_Cut]:
        for group in self._groups():
            for cut in group:
                if self._misread(cut):
                    continue
                if self._size(cut.at) < least:
                    break
                yield cut

    def _misread(self, cut: _Cut) -> bool:
        text = self._text[cut.resumes : self._fits + 1]
        return bool(cut.frames and cut.frames[-1].kind == "paragraph" and BLOCKISH.match(text))

    def _groups(self) -> Iterator[Iterator[_Cut]]:
        """Places to cut, the best kind first, each kind from the end."""
        source = self._head + self._text[self._start : self._fits]
        found = outline(source, self._frames)
        for rank in (0, 1, 2):
            yield self._between(source, found, rank)
        for pattern in (SENTENCE, WORD):
            yield self._inside(source, found, pattern)
        yield self._graphemes(source, found)

    def _between(self, source: str, found: Outline, rank: int) -> Iterator[_Cut]:
        lines = source.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        unsure = MARKER.fullmatch(lines[-1]) and not self._next().isspace()
        for place in reversed(found.breaks):
            if unsure and place.line == len(lines) - 1:
                continue
            at = self._start + starts[place.line] - len(self._head)
            if place.rank != rank or place.orphan or at <= self._start:
                continue
            whole = place.frames and place.frames[-1].lines
            skipped = 0 if whole else indentation(lines[place.line], place.frames)
            if len(lines[place.line]) > skipped:
                yield _Cut(at, at + skipped, place.frames, inside=False)

    def _inside(self, source: str, found: Outline, pattern: re.Pattern[str]) -> Iterator[_Cut]:
        shift = self._start - len(self._head)
        since = max(len(self._head), len(source) - self._most)
        ends = [match.end() for match in pattern.finditer(source + self._next(), since)]
        for end in reversed(ends):
            if "\n" not in source[end - 1 : end] and end <= len(source):
                yield self._cut_inside(source, found, end, shift)

    def _graphemes(self, source: str, found: Outline) -> Iterator[_Cut]:
        shift = self._start - len(self._head)
        since = max(len(self._head), len(source) - 256)
        ends = [match.end() for match in regex.finditer(r"\X", source + self._next(), pos=since)]
        for end in reversed(ends):
            # What the next line belongs to is not known yet where it has not begun.
            if since < end <= len(source) and not source.endswith("\n", 0, end):
                yield self._cut_inside(source, found, end, shift)

    def _cut_inside(self, source: str, found: Outline, end: int, shift: int) -> _Cut:
        frames = found.frames(source.count("\n", 0, end))
        return _Cut(end + shift, end + shift, frames, inside=True)

    def _next(self) -> str:
        """The character that did not fit: it is what closed the part, so it may be looked at."""
        return self._text[self._fits : self._fits + 1]

    def _anywhere(self) -> _Cut:
        source = self._head + self._text[self._start : self._fits]
        found = outline(source, self._frames)
        return self._cut_inside(source, found, len(source), self._start - len(self._head))

    def _size(self, end: int) -> int:
        """How large the part would be if it ended at `end`; 0 if nothing would be seen of it."""
        part = self._dialect.render(Document(self._blocks(end)))
        return self._dialect.size(part) if part.text.strip() else 0

    def _blocks(self, end: int, extra: str = "") -> tuple[Block, ...]:
        text = self._head + self._text[self._start : end] + extra
        found = _resumed(parse_blocks(text, closer(self._frames)), self._frames)
        return tuple(block for _, block in found)

    def _ends(self) -> list[tuple[str, str]]:
        """What the part shows, as it is and with each mark closed that might still be open."""
        shown = _visible(self._blocks(self._fits))
        ends = [("", shown)]
        last = self._text[self._start : self._fits].rpartition("\n\n")[2]
        for mark, opener in CLOSERS.items():
            if opener in last:
                closed = _visible(self._blocks(self._fits, mark))
                if closed != shown + mark:
                    ends.append((mark, closed))
        return ends

    def _torn(self, cut: _Cut, ends: list[tuple[str, str]]) -> int:
        """0: nothing is torn apart; 1: something that may yet become a pair is; 2: a pair is."""
        before = _visible(self._blocks(cut.at))
        rest = head(cut.frames, inside=cut.inside) + self._text[cut.resumes : self._fits]
        for mark, shown in ends:
            found = _resumed(parse_blocks(rest + mark, closer(cut.frames)), cut.frames)
            if before + _visible(tuple(block for _, block in found)) != shown:
                return 1 if mark else 2
        return 0


def _first_unsettled(blocks: list[tuple[int, Block]], complete: int) -> int:
    """The line from which later text may change something, when `complete` lines are."""
    begun = [(line, block) for line, block in blocks if line < complete]
    while begun and isinstance(begun[-1][1], Math | Table):
        # These may turn out to be none, and their lines part of the block before.
        begun.pop()
    return begun[-1][0] if begun else 0


def _resumed(found: list[tuple[int, Block]], frames: tuple[Frame, ...]) -> list[tuple[int, Block]]:
    if not frames or not found:
        return found
    line, first = found[0]
    return [(line, block) for block in resume((first,), frames)] + found[1:]


def _joined(items: ListBlock, found: list[tuple[int, Block]]) -> list[tuple[int, Block]]:
    """`items` and the rest of their list, with which `found` begins."""
    first = found[0][1] if found else None
    if isinstance(first, ListBlock):
        return [(0, ListBlock(items.items + first.items, items.start)), *found[1:]]
    return [(0, items), *found]


def _visible(blocks: tuple[Block, ...]) -> str:
    return "".join(plain(Document(blocks)).split())


def _offset(text: str, line: int) -> int:
    at = 0
    for _ in range(line):
        at = text.index("\n", at) + 1
    return at
