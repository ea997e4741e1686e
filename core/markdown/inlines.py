"""What stands inside a paragraph, from markdown-it's flat tokens to a tree."""

import re
from collections.abc import Callable, Sequence

from markdown_it.token import Token

from core.markdown.document import (
    Block,
    Emphasis,
    Inline,
    LineBreak,
    Link,
    MathSpan,
    Paragraph,
    Span,
    Strike,
    Strong,
    Text,
)

__all__ = ["inlines", "without_box"]

DEEPEST = 12  # emphasis inside emphasis; deeper marks have no effect
BOX = re.compile(r"\[([ xX])\](?:\s+|\Z)")

Wrap = Callable[[tuple[Inline, ...]], tuple[Inline, ...]]


def inlines(tokens: Sequence[Token]) -> tuple[Inline, ...]:
    open_: list[tuple[Wrap, list[Inline]]] = []
    here: list[Inline] = []
    for token in tokens:
        if token.nesting == 1:
            open_.append((_wrap(token, len(open_)), here))
            here = []
        elif token.nesting == -1:
            wrap, outer = open_.pop()
            outer.extend(wrap(tuple(here)))
            here = outer
        else:
            here.extend(_leaf(token))
            if len(here) > 1 and isinstance(here[-1], Text) and isinstance(here[-2], Text):
                _join(here)
    return tuple(here)


def _join(here: list[Inline]) -> None:
    last = here.pop()
    before = here.pop()
    if isinstance(last, Text) and isinstance(before, Text):
        here.append(Text(before.text + last.text))


def _wrap(token: Token, depth: int) -> Wrap:
    if token.type == "link_open":
        url, title = str(token.attrs.get("href", "")), str(token.attrs.get("title", ""))
        return lambda children: _link(url, title, children)
    if depth < DEEPEST:
        match token.type:
            case "strong_open":
                return lambda children: (Strong(children),)
            case "em_open":
                return lambda children: (Emphasis(children),)
            case "s_open":
                return lambda children: (Strike(children),)
    return lambda children: children


def _link(url: str, title: str, children: tuple[Inline, ...]) -> tuple[Inline, ...]:
    link = Link(url, children or (Text(url),))
    return (link, Text(f" ({title})")) if title else (link,)


def _leaf(token: Token) -> tuple[Inline, ...]:
    match token.type:
        case "softbreak" | "hardbreak":
            return (LineBreak(),)
        case "code_inline":
            return (Span(token.content),)
        case "formula":
            return (MathSpan(token.content),)
        case "image":
            url, title = str(token.attrs.get("src", "")), str(token.attrs.get("title", ""))
            return _link(url, title, inlines(token.children or []))
    return (Text(token.content),) if token.content else ()


def without_box(children: tuple[Block, ...]) -> tuple[bool | None, tuple[Block, ...]]:
    """Whether an item begins with a task's box that is ticked, and the item without the box."""
    if not (children and isinstance(children[0], Paragraph) and children[0].children):
        return None, children
    first, *more = children[0].children
    box = BOX.match(first.text) if isinstance(first, Text) else None
    if box is None or not isinstance(first, Text):
        return None, children
    rest = first.text[box.end() :]
    kept = (Text(rest), *more) if rest else tuple(more)
    return box[1] != " ", (Paragraph(kept), *children[1:])
