"""Finds where a text may be cut, and what must precede the rest so that it keeps its meaning.

Both are questions about source lines. Take a cut before the fourth line of

    - Define it:
      ```py
      x = 1
      y = 2
      ```

There, two blocks are open: the list item and the code. The rest, `  y = 2` and the fence, would be
plain text on its own. `continuation_prefix` therefore gives the lines that open both blocks again:

    - ```py
      y = 2
      ```

`strip_continuation` removes from the parsed rest what only that prefix added, here the item's marker:
the item becomes a continuation. The other open blocks work alike: a quote needs its `>`, a table row
the header and delimiter row, a displayed formula the mark that says it is resumed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto

from markdown_it.token import Token

from core.markdown.details import OPENING_TAG
from core.markdown.document import Block, CodeBlock, ListBlock, ListItem, Paragraph, Quote, Table
from core.markdown.fences import CodeLines, Fence, FencedCode
from core.markdown.formulas import RESUME_MARK, formula_closer
from core.markdown.parser import tokenize

QUOTE_MARK_PATTERN = re.compile(r" {0,3}> ?")


class OpenBlockKind(Enum):
    QUOTE = auto()
    DETAILS = auto()
    ITEM = auto()
    """Inside a list item."""
    LIST = auto()
    """Between two items of a list."""
    PARAGRAPH = auto()
    HEADING = auto()
    CODE = auto()
    TABLE = auto()
    FORMULA = auto()


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """A block that a cut divides."""

    kind: OpenBlockKind
    first_prefix: str = ""
    """Begins the first line of the continuation."""
    later_prefix: str = ""
    """Begins its other lines."""
    item_number: int | None = None
    """The number of the item; None in a bullet list."""
    lines_before: tuple[str, ...] = ()
    """Whole lines that precede the continuation."""
    formula_closer: str | None = None


class BreakRank(IntEnum):
    """Where a cut is: the lower, the better."""

    BETWEEN_BLOCKS = 0
    INSIDE_BLOCK = 1
    """Between list items, table rows, or the blocks of a quote or item."""
    BETWEEN_LINES = 2


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """A cut before `line`."""

    line: int
    rank: BreakRank
    open_blocks: tuple[OpenBlock, ...]
    """The blocks open at the cut, outermost first."""
    orphans_heading: bool = False
    """Whether the cut separates a heading from the block after it."""


@dataclass(frozen=True, slots=True)
class LeafBlock:
    """A block without inner blocks, on the lines from `start` to before `end`."""

    start: int
    end: int
    open_blocks: tuple[OpenBlock, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    break_points: tuple[BreakPoint, ...]
    leaves: tuple[LeafBlock, ...]

    def open_blocks_at(self, line: int) -> tuple[OpenBlock, ...]:
        """The blocks that a cut in the middle of `line` leaves open."""
        for leaf in reversed(self.leaves):
            if leaf.start <= line < leaf.end:
                return leaf.open_blocks
        return ()


def continuation_prefix(open_blocks: Sequence[OpenBlock], *, is_mid_line: bool) -> str:
    """What precedes the rest of a text. `is_mid_line`: the cut is in the middle of a line."""
    first = "".join(block.first_prefix for block in open_blocks)
    later = "".join(block.later_prefix for block in open_blocks)
    lines = open_blocks[-1].lines_before if open_blocks else ()
    if not lines:
        return first
    return first + ("\n" + later).join(lines) + "\n" + (later if is_mid_line else "")


def open_formula_closer(open_blocks: Sequence[OpenBlock]) -> str | None:
    return open_blocks[-1].formula_closer if open_blocks else None


def container_indent(line: str, open_blocks: Sequence[OpenBlock]) -> int:
    """How many characters at the start of `line` are markers and indentation of `open_blocks`."""
    position = 0
    for block in open_blocks:
        if block.kind is OpenBlockKind.QUOTE:
            mark = QUOTE_MARK_PATTERN.match(line, position)
            position = mark.end() if mark else position
        else:
            width = len(block.later_prefix)
            while width > 0 and line[position : position + 1] in (" ", "\t"):
                width -= 1 if line[position] == " " else width
                position += 1
    return position


def strip_continuation(blocks: tuple[Block, ...], open_blocks: Sequence[OpenBlock]) -> tuple[Block, ...]:
    """Remove from the parsed rest of a text what `continuation_prefix` added."""
    if not open_blocks or not blocks:
        return blocks
    outermost, inner, first = open_blocks[0], open_blocks[1:], blocks[0]
    stripped: tuple[Block, ...] = (first,)
    match outermost.kind, first:
        case OpenBlockKind.QUOTE | OpenBlockKind.DETAILS, Quote(children):
            stripped = (replace(first, children=strip_continuation(children, inner)),)
        case OpenBlockKind.LIST, ListBlock(items, start):
            stripped = (ListBlock(items, None if start is None else outermost.item_number),)
        case OpenBlockKind.ITEM, ListBlock():
            stripped = _strip_item(first, outermost.item_number, inner)
        case OpenBlockKind.PARAGRAPH, Paragraph(children):
            stripped = (Paragraph(children, is_continuation=True),)
        case OpenBlockKind.CODE, Paragraph():
            stripped = ()  # the language of a block of which nothing remains
        case OpenBlockKind.CODE, CodeBlock(text):
            code_lines = text.split("\n")[len(outermost.lines_before) - 1 :]
            stripped = (replace(first, text="\n".join(code_lines)),)
        case OpenBlockKind.TABLE, Table(rows):
            stripped = (replace(first, is_continuation=True),) if rows[1:] else ()
    return stripped + blocks[1:]


def _without_item_indent(open_blocks: tuple[OpenBlock, ...]) -> tuple[OpenBlock, ...]:
    """`open_blocks` for code that is indented less than the items, after the last quote, that contain it."""
    items: list[OpenBlock] = []
    outer = list(open_blocks)
    while outer and outer[-1].kind is not OpenBlockKind.QUOTE:
        items.append(replace(outer.pop(), later_prefix=""))
    return (*outer, *reversed(items))


def _strip_item(
    list_block: ListBlock, item_number: int | None, inner_blocks: Sequence[OpenBlock]
) -> tuple[ListBlock, ...]:
    """Make the first item a continuation, or remove it if nothing of it remains."""
    first, *others = list_block.items
    number = None if list_block.start is None else item_number
    children = strip_continuation(first.children, inner_blocks)
    if children:
        return (ListBlock((ListItem(children, is_continuation=True), *others), number),)
    if not others:
        return ()
    return (ListBlock(tuple(others), None if number is None else number + 1),)


def build_outline(text: str, resumed_blocks: Sequence[OpenBlock] = ()) -> Outline:
    """Find every place to cut `text`, whose continuation prefix opened `resumed_blocks`."""
    return _OutlineBuilder(text, resumed_blocks).build()


def _is_heading(token: Token) -> bool:
    return token.type == "heading_close" or "is_summary" in token.meta


@dataclass(slots=True)
class _ListState:
    number: int | None
    """The number of the current item; None in a bullet list."""
    delimiter: str


class _OutlineBuilder:
    """Walks over the tokens and records break points; a stack holds the open quotes and items."""

    def __init__(self, text: str, resumed_blocks: Sequence[OpenBlock]) -> None:
        self._lines = text.split("\n")
        self._resumed_blocks = resumed_blocks
        self._tokens = tokenize(text, open_formula_closer(resumed_blocks), inline=False)
        self._open_blocks: list[OpenBlock] = []
        self._lists: list[_ListState] = []
        self._columns = [0]
        """The column at which the content of each open block begins."""
        self._break_lines: set[int] = set()
        self._break_points: list[BreakPoint] = []
        self._leaves: list[LeafBlock] = []

    def build(self) -> Outline:
        previous: Token | None = None
        for token in self._tokens:
            if token.nesting >= 0 and token.map and token.type != "inline":
                follows_heading = previous is not None and _is_heading(previous)
                self._open_token(token, token.map[0], token.map[1], follows_heading=follows_heading)
            elif token.nesting < 0:
                self._close_token(token)
            previous = token
        self._break_points.sort(key=lambda point: point.line)
        return Outline(tuple(self._break_points), tuple(self._leaves))

    def _open_token(self, token: Token, start: int, end: int, *, follows_heading: bool) -> None:
        match token.type:
            case "list_item_open":
                self._open_item(token, start)
                return
            case "tr_open":
                if token.level >= 2 and self._leaves and start > self._leaves[-1].start + 2:
                    self._add_break(start, BreakRank.INSIDE_BLOCK, self._leaves[-1].open_blocks)
                return
            case "thead_open" | "tbody_open" | "th_open" | "td_open":
                return
        self._add_break_before(token, start, follows_heading=follows_heading)
        match token.type:
            case "blockquote_open":
                self._open_quote(is_details=token.markup == OPENING_TAG)
            case "bullet_list_open" | "ordered_list_open":
                self._lists.append(self._list_state(token, start))
            case "paragraph_open":
                self._add_leaf(start, end, OpenBlock(OpenBlockKind.PARAGRAPH), range(start + 1, end))
            case "heading_open":
                self._add_leaf(start, end, OpenBlock(OpenBlockKind.HEADING, token.markup + " "))
            case "fence":
                self._add_code_block(token, end)
            case "formula":
                closer = self._find_formula_closer(start)
                formula = OpenBlock(OpenBlockKind.FORMULA, lines_before=(RESUME_MARK,), formula_closer=closer)
                self._add_leaf(start, end, formula, range(start + 1, end))
            case "table_open":
                self._add_leaf(start, end, self._table_block(token, start))

    def _add_break_before(self, token: Token, start: int, *, follows_heading: bool) -> None:
        rank = BreakRank.INSIDE_BLOCK if self._open_blocks else BreakRank.BETWEEN_BLOCKS
        if not token.meta.get("is_mid_line"):
            self._add_break(start, rank, tuple(self._open_blocks), orphans_heading=follows_heading)

    def _open_quote(self, *, is_details: bool) -> None:
        if is_details:
            outer_prefix = "".join(block.later_prefix for block in self._open_blocks)
            self._columns.append(self._columns[-1])
            self._open_blocks.append(OpenBlock(OpenBlockKind.DETAILS, f"{OPENING_TAG}\n{outer_prefix}"))
        else:
            self._columns.append(0)
            self._open_blocks.append(OpenBlock(OpenBlockKind.QUOTE, "> ", "> "))

    def _add_code_block(self, token: Token, end: int) -> None:
        code: FencedCode = token.meta["code"]
        for section in code.sections:
            open_blocks = self._open_code(token, code.indent, section)
            self._leaves.append(LeafBlock(section.start, section.end, open_blocks))
            has_partial_line = section.end == end and not token.content.endswith("\n")
            for line in range(section.start, section.end - has_partial_line):
                self._add_break(line, BreakRank.BETWEEN_LINES, open_blocks)

    def _open_code(self, token: Token, indent: int, section: CodeLines) -> tuple[OpenBlock, ...]:
        """The open blocks in lines of code, with the lines that open the code and its inner blocks again.

        If the code is indented more or less than its item, one of them is no code: it says by how many columns.
        """
        column = self._columns[-1]
        margin = " " * max(0, indent - column)
        lines = [margin + token.markup + Fence(token.markup, token.info).language]
        open_blocks = tuple(self._open_blocks)
        if indent < column:
            margin, open_blocks = " " * indent, _without_item_indent(open_blocks)
        if indent != column:
            lines.append(margin + RESUME_MARK)
        lines += [margin + opener for opener in section.inner_openers]
        return (*open_blocks, OpenBlock(OpenBlockKind.CODE, lines_before=tuple(lines)))

    def _find_formula_closer(self, start: int) -> str | None:
        if start == 0 and open_formula_closer(self._resumed_blocks):
            return open_formula_closer(self._resumed_blocks)
        return formula_closer(self._lines[start].lstrip(" \t>-+*0123456789.)"))

    def _table_block(self, token: Token, start: int) -> OpenBlock:
        if start == 0 and self._resumed_blocks and self._resumed_blocks[-1].kind is OpenBlockKind.TABLE:
            return self._resumed_blocks[-1]
        return OpenBlock(OpenBlockKind.TABLE, lines_before=token.meta["first_lines"])

    def _open_item(self, token: Token, start: int) -> None:
        list_state = self._lists[-1]
        if start not in self._break_lines:
            list_block = OpenBlock(OpenBlockKind.LIST, item_number=list_state.number)
            self._add_break(start, BreakRank.INSIDE_BLOCK, (*self._open_blocks, list_block))
        column = int(token.meta.get("indent", self._columns[-1] + 2))
        width = column - self._columns[-1]
        marker = list_state.delimiter if list_state.number is None else "1" + list_state.delimiter
        first_prefix = " " * (width - len(marker) - 1) + marker + " "
        self._open_blocks.append(OpenBlock(OpenBlockKind.ITEM, first_prefix, " " * width, list_state.number))
        self._columns.append(column)

    def _list_state(self, token: Token, start: int) -> _ListState:
        if token.type == "bullet_list_open":
            return _ListState(None, token.markup)
        number, depth = int(token.attrs.get("start", 1)), len(self._open_blocks)
        if start == 0 and depth < len(self._resumed_blocks):
            resumed_number = self._resumed_blocks[depth].item_number
            number = number if resumed_number is None else resumed_number
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

    def _add_leaf(self, start: int, end: int, block: OpenBlock, break_lines: range = range(0)) -> None:
        open_blocks = (*self._open_blocks, block)
        self._leaves.append(LeafBlock(start, end, open_blocks))
        for line in break_lines:
            self._add_break(line, BreakRank.BETWEEN_LINES, open_blocks)

    def _add_break(
        self, line: int, rank: BreakRank, open_blocks: tuple[OpenBlock, ...], *, orphans_heading: bool = False
    ) -> None:
        if line not in self._break_lines:
            self._break_lines.add(line)
            self._break_points.append(BreakPoint(line, rank, open_blocks, orphans_heading))
