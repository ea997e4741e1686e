"""A document as text without any formatting: for sizes, logs, table cells and comparisons."""

from collections.abc import Iterable

from core.markdown.document import (
    Block,
    Code,
    Document,
    Heading,
    Inline,
    Item,
    LineBreak,
    Link,
    ListBlock,
    Math,
    MathSpan,
    Paragraph,
    Quote,
    Rule,
    Span,
    Table,
    Text,
)

__all__ = ["plain", "plain_inline"]


def plain(document: Document) -> str:
    return _blocks(document.blocks, "\n\n")


def plain_inline(children: Iterable[Inline]) -> str:
    return "".join(map(_inline, children))


def _inline(node: Inline) -> str:
    match node:
        case Text(text) | Span(text) | MathSpan(text):
            return text
        case LineBreak():
            return "\n"
        case Link(url, children):
            shown = plain_inline(children)
            return shown if shown == url else f"{shown} ({url})"
    return plain_inline(node.children)


def _blocks(blocks: Iterable[Block], between: str) -> str:
    return between.join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Paragraph(children) | Heading(_, children):
            return plain_inline(children)
        case Code(text) | Math(text):
            return text
        case Rule():
            return "---"
        case Quote(children):
            return _blocks(children, "\n")
        case ListBlock(items, start):
            return "\n".join(_item(item, start, at) for at, item in enumerate(items))
        case Table(rows):
            return "\n".join(" | ".join(plain_inline(cell) for cell in row) for row in rows)


def _item(item: Item, start: int | None, at: int) -> str:
    marker = "• " if start is None else f"{start + at}. "
    if item.checked is not None:
        marker += "☑ " if item.checked else "☐ "
    return ("" if item.continued else marker) + _blocks(item.children, "\n")
