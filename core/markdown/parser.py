"""Parses Markdown, as models write it, into the blocks of a document.

markdown-it splits the text into a flat list of tokens; this module builds the tree from them:

    - [x] *done*      bullet_list_open, list_item_open, paragraph_open, inline, paragraph_close, ...
                      ListBlock((ListItem((Paragraph((Emphasis((Text("done"),)),)),), checked=True),))

The grammar is CommonMark with tables, strikethrough, task lists, formulas, spoilers, addresses in running text and
a few tags of HTML, without reference links, indented code and underlined headings: no text may disappear, and later
text may not change the meaning of earlier lines, because answers are parsed and sent while they grow. Whatever is not
Markdown is text, so parsing never fails.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, blockquote, list_block
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token

from core.markdown.details import MAX_CONTAINER_DEPTH, OPENING_TAG, add_details
from core.markdown.document import (
    Alignment,
    Block,
    CodeBlock,
    Heading,
    Inline,
    ListBlock,
    ListItem,
    MathBlock,
    Paragraph,
    Quote,
    Strong,
    Table,
    Text,
    ThematicBreak,
)
from core.markdown.emphasis import relax_emphasis
from core.markdown.fences import Fence, add_fences
from core.markdown.first_char import dispatch_by_first_char
from core.markdown.formulas import add_formulas
from core.markdown.html import add_html
from core.markdown.inlines import parse_inlines, split_checkbox
from core.markdown.pairs import add_pairs
from core.markdown.references import add_references
from core.markdown.tables import add_tables
from core.markdown.tex import tex_to_unicode
from core.markdown.urls import add_urls

MARK_PATTERN = re.compile(r"[*_~`|\[\]!\\$&<>{}=+\-#@:^%\n]")
"""The characters in a paragraph at which the parser stops."""
LINK_STOPS = 3
"""How many more stops a `[` costs, at which the parser looks for the end of a link."""
STOP_WORK = 50
"""A stop costs about as much as this many characters of prose."""
LIST_TOKENS = ("bullet_list_open", "ordered_list_open")
LONE_SURROGATE_PATTERN = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    line: int
    """The source line on which the block begins."""
    block: Block
    work: int
    """What parsing its marks cost, in characters of prose. Its characters come on top."""
    items: tuple["PlacedItem", ...] = ()
    """The items of a list."""


@dataclass(frozen=True, slots=True)
class PlacedItem:
    line: int
    work_before: int
    """What parsing the marks of the items before it cost."""


def normalise_text(text: str) -> str:
    """Replace what platforms reject: other line ends than LF, NUL characters and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text if text.isascii() else LONE_SURROGATE_PATTERN.sub("\ufffd", text)


def parse_blocks(text: str, open_formula: str | None = None) -> list[PlacedBlock]:
    """Parse normalised text. If it begins inside a displayed formula, `open_formula` is the closer."""
    tokens = tokenize(text, open_formula)
    blocks: list[PlacedBlock] = []
    start = 0
    while start < len(tokens):
        end = _index_after(tokens, start)
        # What begins in the middle of a line cannot be parsed without what precedes it.
        line = blocks[-1].line if blocks and tokens[start].meta.get("is_mid_line") else _line(tokens[start])
        if tokens[start].type in LIST_TOKENS:
            items, work = _place_items(tokens, start, end)
            blocks.append(PlacedBlock(line, _build_list(tokens, start, end), work, items))
        else:
            work = _count_work(tokens, start, end)
            blocks += [PlacedBlock(line, block, work) for block in _build_block(tokens, start, end)]
        start = end
    return blocks


def _place_items(tokens: Sequence[Token], start: int, end: int) -> tuple[tuple[PlacedItem, ...], int]:
    """The items of a list, and what it costs with the marks of all of them."""
    items, work, index = [], 0, start + 1
    while index < end - 1:
        items.append(PlacedItem(_line(tokens[index]), work))
        next_index = _index_after(tokens, index)
        work += _count_work(tokens, index, next_index)
        index = next_index
    return tuple(items), work


def _line(token: Token) -> int:
    return token.map[0] if token.map else 0


def _count_work(tokens: Sequence[Token], start: int, end: int) -> int:
    return STOP_WORK * sum(map(_count_stops, tokens[start:end]))


def _count_stops(token: Token) -> int:
    """How often the parser stopped in the token: for each mark, even if it turned out to be text."""
    if token.type != "inline":
        return 1
    return 1 + len(token.children or ()) + _count_marks(token.content)


def _count_marks(text: str) -> int:
    return len(MARK_PATTERN.findall(text)) + LINK_STOPS * text.count("[")


def estimate_work(text: str) -> int:
    """About what parsing the text costs, in characters of prose."""
    return len(text) + STOP_WORK * _count_marks(text)


def tokenize(text: str, open_formula: str | None = None, *, inline: bool = True) -> list[Token]:
    """markdown-it's tokens, which know their source lines. Without `inline`, blocks only."""
    if inline:
        return GRAMMAR.parse(text, {"open_formula": open_formula})
    tokens: list[Token] = []
    GRAMMAR.block.parse(text, GRAMMAR, {"open_formula": open_formula}, tokens)
    return tokens


def _quote_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < MAX_CONTAINER_DEPTH and blockquote(state, start, end, silent)


def _list_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    return state.level < MAX_CONTAINER_DEPTH and list_block(state, start, end, silent)


