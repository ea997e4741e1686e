"""Documents and text without formatting: for sizes, table cells, comparisons, and text that is no Markdown."""

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
    Reference,
    Table,
    Text,
    ThematicBreak,
)


def plain_paragraph(text: str) -> Paragraph:
    """A paragraph that shows `text` as it is: nothing in it counts as markup."""
    children: list[Inline] = []
    for line in text.split("\n"):
        children += [LineBreak(), Text(line)] if children else [Text(line)]
    return Paragraph(tuple(children))


def to_plain_text(document: Document) -> str:
    return _blocks_text(document.blocks, "\n\n")


def inlines_to_plain_text(children: Iterable[Inline]) -> str:
    return "".join(map(_inline_text, children))


def _inline_text(node: Inline) -> str:
    match node:
        case Text(text) | CodeSpan(text) | MathSpan(_, str(text)) | MathSpan(text):
            return text
        case LineBreak():
            return "\n"
        case Link(url, children):
            text = inlines_to_plain_text(children)
            return text if text == url else f"{text} ({url})"
        case Reference():
            return inlines_to_plain_text(node.literal())
    return inlines_to_plain_text(node.children)


def _blocks_text(blocks: Iterable[Block], separator: str) -> str:
    return separator.join(map(_block_text, blocks))


def _block_text(block: Block) -> str:
    match block:
        case Paragraph(children) | Heading(_, children):
            return inlines_to_plain_text(children)
        case CodeBlock(text) | MathBlock(_, str(text)) | MathBlock(text):
            return text
        case ThematicBreak():
            return "---"
        case Quote(children):
            return _blocks_text(children, "\n")
        case ListBlock(items, start):
            return "\n".join(_item_text(item, start, index) for index, item in enumerate(items))
        case Table(rows, is_continuation=is_continuation):
            return "\n".join(" | ".join(inlines_to_plain_text(cell) for cell in row) for row in rows[is_continuation:])


def _item_text(item: ListItem, start: int | None, index: int) -> str:
    marker = "• " if start is None else f"{start + index}. "
    if item.checked is not None:
        marker += "☑ " if item.checked else "☐ "
    return ("" if item.is_continuation else marker) + _blocks_text(item.children, "\n")
