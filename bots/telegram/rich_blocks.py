"""Builds the typed blocks of Telegram's rich messages from the blocks of a document.

    | a |        {"type": "table", "cells": [[{"text": "a", "is_header": true, ...}], [{"text": "1", ...}]], ...}
    |---|
    | 1 |

Only blocks and texts are built that show something. There is no way from a model's text to a button, media, a
mention, an anchor or another scheme than http, https and mailto: such text is shown as text. Telegram counts the
characters, the blocks with list items and table rows, and the levels of nesting.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from bots.telegram.dialect import CLICKABLE_URL, utf16_length
from core.i18n.translation import gettext, gettext_noop
from core.markdown.document import (
    Alignment,
    Block,
    CodeBlock,
    CodeSpan,
    Document,
    Emphasis,
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
    Spoiler,
    Strikethrough,
    Strong,
    Table,
    Text,
    ThematicBreak,
    Underline,
)
from core.markdown.plain_text import inlines_to_plain_text, to_plain_text
from core.markdown.text_table import table_records

MAX_TABLE_COLUMNS = 20
MAX_DEPTH = 16
MAX_BLOCK_DEPTH = 13
"""Blocks nested deeper become text. The rest of `MAX_DEPTH` is for formatting inside a paragraph."""
DEFAULT_SUMMARY = gettext_noop("Details")
TEXT_TYPES = {
    Strong: "bold",
    Emphasis: "italic",
    Strikethrough: "strikethrough",
    Underline: "underline",
    Spoiler: "spoiler",
}
ESCAPED_SIGN_PATTERN = re.compile(r"\\[\\{}]")
PAIR_PATTERNS = tuple(
    (re.compile(rf"\\{first}(?![A-Za-z])"), re.compile(rf"\\{last}(?![A-Za-z])"))
    for first, last in (("begin", "end"), ("left", "right"))
)

RichObject: TypeAlias = dict[str, Any]
RichText: TypeAlias = str | RichObject | list[str | RichObject]


@dataclass(frozen=True, slots=True)
class WrittenBlock:
    """What one block of a document shows."""

    encoded: bytes
    """JSON objects, separated by commas; empty if it shows nothing."""
    text: str
    """Without formatting."""
    units: int
    """UTF-16 units."""
    count: int
    """What Telegram counts as blocks."""


def write_block(block: Block) -> WrittenBlock:
    """`block` as Telegram's blocks at the top level of a message."""
    writer = _BlockWriter()
    objects = writer.blocks((block,), 1)
    encoded = b",".join(map(msgspec.json.encode, objects))
    return WrittenBlock(encoded, to_plain_text(Document((block,))) if objects else "", writer.units, writer.count)


def write_item(item: ListItem, number: int | None) -> WrittenBlock:
    """A list item at the top level. `number`: None in a bullet list."""
    writer = _BlockWriter()
    return _written_item(writer, writer.list_item(item, number, 1), item, number)


def write_numbered_paragraph(item: ListItem, number: int) -> WrittenBlock:
    """A list item at the top level; see `shows_as_paragraphs`."""
    writer = _BlockWriter()
    return _written_item(writer, writer.numbered_paragraph(item, number, 1), item, number)


def _written_item(
    writer: "_BlockWriter", objects: Iterable[RichObject], item: ListItem, number: int | None
) -> WrittenBlock:
    encoded = b",".join(map(msgspec.json.encode, objects))
    text = to_plain_text(Document((ListBlock((item,), number),)))
    return WrittenBlock(encoded, text, writer.units, writer.count)


def shows_as_paragraphs(block: ListBlock) -> bool:
    """Whether a list is written as paragraphs that begin with their numbers.

    As the marker of a list, the number would be missing in what people copy. But what belongs to an item, such as code
    or another list, is indented only in a list, and only that has checkboxes.
    """
    return block.start is not None and not any(map(_has_structure, block.items))


def _has_structure(item: ListItem) -> bool:
    is_one_paragraph = len(item.children) <= 1 and all(isinstance(child, Paragraph) for child in item.children)
    return item.checked is not None or not is_one_paragraph


def join_items(items: Iterable[WrittenBlock], *, is_paragraphs: bool) -> WrittenBlock:
    """The list of these items."""
    shown = [item for item in items if item.encoded]
    if not shown:
        return WrittenBlock(b"", "", 0, 0)
    encoded = b",".join(item.encoded for item in shown)
    return WrittenBlock(
        encoded if is_paragraphs else b'{"type":"list","items":[' + encoded + b"]}",
        "\n".join(item.text for item in shown),
        sum(item.units for item in shown),
        (not is_paragraphs) + sum(item.count for item in shown),
    )


