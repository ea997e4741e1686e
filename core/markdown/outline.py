"""Where a text may be cut, and how what follows a cut begins so that it means what it meant.

Both are questions about source lines: a list item that goes on in the next part needs its marker
(unseen) before it, code its fence, a row its columns. `Frame` is one such thing that stays open;
`head` is what they put before the rest of the text, `resume` takes away what only `head` added.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markdown_it.token import Token

from core.markdown.document import Block, Item, ListBlock, Paragraph, Quote, Table
from core.markdown.formulas import RESUMED, closer_of
from core.markdown.parse import tokens

__all__ = [
    "Break",
    "Frame",
    "Leaf",
    "Outline",
    "closer",
    "head",
    "indentation",
    "outline",
    "resume",
]


@dataclass(frozen=True, slots=True)
class Frame:
    kind: str
    """quote, item, list (at an item's start), paragraph, heading, code, table or formula."""
    first: str = ""
    """What the first line begins with."""
    later: str = ""
    """What the other lines begin with."""
    number: int | None = None
    """Of the item."""
    lines: tuple[str, ...] = ()
    """Whole lines that have to stand before."""
    closer: str | None = None
    """What ends the formula."""


@dataclass(frozen=True, slots=True)
class Break:
    line: int
    rank: int
    """0 between blocks, 1 between items, rows and blocks inside a block, 2 between lines."""
    frames: tuple[Frame, ...]
    orphan: bool = False
    """A cut here would part a heading from what it heads."""


@dataclass(frozen=True, slots=True)
class Leaf:
    start: int
    end: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    breaks: tuple[Break, ...]
    leaves: tuple[Leaf, ...]

    def frames(self, line: int) -> tuple[Frame, ...]:
        """What stays open when `line` is cut in its middle."""
        for leaf in reversed(self.leaves):
            if leaf.start <= line < leaf.end:
                return leaf.frames
        return ()


def head(frames: Sequence[Frame], *, inside: bool) -> str:
    """What stands before the rest of a text; `inside`: it begins in the middle of a line."""
    first = "".join(frame.first for frame in frames)
    later = "".join(frame.later for frame in frames)
    lines = frames[-1].lines if frames else ()
    if not lines:
        return first
    return first + ("\n" + later).join(lines) + "\n" + (later if inside else "")


def closer(frames: Sequence[Frame]) -> str | None:
    return frames[-1].closer if frames else None


def indentation(line: str, frames: Sequence[Frame]) -> int:
    """How many characters at the start of `line` belong to the containers it stands in."""
    at = 0
    for frame in frames:
        if frame.kind == "quote":
            mark = re.compile(r" {0,3}> ?").match(line, at)
            at = mark.end() if mark else at
        else:
            width = len(frame.later)
            while width > 0 and line[at : at + 1] in (" ", "\t"):
                width -= 1 if line[at] == " " else width
                at += 1
    return at


def resume(blocks: tuple[Block, ...], frames: Sequence[Frame]) -> tuple[Block, ...]:
    """The rest of a text as its parts, without what `head` had to add."""
    if not frames or not blocks:
        return blocks
    frame, rest, first = frames[0], frames[1:], blocks[0]
    kept: tuple[Block, ...] = (first,)
    match first:
        case Quote(children) if frame.kind == "quote":
            kept = (replace(first, children=resume(children, rest)),)
        case ListBlock(items) if frame.kind in ("item", "list"):
            start = None if first.start is None else frame.number
            if frame.kind == "item":
                children = resume(items[0].children, rest)
                items = (Item(children, continued=True), *items[1:])
                if not children and start is not None:
                    start += 1
                items = items if children else items[1:]
            kept = (ListBlock(items, start),) if items else ()
        case Paragraph(children) if frame.kind == "paragraph":
            kept = (Paragraph(children, continued=True),)
        case Table(rows) if frame.kind == "table":
            kept = (replace(first, rows=rows[1:], header=False),) if rows[1:] else ()
    return kept + blocks[1:]


def outline(text: str, resumed: Sequence[Frame] = ()) -> Outline:
    return _Walk(text, resumed).outline()


@dataclass(slots=True)
class _List:
    number: int | None
    delimiter: str


class _Walk:
    def __init__(self, text: str, resumed: Sequence[Frame]) -> None:
        self._lines = text.split("\n")
        self._resumed = resumed
        self._tokens = tokens(text, closer(resumed), inline=False)
        self._frames: list[Frame] = []
        self._lists: list[_List] = []
        self._columns = [0]
        self._seen: set[int] = set()
        self._breaks: list[Break] = []
        self._leaves: list[Leaf] = []

    def outline(self) -> Outline:
        before: Token | None = None
        for token in self._tokens:
            if token.nesting >= 0 and token.map and token.type != "inline":
                orphan = before is not None and before.type == "heading_close"
                self._opened(token, token.map[0], token.map[1], orphan=orphan)
            elif token.nesting < 0:
                self._closed(token)
            before = token
        self._breaks.sort(key=lambda found: found.line)
        return Outline(tuple(self._breaks), tuple(self._leaves))

    def _opened(self, token: Token, start: int, end: int, *, orphan: bool) -> None:
        match token.type:
            case "list_item_open":
                self._item(token, start)
                return
            case "tr_open":
                if token.level >= 2 and self._leaves and start > self._leaves[-1].start + 2:
                    self._mark(start, 1, self._leaves[-1].frames)
                return
            case "thead_open" | "tbody_open" | "th_open" | "td_open":
                return
        self._mark(start, 1 if self._frames else 0, tuple(self._frames), orphan=orphan)
        match token.type:
            case "blockquote_open":
                self._frames.append(Frame("quote", "> ", "> "))
                self._columns.append(0)
            case "bullet_list_open" | "ordered_list_open":
                self._lists.append(self._list(token, start))
            case "paragraph_open":
                self._leaf(start, end, Frame("paragraph"), start + 1, end)
            case "heading_open":
                self._leaf(start, end, Frame("heading", token.markup + " "), 0, 0)
            case "fence":
                frame = Frame("code", lines=(token.markup + token.info.strip(),))
                last = start + 1 + token.content.count("\n")
                self._leaf(start + 1, last, frame, start + 1, last)
            case "formula":
                frame = Frame("formula", lines=(RESUMED,), closer=self._formula(start))
                self._leaf(start, end, frame, start + 1, end)
            case "table_open":
                self._leaf(start, start + 2, Frame("paragraph"), 0, 0)
                self._leaf(start, end, self._table(start), 0, 0)

    def _formula(self, start: int) -> str | None:
        if start == 0 and closer(self._resumed):
            return closer(self._resumed)
        return closer_of(self._lines[start].lstrip(" \t>-+*0123456789.)"))

    def _table(self, start: int) -> Frame:
        if start == 0 and self._resumed and self._resumed[-1].kind == "table":
            return self._resumed[-1]
        line = self._lines[start + 1]
        delimiters = line[indentation(line, self._frames) :].strip()
        columns = delimiters.strip("|").count("|") + 1
        return Frame("table", lines=("|" + "x|" * columns, delimiters))

    def _item(self, token: Token, start: int) -> None:
        inside = self._lists[-1]
        if start not in self._seen:
            self._mark(start, 1, (*self._frames, Frame("list", number=inside.number)))
        column = int(token.meta.get("indent", self._columns[-1] + 2))
        width = column - self._columns[-1]
        marker = inside.delimiter if inside.number is None else "1" + inside.delimiter
        first = " " * (width - len(marker) - 1) + marker + " "
        self._frames.append(Frame("item", first, " " * width, inside.number))
        self._columns.append(column)

    def _list(self, token: Token, start: int) -> _List:
        if token.type == "bullet_list_open":
            return _List(None, token.markup)
        number, depth = int(token.attrs.get("start", 1)), len(self._frames)
        if start == 0 and depth < len(self._resumed):
            frame = self._resumed[depth]
            number = number if frame.number is None else frame.number
        return _List(number, token.markup)

    def _closed(self, token: Token) -> None:
        match token.type:
            case "blockquote_close":
                self._frames.pop()
                self._columns.pop()
            case "list_item_close":
                self._frames.pop()
                self._columns.pop()
                if self._lists[-1].number is not None:
                    self._lists[-1].number += 1
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()

    def _leaf(self, start: int, end: int, frame: Frame, first: int, last: int) -> None:
        frames = (*self._frames, frame)
        self._leaves.append(Leaf(start, end, frames))
        for line in range(first, last):
            self._mark(line, 2, frames)

    def _mark(
        self, line: int, rank: int, frames: tuple[Frame, ...], *, orphan: bool = False
    ) -> None:
        if line not in self._seen:
            self._seen.add(line)
            self._breaks.append(Break(line, rank, frames, orphan))
