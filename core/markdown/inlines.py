"""Builds the content of a paragraph from markdown-it's flat tokens.

`a **b**` is five tokens, `text, strong_open, text, strong_close, text`. An opening token pushes a
wrapper on a stack, its closing token pops it and wraps what was read in between, here into
`(Text("a "), Strong((Text("b"),)))`. Adjacent texts are merged.
"""

import re
from collections.abc import Callable, Sequence

from markdown_it.token import Token

from core.markdown.document import (
    Block,
    CodeSpan,
    Emphasis,
    Inline,
    LineBreak,
    Link,
    Marked,
    MathSpan,
    Paragraph,
    Reference,
    Spoiler,
    Strikethrough,
    Strong,
    Text,
    Underline,
)
from core.markdown.tex import tex_to_unicode

MAX_EMPHASIS_DEPTH = 12
"""Emphasis nested deeper than this is dropped; its text stays."""
MARKS: dict[str, type[Marked]] = {
    "strong_open": Strong,
    "highlight_open": Strong,
    "em_open": Emphasis,
    "s_open": Strikethrough,
    "u_open": Underline,
    "spoiler_open": Spoiler,
}
CHECKBOX_PATTERN = re.compile(r"\[([ xX])\](?:\s+|\Z)")

InlineWrapper = Callable[[tuple[Inline, ...]], tuple[Inline, ...]] | None
"""None: the inner nodes join the outer ones."""


def parse_inlines(tokens: Sequence[Token]) -> tuple[Inline, ...]:
    stack: list[tuple[InlineWrapper, list[Inline]]] = []
    current: list[Inline] = []
    for token in tokens:
        if token.nesting == 1:
            wrap = _make_wrapper(token, len(stack))
            stack.append((wrap, current))
            current = [] if wrap else current
        elif token.nesting == -1:
            wrap, outer = stack.pop()
            if wrap:
                outer.extend(wrap(tuple(current)))
            current = outer
        else:
            current.extend(_parse_leaf(token))
            _merge_last_texts(current)
    return tuple(current)


def _merge_last_texts(nodes: list[Inline]) -> None:
    match nodes:
        case [*_, Text(previous), Text(last)]:
            nodes[-2:] = [Text(previous + last)]


def _make_wrapper(token: Token, depth: int) -> InlineWrapper:
    if token.type == "link_open":
        url, title = str(token.attrs.get("href", "")), str(token.attrs.get("title", ""))
        return lambda children: _make_link(url, title, children)
    if token.type == "reference_open":
        return lambda children: (Reference(children, str(token.attrs["label"])),)
    if depth < MAX_EMPHASIS_DEPTH and (mark := MARKS.get(token.type)):
        return lambda children: (mark(children),)
    return None


def _make_link(url: str, title: str, children: tuple[Inline, ...]) -> tuple[Inline, ...]:
    link = Link(url, children or (Text(url),))
    return (link, Text(f" ({title})")) if title else (link,)


def _parse_leaf(token: Token) -> tuple[Inline, ...]:
    match token.type:
        case "softbreak" | "hardbreak":
            return (LineBreak(),)
        case "code_inline":
            return (CodeSpan(token.content),)
        case "formula":
            text = tex_to_unicode(token.content)
            return (MathSpan(token.content, text and text.replace("\n", " ")),)
        case "image":
            url, title = str(token.attrs.get("src", "")), str(token.attrs.get("title", ""))
            return _make_link(url, title, parse_inlines(token.children or []))
    return (Text(token.content),) if token.content else ()


def split_checkbox(children: tuple[Block, ...]) -> tuple[bool | None, tuple[Block, ...]]:
    """Separate a task's checkbox from its item: whether it is ticked (None: no checkbox), and the rest."""
    match children:
        case (Paragraph((Text(text), *others)), *blocks) if box := CHECKBOX_PATTERN.match(text):
            rest = text[box.end() :]
            remaining = (Text(rest), *others) if rest else tuple(others)
            return box[1] != " ", (Paragraph(remaining), *blocks)
    return None, children