def needs_rich_blocks(block: Block) -> bool:
    """Whether text with entities would show `block` clearly worse: tables, formulas, details."""
    match block:
        case Table() | MathBlock() | Quote(is_collapsed=True):
            return True
        case Paragraph(children) | Heading(_, children):
            return any(map(_has_formula, children))
        case Quote(inner):
            return any(map(needs_rich_blocks, inner))
        case ListBlock(items):
            return any(needs_rich_blocks(child) for item in items for child in item.children)
    return False


def _has_formula(node: Inline) -> bool:
    match node:
        case MathSpan(tex, text):
            return text != tex
        case Strong(inner) | Emphasis(inner) | Strikethrough(inner) | Underline(inner) | Spoiler(inner):
            return any(map(_has_formula, inner))
        case Link(_, inner) | Reference(inner):
            return any(map(_has_formula, inner))
    return False


def is_complete_tex(tex: str) -> bool:
    """Whether all groups and environments are closed, so that clients can draw the formula."""
    if tex.lstrip().startswith(("\\[", "$$")):  # the end is missing
        return False
    tex = ESCAPED_SIGN_PATTERN.sub("", tex).strip()
    depth = 0
    for sign in re.findall(r"[{}]", tex):
        depth += 1 if sign == "{" else -1
        if depth < 0:
            return False
    is_paired = all(len(first.findall(tex)) == len(last.findall(tex)) for first, last in PAIR_PATTERNS)
    return bool(tex) and depth == 0 and is_paired and not tex.endswith("\\")


