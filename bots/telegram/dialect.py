"""Documents as Telegram's text with entities, never as markup that Telegram would have to parse.

Offsets and lengths count UTF-16 units. Telegram keeps 100 entities of a message, trims white
space at both ends, lets no entity overlap code, and no quote stand in another.
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from telegram import MessageEntity

from core.markdown.document import (
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
    Strikethrough,
    Strong,
    Table,
    Text,
    ThematicBreak,
)
from core.markdown.plain_text import inlines_to_plain_text
from core.markdown.text_table import format_table
from core.port import Part

__all__ = ["TelegramDialect"]

MAX_ENTITIES = 100
CLICKABLE_URL = re.compile(r"(?:https?://|mailto:)[^\s<>]+\Z", re.IGNORECASE)
ENTITY_TYPES = {
    Strong: MessageEntity.BOLD,
    Emphasis: MessageEntity.ITALIC,
    Strikethrough: MessageEntity.STRIKETHROUGH,
}


class TelegramDialect:
    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit

    def render(self, document: Document) -> Part:
        writer = _EntityWriter()
        writer.blocks(document.blocks, "\n\n")
        return writer.part()

    def size(self, part: Part) -> int:
        """UTF-16 units, or more when there are so many entities that Telegram would drop some."""
        entities = part.native.get("entities")
        count = len(entities) if isinstance(entities, tuple) else 0
        return max(utf16_length(part.text), math.ceil(count * self.limit / MAX_ENTITIES))


def utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _nesting_key(entity: tuple[int, int, int, str, str]) -> tuple[int, int, bool, int]:
    start, stop, order, kind, _ = entity
    return start, -stop, "blockquote" not in kind, order


class _EntityWriter:
    def __init__(self) -> None:
        self._text: list[str] = []
        self._position = 0
        self._entities: list[tuple[int, int, int, str, str]] = []
        self._open_styles: list[tuple[str, str, int]] = []
        self._indent = ""
        self._is_in_quote = False

    def part(self) -> Part:
        text = "".join(self._text).rstrip()
        end = utf16_length(text)
        entities = []
        for start, stop, _, kind, detail in sorted(self._entities, key=_nesting_key):
            length = min(stop, end) - start
            if length > 0:
                url = detail if kind == MessageEntity.TEXT_LINK else None
                language = detail or None if kind == MessageEntity.PRE else None
                entities.append(MessageEntity(kind, start, length, url=url, language=language))
        return Part(text, {"entities": tuple(entities)})

    # Text and entities

    def _write(self, text: str) -> None:
        if not self._position:
            text = text.lstrip()
        if text:
            self._text.append(text)
            self._position += utf16_length(text)

    def _line_break(self, separator: str = "\n") -> None:
        if self._position:
            self._write(separator + self._indent)

    def _add_entity(self, kind: str, start: int, detail: str = "") -> None:
        if self._position > start:
            self._entities.append((start, self._position, len(self._entities), kind, detail))

    @contextmanager
    def _style(self, kind: str, detail: str = "") -> Iterator[None]:
        if any(open_[0] == kind for open_ in self._open_styles):
            yield
            return
        self._open_styles.append((kind, detail, self._position))
        yield
        kind, detail, start = self._open_styles.pop()
        self._add_entity(kind, start, detail)

    def _write_code(self, text: str, kind: str, language: str = "") -> None:
        """Code, which may not stand inside another entity: those open are parted around it."""
        for style, detail, start in reversed(self._open_styles):
            self._add_entity(style, start, detail)
        start = self._position
        self._text.append(text)
        self._position += utf16_length(text)
        self._add_entity(kind, start, language)
        self._open_styles = [(style, detail, self._position) for style, detail, _ in self._open_styles]

    # Inside a paragraph

    def inline(self, children: Iterable[Inline]) -> None:
        for node in children:
            match node:
                case Text(text):
                    self._write(text)
                case LineBreak():
                    self._line_break()
                case CodeSpan(text) | MathSpan(text):
                    self._code_span(text)
                case Link():
                    self._link(node)
                case Strong(inner) | Emphasis(inner) | Strikethrough(inner):
                    with self._style(ENTITY_TYPES[type(node)]):
                        self.inline(inner)

    def _code_span(self, text: str) -> None:
        is_in_link = any(kind == MessageEntity.TEXT_LINK for kind, _, _ in self._open_styles)
        if is_in_link or not text.strip():
            self._write(text)
        else:
            self._write_code(text.strip(), MessageEntity.CODE)

    def _link(self, link: Link) -> None:
        label = inlines_to_plain_text(link.children)
        if label == link.url or not label.strip():
            self._write(link.url)
        elif CLICKABLE_URL.match(link.url):
            with self._style(MessageEntity.TEXT_LINK, link.url):
                self.inline(link.children)
        else:
            self.inline(link.children)
            self._write(f" ({link.url})")

    # Blocks

    def blocks(self, blocks: Iterable[Block], separator: str = "\n") -> None:
        start = self._position
        for block in blocks:
            if self._position > start:
                position_before = len(self._text), self._position
                self._line_break(separator)
                position_after = self._position
                self.block(block)
                if self._position == position_after:
                    del self._text[position_before[0] :]
                    self._position = position_before[1]
            else:
                self.block(block)

    def block(self, block: Block) -> None:
        match block:
            case Paragraph(children):
                self.inline(children)
            case Heading(level, children):
                with self._style(MessageEntity.BOLD):
                    if level == 1:
                        with self._style(MessageEntity.UNDERLINE):
                            self.inline(children)
                    else:
                        self.inline(children)
            case CodeBlock(text, language):
                self._code_block(text, language)
            case MathBlock(tex):
                self._code_block(tex, "tex")
            case Table():
                self._code_block(format_table(block), "")
            case ThematicBreak():
                self._write("———")
            case Quote():
                self._quote(block)
            case ListBlock(items, start):
                self._list(items, start)

    def _code_block(self, text: str, language: str) -> None:
        text = text.strip("\n").rstrip()
        if text:
            self._write_code(text, MessageEntity.PRE, language)

    def _quote(self, quote: Quote) -> None:
        if self._is_in_quote:
            self._write("> ")
            self.blocks(quote.children)
            return
        kind = MessageEntity.EXPANDABLE_BLOCKQUOTE if quote.is_collapsed else MessageEntity.BLOCKQUOTE
        self._is_in_quote = True
        start = self._position
        self.blocks(quote.children)
        self._add_entity(kind, start)
        self._is_in_quote = False

    def _list(self, items: Iterable[ListItem], start: int | None) -> None:
        start_position = self._position
        for index, item in enumerate(items):
            if self._position > start_position:
                self._line_break()
            if not item.is_continuation:
                checkbox = "" if item.checked is None else "☑ " if item.checked else "☐ "
                self._write(("• " if start is None else f"{start + index}. ") + checkbox)
            self._item(item.children)

    def _item(self, children: tuple[Block, ...]) -> None:
        outer_indent = self._indent
        self._indent = outer_indent + "   "
        for index, block in enumerate(children):
            if index or isinstance(block, ListBlock | CodeBlock | MathBlock | Table):
                item_indent = self._indent
                if isinstance(block, CodeBlock | MathBlock | Table):
                    self._indent = ""
                self._line_break()
                self._indent = item_indent
            self.block(block)
        self._indent = outer_indent
