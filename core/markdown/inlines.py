"""What stands inside a paragraph, from markdown-it's flat tokens to a tree."""

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
    MathSpan,
    Paragraph,
    Strikethrough,
    Strong,
    Text,
)

__all__ = ["parse_inlines", "split_checkbox"]

MAX_EMPHASIS_DEPTH = 12  # emphasis inside emphasis; deeper marks have no effect
CHECKBOX_PATTERN = re.compile(r"\[([ xX])\](?:\s+|\Z)")

InlineWrapper = Callable[[tuple[Inline, ...]], tuple[Inline, ...]]


def parse_inlines(tokens: Sequence[Token]) -> tuple[Inline, ...]:
    stack: list[tuple[InlineWrapper, list[Inline]]] = []
    current: list[Inline] = []
    for token in tokens:
        if token.nesting == 1:
            stack.append((_make_wrapper(token, len(stack)), current))
            current = []
        elif token.nesting == -1:
            wrap, outer = stack.pop()
            outer.extend(wrap(tuple(current)))
            current = outer
        else:
            current.extend(_parse_leaf(token))
            if len(current) > 1 and isinstance(current[-1], Text) and isinstance(current[-2], Text):
                _merge_text(current)
    return tuple(current)


def _merge_text(nodes: list[Inline]) -> None:
    last = nodes.pop()
    before = nodes.pop()
    if isinstance(last, Text) and isinstance(before, Text):
        nodes.append(Text(before.text + last.text))


def _make_wrapper(token: Token, depth: int) -> InlineWrapper:
    if token.type == "link_open":
        url, title = str(token.attrs.get("href", "")), str(token.attrs.get("title", ""))
        return lambda children: _make_link(url, title, children)
    if depth < MAX_EMPHASIS_DEPTH:
        match token.type:
            case "strong_open":
                return lambda children: (Strong(children),)
            case "em_open":
                return lambda children: (Emphasis(children),)
            case "s_open":
                return lambda children: (Strikethrough(children),)
    return lambda children: children


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
            return (MathSpan(token.content),)
        case "image":
            url, title = str(token.attrs.get("src", "")), str(token.attrs.get("title", ""))
            return _make_link(url, title, parse_inlines(token.children or []))
    return (Text(token.content),) if token.content else ()


def split_checkbox(children: tuple[Block, ...]) -> tuple[bool | None, tuple[Block, ...]]:
    """Whether an item begins with a task's box that is ticked, and the item without the box."""
    if not (children and isinstance(children[0], Paragraph) and children[0].children):
        return None, children
    first, *more = children[0].children
    box = CHECKBOX_PATTERN.match(first.text) if isinstance(first, Text) else None
    if box is None or not isinstance(first, Text):
        return None, children
    rest = first.text[box.end() :]
    remaining = (Text(rest), *more) if rest else tuple(more)
    return box[1] != " ", (Paragraph(remaining), *children[1:])
