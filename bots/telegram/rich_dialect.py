r"""Renders a model's answer as a rich message where that helps, and otherwise as text with entities.

Which of them is decided for each part by its content alone, and both are split by the limits of rich messages. So a
preview that grows from one to the other stays one message, and every process finds the same parts:

    update("A plain answer.")                      text with entities
    update("A plain answer.\n\n| a |\n|---|")       the same message, now rich
"""

import math
import unicodedata
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from bots.telegram.dialect import TelegramDialect, utf16_length
from bots.telegram.rich_blocks import (
    RichObject,
    WrittenBlock,
    join_items,
    needs_rich_blocks,
    shows_as_paragraphs,
    write_block,
    write_item,
    write_numbered_paragraph,
)
from core.markdown.document import Block, Document, ListBlock, ListItem
from core.port import Part, RichMode

MAX_UNITS = 32_768
MAX_PLAIN_UNITS = 4096
"""The longest text with entities, in UTF-16 units."""
MAX_BLOCKS = 500
MAX_CACHED_BLOCKS = 2_000
MAX_DIRECTION_CHARS = 500
"""How much of a text is searched for the direction in which it is written."""


ItemForm: TypeAlias = tuple[int | None, bool]
"""The item's number, and whether it is a paragraph."""


class RichContent(msgspec.Struct, frozen=True):
    """The blocks of a part, in `Part.native`."""

    blocks: tuple[bytes, ...]
    """JSON."""
    units: int
    count: int
    text_chars: int
    """The length of the part's text. What the core appends to that becomes the message's footer."""


class RichDialect:
    """For one answer: it remembers what its blocks show."""

    def __init__(self, mode: RichMode, limit: int = MAX_UNITS) -> None:
        self.limit = limit
        self._mode = mode
        self._classic = TelegramDialect(min(limit, MAX_PLAIN_UNITS))
        self._written: dict[tuple[int, ItemForm | None], tuple[Block | ListItem, WrittenBlock]] = {}
        """By the identity of the block or item, and the item's form: while an answer grows, most of them stay."""
        self._needs: dict[int, tuple[Block, bool]] = {}

    def render(self, document: Document) -> Part:
        blocks = document.blocks
        if self._mode is RichMode.ALWAYS or any(map(self._needs_rich, blocks)):
            return self._render_rich(blocks)
        if self._known_units(blocks) > self._classic.limit:  # text with entities is never shorter
            return self._render_rich(blocks)
        part = self._classic.render(document)
        return part if self._classic.size(part) <= self._classic.limit else self._render_rich(blocks)

    def render_thinking(self, status: str) -> Part:
        """For drafts only."""
        block = msgspec.json.encode({"type": "thinking", "text": status})
        return Part(status, {"rich": RichContent((block,), utf16_length(status), 1, len(status))})

    def size(self, part: Part) -> int:
        """UTF-16 units; more if the part has more blocks, or a text with entities is longer, than Telegram allows."""
        content = rich_content(part)
        if content is None:
            size = self._classic.size(part)
            return size if size <= self._classic.limit else self.limit + size
        footer = part.text[content.text_chars :]
        count = content.count + bool(footer)
        return max(content.units + utf16_length(footer), math.ceil(count * self.limit / MAX_BLOCKS))

    def _render_rich(self, blocks: Iterable[Block]) -> Part:
        written = [piece for piece in map(self._write, blocks) if piece.encoded]
        text = "\n\n".join(piece.text for piece in written)
        content = RichContent(
            tuple(piece.encoded for piece in written),
            sum(piece.units for piece in written),
            sum(piece.count for piece in written),
            len(text),
        )
        return Part(text, {"rich": content}) if written else Part("")

    # Cached blocks

    def _needs_rich(self, block: Block) -> bool:
        known = self._needs.get(id(block))
        if known is None or known[0] is not block:
            _make_room(self._needs)
            known = self._needs[id(block)] = block, needs_rich_blocks(block)
        return known[1]

    def _known_units(self, blocks: Iterable[Block]) -> int:
        known = (self._written.get((id(block), None)) for block in blocks)
        return sum(entry[1].units for entry in known if entry)

    def _write(self, block: Block) -> WrittenBlock:
        known = self._written.get((id(block), None))
        if known is not None and known[0] is block:
            return known[1]
        if isinstance(block, ListBlock) and not block.items[0].is_continuation:
            written = self._write_list(block)
        else:
            written = write_block(block)
        return self._remember(block, None, written)

    def _write_list(self, block: ListBlock) -> WrittenBlock:
        """A growing list gets a new block for each character, but most of its items stay."""
        numbers = (None if block.start is None else block.start + index for index in range(len(block.items)))
        as_paragraphs = shows_as_paragraphs(block)
        items = (
            self._write_item(item, number, is_paragraph=as_paragraphs)
            for item, number in zip(block.items, numbers, strict=True)
        )
        return join_items(items, is_paragraphs=as_paragraphs)

    def _write_item(self, item: ListItem, number: int | None, *, is_paragraph: bool) -> WrittenBlock:
        form = number, is_paragraph
        known = self._written.get((id(item), form))
        if known is not None and known[0] is item:
            return known[1]
        if is_paragraph and number is not None:
            return self._remember(item, form, write_numbered_paragraph(item, number))
        return self._remember(item, form, write_item(item, number))

    def _remember(self, source: Block | ListItem, form: ItemForm | None, written: WrittenBlock) -> WrittenBlock:
        _make_room(self._written)
        self._written[id(source), form] = source, written
        return written


def rich_content(part: Part) -> RichContent | None:
    content = part.native.get("rich")
    return content if isinstance(content, RichContent) else None


def rich_message(part: Part) -> RichObject:
    """The `InputRichMessage` of a rich part. Telegram must find no mention, command or link in it by itself."""
    content = part.native["rich"]
    assert isinstance(content, RichContent)  # noqa: S101 (the part is rich)
    blocks = [msgspec.Raw(block) for block in content.blocks]
    if footer := part.text[content.text_chars :].strip():
        blocks.append(msgspec.Raw(msgspec.json.encode({"type": "footer", "text": footer})))
    message: RichObject = {"blocks": blocks, "skip_entity_detection": True}
    return message | ({"is_rtl": True} if is_right_to_left(part.text) else {})


def is_right_to_left(text: str) -> bool:
    """Whether the first letter belongs to a script that is written from right to left."""
    directions = map(unicodedata.bidirectional, text[:MAX_DIRECTION_CHARS])
    return next((direction for direction in directions if direction in ("L", "R", "AL")), "L") != "L"


def _make_room(cache: dict) -> None:  # type: ignore[type-arg]
    if len(cache) >= MAX_CACHED_BLOCKS:
        cache.clear()