def _link_rule(rule: Callable[[StateInline, bool], bool]) -> Callable[[StateInline, bool], bool]:
    """`rule` for a link or an image, without the search for its end where none can follow."""

    def guarded(state: StateInline, silent: bool) -> bool:
        if state.src[state.pos] not in "[!":
            return False
        last_end = state.env.get("last_link_end")
        if last_end is None or last_end[0] is not state.src:
            last_end = state.env["last_link_end"] = (state.src, state.src.rfind("]("))
        return state.pos < last_end[1] and rule(state, silent)

    return guarded


def build_grammar() -> MarkdownIt:
    grammar = MarkdownIt("commonmark", {"html": False, "maxNesting": 24})
    relax_emphasis(grammar)
    grammar.enable(["table", "strikethrough"])
    grammar.disable(["code", "html_block", "html_inline", "reference", "lheading", "normalize"])
    paragraph_rules = ["paragraph", "reference"]
    add_tables(grammar)
    grammar.block.ruler.at("blockquote", _quote_rule, {"alt": [*paragraph_rules, "blockquote", "list"]})
    grammar.block.ruler.at("list", _list_rule, {"alt": [*paragraph_rules, "blockquote"]})
    grammar.inline.ruler.at("link", _link_rule(link))
    grammar.inline.ruler.at("image", _link_rule(image))
    add_details(grammar)
    add_fences(grammar)
    add_formulas(grammar)
    add_html(grammar)
    add_urls(grammar)
    add_pairs(grammar)
    add_references(grammar)
    _record_item_indent(grammar)
    # Addresses stay as written; a dialect decides which of them become links.
    grammar.validateLink = lambda url: True  # type: ignore[method-assign] # noqa: ARG005 - passed by name
    grammar.normalizeLink = lambda url: url  # type: ignore[method-assign]
    grammar.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return grammar


def _record_item_indent(grammar: MarkdownIt) -> None:
    """Store in each list item's token the column at which the item's content begins."""
    original_tokenize = grammar.block.tokenize

    def tokenize_item(state: StateBlock, startLine: int, endLine: int) -> None:  # noqa: N803 - markdown-it's names
        if state.tokens and state.tokens[-1].type == "list_item_open":
            state.tokens[-1].meta["indent"] = state.blkIndent
        original_tokenize(state, startLine, endLine)

    grammar.block.tokenize = tokenize_item  # type: ignore[method-assign]


GRAMMAR = build_grammar()
dispatch_by_first_char(GRAMMAR)


def _build_children(tokens: Sequence[Token], start: int, end: int) -> tuple[Block, ...]:
    """The blocks inside the container that begins at `start` and ends before `end`."""
    blocks: list[Block] = []
    index = start + 1
    while index < end - 1:
        next_index = _index_after(tokens, index)
        blocks += _build_block(tokens, index, next_index)
        index = next_index
    return tuple(blocks)


def _index_after(tokens: Sequence[Token], start: int) -> int:
    """The index after the token that closes the one at `start`."""
    if tokens[start].nesting == 0:
        return start + 1
    level = tokens[start].level
    index = start + 1
    while tokens[index].nesting != -1 or tokens[index].level != level:
        index += 1
    return index + 1


def _build_block(tokens: Sequence[Token], start: int, end: int) -> Iterator[Block]:
    token = tokens[start]
    match token.type:
        case "paragraph_open":
            children = parse_inlines(tokens[start + 1].children or [])
            yield Paragraph((Strong(children),) if token.meta.get("is_summary") else children)
        case "heading_open":
            yield Heading(int(token.tag[1]), parse_inlines(tokens[start + 1].children or []))
        case "fence":
            yield from _build_fence(token)
        case "formula":
            yield MathBlock(token.content, tex_to_unicode(token.content) if token.meta["is_complete"] else None)
        case "hr":
            yield ThematicBreak()
        case "blockquote_open":
            yield Quote(_build_children(tokens, start, end), is_collapsed=token.markup == OPENING_TAG)
        case _ if token.type in LIST_TOKENS:
            yield _build_list(tokens, start, end)
        case "table_open":
            yield _build_table(tokens[start:end])


def _build_fence(token: Token) -> Iterator[Block]:
    """A code block; text on the fence's line that is no language becomes a paragraph."""
    language = Fence(token.markup, token.info).language if token.meta["has_language"] else ""
    rest = token.info.removeprefix(language).strip()
    if rest:
        yield Paragraph((Text(rest),))
    yield CodeBlock(token.content.removesuffix("\n"), language)


def _build_list(tokens: Sequence[Token], start: int, end: int) -> ListBlock:
    is_ordered = tokens[start].type == "ordered_list_open"
    first_number = int(tokens[start].attrs.get("start", 1)) if is_ordered else None
    items = []
    index = start + 1
    while index < end - 1:
        next_index = _index_after(tokens, index)
        checked, children = split_checkbox(_build_children(tokens, index, next_index))
        items.append(ListItem(children, checked))
        index = next_index
    return ListBlock(tuple(items), first_number)


def _build_table(tokens: Sequence[Token]) -> Table:
    rows: list[tuple[tuple[Inline, ...], ...]] = []
    alignments: list[Alignment] = []
    row: list[tuple[Inline, ...]] = []
    for token in tokens:
        if token.type == "th_open":
            style = str(token.attrs.get("style", ""))
            alignments.append(Alignment(style.removeprefix("text-align:") or Alignment.LEFT))
        elif token.type == "inline":
            row.append(parse_inlines(token.children or []))
        elif token.type == "tr_close":
            rows.append(tuple(row))
            row = []
    return Table(tuple(rows), tuple(alignments))