class _BlockWriter:
    def __init__(self) -> None:
        self.units = 0
        self.count = 0

    # Blocks

    def blocks(self, blocks: Iterable[Block], depth: int) -> list[RichObject]:
        if depth > MAX_BLOCK_DEPTH:
            text = to_plain_text(Document(tuple(blocks))).strip()
            return [self._object("paragraph", text=self._count(text))] if text else []
        return [written for block in blocks for written in self._block(block, depth)]

    def _block(self, block: Block, depth: int) -> Iterator[RichObject]:
        match block:
            case Paragraph(children):
                yield from self._text_block("paragraph", children, depth)
            case Heading(level, children):
                yield from self._text_block("heading", children, depth, size=level)
            case CodeBlock(text, language):
                yield from self._code(text, language)
            case MathBlock(tex) if is_complete_tex(tex):
                yield self._object("mathematical_expression", expression=self._count(tex.strip()))
            case MathBlock(tex):
                yield from self._code(tex, "tex")
            case ThematicBreak():
                yield self._object("divider")
            case Table(_, alignments) if len(alignments) > MAX_TABLE_COLUMNS:
                yield from self.blocks(table_records(block), depth)
            case Table():
                yield self._table(block, depth)
            case Quote():
                yield from self._quote(block, depth)
            case ListBlock():
                yield from self._list(block, depth)

    def _object(self, kind: str, **fields: object) -> RichObject:
        self.count += 1
        return {"type": kind, **fields}

    def _text_block(self, kind: str, children: Iterable[Inline], depth: int, **fields: object) -> Iterator[RichObject]:
        text = self._text(children, depth)
        if _is_visible(text):
            yield self._object(kind, text=text, **fields)

    def _code(self, text: str, language: str) -> Iterator[RichObject]:
        text = text.strip("\n").rstrip()
        if text:
            yield self._object("pre", text=self._count(text), **({"language": language} if language else {}))

    def _table(self, table: Table, depth: int) -> RichObject:
        self.count += len(table.rows)
        cells = [
            [
                self._cell(cell, align, depth, is_header=index == 0)
                for cell, align in zip(row, table.alignments, strict=True)
            ]
            for index, row in enumerate(table.rows)
        ]
        return self._object("table", cells=cells, is_bordered=True)

    def _cell(self, cell: tuple[Inline, ...], align: Alignment, depth: int, *, is_header: bool) -> RichObject:
        # Programs that want the message as text join the cells: without a space, words of two cells become one.
        text = self._text((*cell, Text(" ")), depth + 1)
        header = {"is_header": True} if is_header else {}
        return {"text": text, "align": align.value, "valign": "middle", **header}

    def _quote(self, quote: Quote, depth: int) -> Iterator[RichObject]:
        if not quote.is_collapsed:
            if blocks := self.blocks(quote.children, depth + 1):
                yield self._object("blockquote", blocks=blocks)
            return
        summary, content = _split_summary(quote)
        blocks = self.blocks(content, depth + 1)
        text = self._text(summary, depth)
        if blocks:
            yield self._object(
                "details", summary=text if _is_visible(text) else gettext(DEFAULT_SUMMARY), blocks=blocks
            )
        elif _is_visible(text):
            yield self._object("paragraph", text={"type": "bold", "text": text})

    def _list(self, block: ListBlock, depth: int) -> Iterator[RichObject]:
        written: list[RichObject] = []
        for index, item in enumerate(block.items):
            if item.is_continuation:  # its marker is in the previous message
                yield from self.blocks(item.children, depth)
                continue
            number = None if block.start is None else block.start + index
            if number is not None and shows_as_paragraphs(block):
                yield from self.numbered_paragraph(item, number, depth)
            else:
                written += self.list_item(item, number, depth)
        if written:
            yield self._object("list", items=written)

    def list_item(self, item: ListItem, number: int | None, depth: int) -> list[RichObject]:
        """Empty for an item that shows nothing, such as one that has just begun."""
        blocks = self.blocks(item.children, depth + 2)
        if not blocks:
            return []
        self.count += 1
        written: RichObject = {"blocks": blocks}
        if number is not None:
            written["value"] = number
            self._count(f"{number}. ")
        if item.checked is not None:
            written["has_checkbox"] = True
            if item.checked:
                written["is_checked"] = True
        return [written]

    def numbered_paragraph(self, item: ListItem, number: int, depth: int) -> list[RichObject]:
        blocks = self.blocks(item.children, depth)
        if blocks:
            marker = self._count(f"{number}. ")
            if blocks[0]["type"] != "paragraph":
                blocks.insert(0, self._object("paragraph", text=marker.rstrip()))
            else:
                blocks[0]["text"] = _join(marker, blocks[0]["text"])
        return blocks

    # Text

    def _count(self, text: str) -> str:
        self.units += utf16_length(text)
        return text

    def _text(self, children: Iterable[Inline], depth: int, *, is_link: bool = False) -> RichText:
        texts: list[str | RichObject] = []
        for written in self._texts(children, depth, is_link=is_link):
            if isinstance(written, str) and texts and isinstance(texts[-1], str):
                texts[-1] += written
            elif written:
                texts.append(written)
        return texts[0] if len(texts) == 1 else texts or ""

    def _texts(self, children: Iterable[Inline], depth: int, *, is_link: bool) -> Iterator[str | RichObject]:
        for node in children:
            match node:
                case Text(text):
                    yield self._count(text)
                case LineBreak():
                    yield self._count("\n")
                case _ if depth >= MAX_DEPTH:
                    yield self._count(inlines_to_plain_text((node,)))
                case MathSpan(tex) if is_complete_tex(tex):
                    yield {"type": "mathematical_expression", "expression": self._count(tex.strip())}
                case CodeSpan(text) | MathSpan(text):
                    code = text.strip()
                    yield {"type": "code", "text": self._count(code)} if code else self._count(text)
                case Link():
                    yield from self._link(node, depth, is_link=is_link)
                case Reference():
                    yield from self._texts(node.literal(), depth, is_link=is_link)
                case Strong(inner) | Emphasis(inner) | Strikethrough(inner) | Underline(inner) | Spoiler(inner):
                    text_object = self._text(inner, depth + 1, is_link=is_link)
                    if text_object:
                        yield {"type": TEXT_TYPES[type(node)], "text": text_object}

    def _link(self, link: Link, depth: int, *, is_link: bool) -> Iterator[str | RichObject]:
        is_clickable = not is_link and CLICKABLE_URL.match(link.url) is not None
        label = inlines_to_plain_text(link.children)
        if label == link.url or not label.strip():
            url = self._count(link.url)
            yield {"type": "url", "text": url, "url": link.url} if is_clickable else url
        elif is_clickable:
            yield {"type": "url", "text": self._text(link.children, depth + 1, is_link=True), "url": link.url}
        else:
            yield from self._texts(link.children, depth, is_link=is_link)
            yield self._count(f" ({link.url})")


def _split_summary(quote: Quote) -> tuple[tuple[Inline, ...], tuple[Block, ...]]:
    """The summary of details, which the parser makes a bold paragraph, and what follows it."""
    match quote.children:
        case (Paragraph((Strong(summary),)), *content):
            return summary, tuple(content)
    return (), quote.children


def _join(first: str, rest: RichText) -> RichText:
    if isinstance(rest, str):
        return first + rest
    texts = rest if isinstance(rest, list) else [rest]
    return [first + texts[0], *texts[1:]] if isinstance(texts[0], str) else [first, *texts]


def _is_visible(text: RichText) -> bool:
    return bool(text.strip()) if isinstance(text, str) else bool(text)
