"""Markdown, as models write it, to a `Document`.

The grammar is CommonMark with tables, strikethrough, tasks and maths, less what lets text vanish or
lets what comes later change what stood before: no HTML, no reference links, no indented code, no
underlined headings. Whatever is not Markdown is text, so parsing never fails.
"""

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, list_block
from markdown_it.rules_block import table as table_rule
from markdown_it.rules_block.table import escapedSplit, getLine
from markdown_it.token import Token

from core.markdown.document import (
    Block,
    CodeBlock,
    Document,
    Heading,
    ListBlock,
    ListItem,
    MathBlock,
    Paragraph,
    Quote,
    Table,
    Text,
    ThematicBreak,
)
from core.markdown.formulas import add_formulas
from core.markdown.inlines import parse_inlines, split_checkbox

__all__ = ["ResumedFormula", "normalise_text", "parse_blocks", "parse_markdown", "tokenize"]

MAX_CONTAINER_DEPTH = 16  # containers inside each other; deeper ones are text
LANGUAGE_PATTERN = re.compile(r"[\w+#.\-]{1,32}\Z")
LONE_SURROGATE_PATTERN = re.compile("[\ud800-\udfff]")

ResumedFormula = str | None
"""What ends the formula in whose middle a text begins; None: it begins in none."""


def normalise_text(text: str) -> str:
    """What every renderer can take: one kind of line end, no half characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return LONE_SURROGATE_PATTERN.sub("\ufffd", text)


def parse_markdown(text: str) -> Document:
    return Document(tuple(block for _, block in parse_blocks(normalise_text(text))))


def parse_blocks(text: str, resumed_formula: ResumedFormula = None) -> list[tuple[int, Block]]:
    """The blocks of a clean text, each with the number of the line on which it starts."""
    found = tokenize(text, resumed_formula)
    return [(line, block) for line, block in _build_blocks(found, 0, len(found))]


def tokenize(text: str, resumed_formula: ResumedFormula = None, *, inline: bool = True) -> list[Token]:
    """markdown-it's tokens, for those who need to know where a block stands."""
    if inline:
        return GRAMMAR.parse(text, {"resumed": resumed_formula})
    found: list[Token] = []
    GRAMMAR.block.parse(text, GRAMMAR, {"resumed": resumed_formula}, found)
    return found


def _quote_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < MAX_CONTAINER_DEPTH and blockquote(state, start, end, silent)


def _list_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < MAX_CONTAINER_DEPTH and list_block(state, start, end, silent)


def _table_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table that keeps the cells for which its header has no column."""
    before = len(state.tokens)
    if not table_rule(state, start, end, silent):
        return False
    line, columns, last = start, 0, None
    for token in [*state.tokens[before:]]:
        if token.type == "tr_open" and token.map:
            line, columns = token.map[0], 0
        elif token.type == "td_open":
            columns += 1
        elif token.type == "inline":
            last = token
        elif token.type == "tr_close" and columns and last is not None:
            cells = escapedSplit(getLine(state, line).strip())
            cells = cells[1:] if cells[0] == "" else cells
            cells = cells[:-1] if cells and cells[-1] == "" else cells
            surplus = [cell.strip() for cell in cells[columns:]]
            last.content = " | ".join([last.content, *surplus]) if surplus else last.content
    return True


def _build_grammar() -> MarkdownIt:
    grammar = MarkdownIt("commonmark", {"html": False, "maxNesting": 24})
    grammar.enable(["table", "strikethrough"])
    grammar.disable(["code", "html_block", "html_inline", "reference", "lheading", "normalize"])
    rules = ["paragraph", "reference"]
    grammar.block.ruler.at("table", _table_rule, {"alt": rules})
    rules = [*rules, "blockquote", "list"]
    grammar.block.ruler.at("blockquote", _quote_rule, {"alt": rules})
    grammar.block.ruler.at("list", _list_rule, {"alt": [*rules[:3]]})
    add_formulas(grammar)
    _record_item_indent(grammar)
    # An address is shown as it was written; whether it may be followed is for a dialect to judge.
    grammar.validateLink = lambda url: True  # type: ignore[method-assign] # noqa: ARG005 - its name is part of it
    grammar.normalizeLink = lambda url: url  # type: ignore[method-assign]
    grammar.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return grammar


def _record_item_indent(grammar: MarkdownIt) -> None:
    """Let the token of an item tell in which column its content stands."""
    original_tokenize = grammar.block.tokenize

    def noting(state: StateBlock, startLine: int, endLine: int) -> None:  # noqa: N803 - its names
        if state.tokens and state.tokens[-1].type == "list_item_open":
            state.tokens[-1].meta["indent"] = state.blkIndent
        original_tokenize(state, startLine, endLine)

    grammar.block.tokenize = noting  # type: ignore[method-assign]


GRAMMAR = _build_grammar()


def _build_blocks(stream: Sequence[Token], at: int, end: int) -> Iterator[tuple[int, Block]]:
    while at < end:
        token = stream[at]
        after = _index_after(stream, at)
        line = token.map[0] if token.map else 0
        for block in _build_block(stream, at, after):
            yield line, block
        at = after


def _index_after(stream: Sequence[Token], at: int) -> int:
    """Behind the token that closes the one at `at`."""
    level = stream[at].level
    if stream[at].nesting == 0:
        return at + 1
    at += 1
    while stream[at].nesting != -1 or stream[at].level != level:
        at += 1
    return at + 1


def _build_block(stream: Sequence[Token], at: int, after: int) -> Iterator[Block]:
    token = stream[at]
    match token.type:
        case "paragraph_open":
            yield Paragraph(parse_inlines(stream[at + 1].children or []))
        case "heading_open":
            yield Heading(int(token.tag[1]), parse_inlines(stream[at + 1].children or []))
        case "fence":
            yield from _build_fence(token)
        case "formula":
            yield MathBlock(token.content)
        case "hr":
            yield ThematicBreak()
        case "blockquote_open":
            yield Quote(tuple(block for _, block in _build_blocks(stream, at + 1, after - 1)))
        case "bullet_list_open" | "ordered_list_open":
            yield _build_list(stream, at, after)
        case "table_open":
            yield _build_table(stream[at:after])


def _build_fence(token: Token) -> Iterator[Block]:
    language, _, rest = token.info.strip().partition(" ")
    if language and not LANGUAGE_PATTERN.match(language):
        language, rest = "", token.info.strip()
    if rest.strip():
        yield Paragraph((Text(rest.strip()),))
    yield CodeBlock(token.content.removesuffix("\n"), language)


def _build_list(stream: Sequence[Token], at: int, after: int) -> ListBlock:
    start = int(stream[at].attrs.get("start", 1)) if stream[at].type[0] == "o" else None
    items = []
    at += 1
    while at < after - 1:
        end = _index_after(stream, at)
        children = tuple(block for _, block in _build_blocks(stream, at + 1, end - 1))
        checked, children = split_checkbox(children)
        items.append(ListItem(children, checked))
        at = end
    return ListBlock(tuple(items), start)


def _build_table(stream: Sequence[Token]) -> Table:
    rows: list[tuple[tuple[object, ...], ...]] = []
    aligns: list[str] = []
    row: list[tuple[object, ...]] = []
    for token in stream:
        if token.type == "th_open":
            style = str(token.attrs.get("style", ""))
            aligns.append(style.removeprefix("text-align:") or "left")
        elif token.type == "inline":
            row.append(parse_inlines(token.children or []))
        elif token.type == "tr_close":
            rows.append(tuple(row))
            row = []
    return Table(tuple(rows), tuple(aligns))  # type: ignore[arg-type]
