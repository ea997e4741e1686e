"""A document as text without any formatting: for sizes, logs, table cells and comparisons."""

from collections.abc import Iterable

from core.markdown.document import (
    Block,
    CodeBlock,
    CodeSpan,
    Document,
    Heading,
    Inline,
    LineBreak,
    Link,
    ListBlock,
    ListItem,
    MathBlock,
    MathSpan,
    Paragraph,
    Quote,
    Table,
    Text,
    ThematicBreak,
)

__all__ = ["inlines_to_plain_text", "to_plain_text"]


def to_plain_text(document: Document) -> str:
    return _blocks(document.blocks, "\n\n")


def inlines_to_plain_text(children: Iterable[Inline]) -> str:
    return "".join(map(_inline, children))


def _inline(node: Inline) -> str:
    match node:
        case Text(text) | CodeSpan(text) | MathSpan(text):
            return text
        case LineBreak():
            return "\n"
        case Link(url, children):
            shown = inlines_to_plain_text(children)
            return shown if shown == url else f"{shown} ({url})"
    return inlines_to_plain_text(node.children)


def _blocks(blocks: Iterable[Block], separator: str) -> str:
    return separator.join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Paragraph(children) | Heading(_, children):
            return inlines_to_plain_text(children)
        case CodeBlock(text) | MathBlock(text):
            return text
        case ThematicBreak():
            return "---"
        case Quote(children):
            return _blocks(children, "\n")
        case ListBlock(items, start):
            return "\n".join(_item(item, start, at) for at, item in enumerate(items))
        case Table(rows):
            return "\n".join(" | ".join(inlines_to_plain_text(cell) for cell in row) for row in rows)


def _item(item: ListItem, start: int | None, at: int) -> str:
    marker = "• " if start is None else f"{start + at}. "
    if item.checked is not None:
        marker += "☑ " if item.checked else "☐ "
    return ("" if item.is_continuation else marker) + _blocks(item.children, "\n")
