"""Where a text may be cut, and how what follows a cut begins so that it means what it meant.

Both are questions about source lines: a list item that goes on in the next part needs its marker
(unseen) before it, code its fence, a row its columns. `Frame` is one such thing that stays open;
`head` is what they put before the rest of the text, `resume` takes away what only `head` added.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markdown_it.token import Token

from core.markdown.document import Block, ListBlock, ListItem, Paragraph, Quote, Table
from core.markdown.formulas import RESUME_MARK, formula_closer
from core.markdown.parser import tokenize

__all__ = [
    "BreakPoint",
    "LeafBlock",
    "OpenBlock",
    "Outline",
    "build_outline",
    "container_indent",
    "continuation_prefix",
    "open_formula_closer",
    "strip_continuation",
]


@dataclass(frozen=True, slots=True)
class OpenBlock:
    kind: str
    """quote, item, list (at an item's start), paragraph, heading, code, table or formula."""
    first_prefix: str = ""
    """What the first line begins with."""
    later_prefix: str = ""
    """What the other lines begin with."""
    item_number: int | None = None
    """Of the item."""
    lines_before: tuple[str, ...] = ()
    """Whole lines that have to stand before."""
    formula_closer: str | None = None
    """What ends the formula."""


@dataclass(frozen=True, slots=True)
class BreakPoint:
    line: int
    rank: int
    """0 between blocks, 1 between items, rows and blocks inside a block, 2 between lines."""
    open_blocks: tuple[OpenBlock, ...]
    orphans_heading: bool = False
    """A cut here would part a heading from what it heads."""


@dataclass(frozen=True, slots=True)
class LeafBlock:
    start: int
    end: int
    open_blocks: tuple[OpenBlock, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    break_points: tuple[BreakPoint, ...]
    leaves: tuple[LeafBlock, ...]

    def open_blocks_at(self, line: int) -> tuple[OpenBlock, ...]:
        """What stays open when `line` is cut in its middle."""
        for leaf in reversed(self.leaves):
            if leaf.start <= line < leaf.end:
                return leaf.open_blocks
        return ()


def continuation_prefix(open_blocks: Sequence[OpenBlock], *, is_mid_line: bool) -> str:
    """What stands before the rest of a text; `inside`: it begins in the middle of a line."""
    first = "".join(frame.first_prefix for frame in open_blocks)
    later = "".join(frame.later_prefix for frame in open_blocks)
    lines = open_blocks[-1].lines_before if open_blocks else ()
    if not lines:
        return first
    return first + ("\n" + later).join(lines) + "\n" + (later if is_mid_line else "")


def open_formula_closer(open_blocks: Sequence[OpenBlock]) -> str | None:
    return open_blocks[-1].formula_closer if open_blocks else None


def container_indent(line: str, open_blocks: Sequence[OpenBlock]) -> int:
    """How many characters at the start of `line` belong to the containers it stands in."""
    at = 0
    for frame in open_blocks:
        if frame.kind == "quote":
            mark = re.compile(r" {0,3}> ?").match(line, at)
            at = mark.end() if mark else at
        else:
            width = len(frame.later_prefix)
            while width > 0 and line[at : at + 1] in (" ", "\t"):
                width -= 1 if line[at] == " " else width
                at += 1
    return at


def strip_continuation(blocks: tuple[Block, ...], open_blocks: Sequence[OpenBlock]) -> tuple[Block, ...]:
    """The rest of a text as its parts, without what `head` had to add."""
    if not open_blocks or not blocks:
        return blocks
    frame, rest, first = open_blocks[0], open_blocks[1:], blocks[0]
    stripped: tuple[Block, ...] = (first,)
    match first:
        case Quote(children) if frame.kind == "quote":
            stripped = (replace(first, children=strip_continuation(children, rest)),)
        case ListBlock(items) if frame.kind in ("item", "list"):
            start = None if first.start is None else frame.item_number
            if frame.kind == "item":
                children = strip_continuation(items[0].children, rest)
                items = (ListItem(children, is_continuation=True), *items[1:])
                if not children and start is not None:
                    start += 1
                items = items if children else items[1:]
            stripped = (ListBlock(items, start),) if items else ()
        case Paragraph(children) if frame.kind == "paragraph":
            stripped = (Paragraph(children, is_continuation=True),)
        case Table(rows) if frame.kind == "table":
            stripped = (replace(first, rows=rows[1:], has_header=False),) if rows[1:] else ()
    return stripped + blocks[1:]


def build_outline(text: str, resumed_blocks: Sequence[OpenBlock] = ()) -> Outline:
    return _OutlineBuilder(text, resumed_blocks).build()


@dataclass(slots=True)
class _ListState:
    number: int | None
    delimiter: str


class _OutlineBuilder:
    def __init__(self, text: str, resumed_blocks: Sequence[OpenBlock]) -> None:
        self._lines = text.split("\n")
        self._resumed_blocks = resumed_blocks
        self._tokens = tokenize(text, open_formula_closer(resumed_blocks), inline=False)
        self._open_blocks: list[OpenBlock] = []
        self._lists: list[_ListState] = []
        self._columns = [0]
        self._break_lines: set[int] = set()
        self._break_points: list[BreakPoint] = []
        self._leaves: list[LeafBlock] = []

    def build(self) -> Outline:
        before: Token | None = None
        for token in self._tokens:
            if token.nesting >= 0 and token.map and token.type != "inline":
                orphan = before is not None and before.type == "heading_close"
                self._open_token(token, token.map[0], token.map[1], orphan=orphan)
            elif token.nesting < 0:
                self._close_token(token)
            before = token
        self._break_points.sort(key=lambda found: found.line)
        return Outline(tuple(self._break_points), tuple(self._leaves))

    def _open_token(self, token: Token, start: int, end: int, *, orphan: bool) -> None:
        match token.type:
            case "list_item_open":
                self._open_item(token, start)
                return
            case "tr_open":
                if token.level >= 2 and self._leaves and start > self._leaves[-1].start + 2:
                    self._add_break(start, 1, self._leaves[-1].open_blocks)
                return
            case "thead_open" | "tbody_open" | "th_open" | "td_open":
                return
        self._add_break(start, 1 if self._open_blocks else 0, tuple(self._open_blocks), orphans_heading=orphan)
        match token.type:
            case "blockquote_open":
                self._open_blocks.append(OpenBlock("quote", "> ", "> "))
                self._columns.append(0)
            case "bullet_list_open" | "ordered_list_open":
                self._lists.append(self._list_state(token, start))
            case "paragraph_open":
                self._add_leaf(start, end, OpenBlock("paragraph"), start + 1, end)
            case "heading_open":
                self._add_leaf(start, end, OpenBlock("heading", token.markup + " "), 0, 0)
            case "fence":
                frame = OpenBlock("code", lines_before=(token.markup + token.info.strip(),))
                last = start + 1 + token.content.count("\n")
                self._add_leaf(start + 1, last, frame, start + 1, last)
            case "formula":
                frame = OpenBlock(
                    "formula",
                    lines_before=(RESUME_MARK,),
                    formula_closer=self._find_formula_closer(start),
                )
                self._add_leaf(start, end, frame, start + 1, end)
            case "table_open":
                self._add_leaf(start, start + 2, OpenBlock("paragraph"), 0, 0)
                self._add_leaf(start, end, self._table_block(start), 0, 0)

    def _find_formula_closer(self, start: int) -> str | None:
        if start == 0 and open_formula_closer(self._resumed_blocks):
            return open_formula_closer(self._resumed_blocks)
        return formula_closer(self._lines[start].lstrip(" \t>-+*0123456789.)"))

    def _table_block(self, start: int) -> OpenBlock:
        if start == 0 and self._resumed_blocks and self._resumed_blocks[-1].kind == "table":
            return self._resumed_blocks[-1]
        line = self._lines[start + 1]
        delimiters = line[container_indent(line, self._open_blocks) :].strip()
        columns = delimiters.strip("|").count("|") + 1
        return OpenBlock("table", lines_before=("|" + "x|" * columns, delimiters))

    def _open_item(self, token: Token, start: int) -> None:
        list_state = self._lists[-1]
        if start not in self._break_lines:
            self._add_break(start, 1, (*self._open_blocks, OpenBlock("list", item_number=list_state.number)))
        column = int(token.meta.get("indent", self._columns[-1] + 2))
        width = column - self._columns[-1]
        marker = list_state.delimiter if list_state.number is None else "1" + list_state.delimiter
        first = " " * (width - len(marker) - 1) + marker + " "
        self._open_blocks.append(OpenBlock("item", first, " " * width, list_state.number))
        self._columns.append(column)

    def _list_state(self, token: Token, start: int) -> _ListState:
        if token.type == "bullet_list_open":
            return _ListState(None, token.markup)
        number, depth = int(token.attrs.get("start", 1)), len(self._open_blocks)
        if start == 0 and depth < len(self._resumed_blocks):
            frame = self._resumed_blocks[depth]
            number = number if frame.item_number is None else frame.item_number
        return _ListState(number, token.markup)

    def _close_token(self, token: Token) -> None:
        match token.type:
            case "blockquote_close":
                self._open_blocks.pop()
                self._columns.pop()
            case "list_item_close":
                self._open_blocks.pop()
                self._columns.pop()
                if self._lists[-1].number is not None:
                    self._lists[-1].number += 1
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()

    def _add_leaf(self, start: int, end: int, frame: OpenBlock, first_break: int, last_break: int) -> None:
        frames = (*self._open_blocks, frame)
        self._leaves.append(LeafBlock(start, end, frames))
        for line in range(first_break, last_break):
            self._add_break(line, 2, frames)

    def _add_break(
        self,
        line: int,
        rank: int,
        open_blocks: tuple[OpenBlock, ...],
        *,
        orphans_heading: bool = False,
    ) -> None:
        if line not in self._break_lines:
            self._break_lines.add(line)
            self._break_points.append(BreakPoint(line, rank, open_blocks, orphans_heading))
