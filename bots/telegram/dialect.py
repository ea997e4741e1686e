"""Renders documents as text with entities, so that Telegram has no markup to parse.

Offsets and lengths count UTF-16 units. Telegram accepts 100 entities per message, trims white space
at both ends, and allows neither entities that overlap code nor quotes inside quotes. For example,
"**a `b` c**" becomes the text "a b c" with three entities: bold "a ", code "b", bold " c".
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec
from telegram import MessageEntity

from core.markdown.block_cache import BlockCache
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
    Reference,
    Spoiler,
    Strikethrough,
    Strong,
    Table,
    Text,
    ThematicBreak,
    Underline,
)
from core.markdown.plain_text import inlines_to_plain_text, plain_paragraph
from core.markdown.text_table import format_grid, is_grid, table_records
from core.port import Part

MAX_ENTITIES = 100
BLOCK_SEPARATOR = "\n\n"
MAX_CACHED_PIECES = 4096
CLICKABLE_URL = re.compile(r"(?:https?://|mailto:)[^\s<>]+\Z", re.IGNORECASE)
MENTION_SIGN = re.compile(r"(?<![\w@/])@(?=[A-Za-z0-9_]|\Z)")
WORD_JOINER = "\u2060"
"""Invisible; keeps Telegram from notifying the person whose @name a model writes."""
ENTITY_TYPES = {
    Strong: MessageEntity.BOLD,
    Emphasis: MessageEntity.ITALIC,
    Strikethrough: MessageEntity.STRIKETHROUGH,
    Underline: MessageEntity.UNDERLINE,
    Spoiler: MessageEntity.SPOILER,
}
ENTITIES_WITHOUT_CODE = (MessageEntity.TEXT_LINK, MessageEntity.SPOILER)
"""In them, code is text: it cannot be inside another entity, and must be neither uncovered nor cut from its link."""


class TelegramDialect:
    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit
        self._cache: BlockCache[_WrittenBlock] = BlockCache()

    def render(self, document: Document) -> Part:
        chunks: list[str] = []
        entities: list[Entity] = []
        position = 0
        for block in document.blocks:
            start = position + len(BLOCK_SEPARATOR) if position else 0
            written = self._cache.get(block)
            if written is None or written.start != start:
                written = _write_block(block, start)
                self._cache.put(block, written)
            if written.end > start:
                chunks += (BLOCK_SEPARATOR, written.text) if position else (written.text,)
                entities += written.entities
                position = written.end
        text = "".join(chunks)
        shown = text.rstrip()
        if len(shown) < len(text):
            entities = _cut_entities(entities, utf16_length(shown))
        return Part(shown, {"entities": tuple(entities)})

    def size(self, part: Part) -> int:
        """UTF-16 units; above `limit` if Telegram would drop entities."""
        return max(utf16_length(part.text), math.ceil(len(part_entities(part)) * self.limit / MAX_ENTITIES))


class Entity(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `MessageEntity` of the Bot API, which costs much less to create and to encode than the library's class."""

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None


def part_entities(part: Part) -> tuple[Entity, ...]:
    entities = part.native.get("entities")
    return entities if isinstance(entities, tuple) else ()


def utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class _Span(NamedTuple):
    """An entity; `end` is 0 while it is open."""

    kind: str
    detail: str
    """The URL of a link, the language of a code block."""
    start: int
    end: int = 0


@dataclass(frozen=True, slots=True)
class _WrittenBlock:
    """What a block shows at a certain position of the message, in UTF-16 units."""

    start: int
    end: int
    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class _WrittenPiece:
    text: str
    length: int
    """In UTF-16 units, like the positions of the spans."""
    spans: tuple[_Span, ...]


def _pieces(block: Block) -> Iterable[Block]:
    """The items of a list, which are on lines of their own, or else the block itself."""
    if not isinstance(block, ListBlock):
        return (block,)
    start = block.start
    return (ListBlock((item,), None if start is None else start + index) for index, item in enumerate(block.items))


@lru_cache(MAX_CACHED_PIECES)
def _write_piece(block: Block, *, is_first: bool) -> _WrittenPiece:
    """What `block` shows. While a list grows, most of its items stay as they are."""
    writer = _EntityWriter(0 if is_first else 1)
    writer.block(block)
    return writer.written()


def _write_block(block: Block, start: int) -> _WrittenBlock:
    chunks: list[str] = []
    entities: list[Entity] = []
    position = start
    for piece in _pieces(block):
        written = _write_piece(piece, is_first=not position)
        if not written.length:
            continue
        if position > start:
            chunks.append("\n")
            position += 1
        chunks.append(written.text)
        entities += [_make_entity(span, position) for span in written.spans]
        position += written.length
    return _WrittenBlock(start, position, "".join(chunks), tuple(entities))


def _make_entity(span: _Span, position: int) -> Entity:
    """`position`: of the piece that contains the span."""
    url = span.detail if span.kind == MessageEntity.TEXT_LINK else None
    language = span.detail or None if span.kind == MessageEntity.PRE else None
    return Entity(span.kind, position + span.start, span.end - span.start, url, language)


def _cut_entities(entities: Iterable[Entity], end: int) -> list[Entity]:
    """The entities of a text that ends at `end`."""
    return [
        msgspec.structs.replace(entity, length=min(entity.length, end - entity.offset))
        for entity in entities
        if entity.offset < end
    ]


def _nesting_key(span: _Span) -> tuple[int, int, bool]:
    """Sorts outer entities before inner ones."""
    return span.start, -span.end, "blockquote" not in span.kind


def _is_code(block: Block) -> bool:
    match block:
        case CodeBlock() | MathBlock(text=None):
            return True
        case Table():
            return is_grid(block)
    return False


class _EntityWriter:
    """Writes one block. `start`: more than 0 if other text precedes it in the message."""

    def __init__(self, start: int) -> None:
        self._text: list[str] = []
        self._start = self._position = start
        self._spans: list[_Span] = []
        self._open_spans: list[_Span] = []
        self._indent = ""
        self._is_in_quote = False
        self._bare_url: _Span | None = None
        """The address before `_position`. Telegram would add the letters of another script that follow it."""

    def written(self) -> _WrittenPiece:
        spans = tuple(
            span._replace(start=span.start - self._start, end=span.end - self._start)
            for span in sorted(self._spans, key=_nesting_key)
        )
        return _WrittenPiece("".join(self._text), self._position - self._start, spans)

    # Text and entities

    def _write(self, text: str) -> None:
        if not self._position:
            text = text.lstrip()
        self._append(MENTION_SIGN.sub(f"@{WORD_JOINER}", text))

    def _append(self, text: str) -> None:
        if not text:
            return
        if self._bare_url and not text[0].isascii() and not text[0].isspace():
            self._spans.append(self._bare_url)
        self._bare_url = None
        self._text.append(text)
        self._position += utf16_length(text)

    def _line_break(self, separator: str = "\n") -> None:
        if self._position:
            self._write(separator + self._indent)

    def _close(self, span: _Span) -> None:
        if self._position > span.start:
            self._spans.append(span._replace(end=self._position))

    @contextmanager
    def _style(self, kind: str, detail: str = "") -> Iterator[None]:
        if any(span.kind == kind for span in self._open_spans):
            yield
            return
        self._open_spans.append(_Span(kind, detail, self._position))
        yield
        self._close(self._open_spans.pop())

    def _write_code(self, text: str, kind: str, language: str = "") -> None:
        """Code cannot be inside another entity: close the open ones before it, reopen them after it."""
        for span in reversed(self._open_spans):
            self._close(span)
        code = _Span(kind, language, self._position)
        self._append(text)
        self._close(code)
        self._open_spans = [span._replace(start=self._position) for span in self._open_spans]

    # Inside a paragraph

    def inline(self, children: Iterable[Inline]) -> None:
        for node in children:
            match node:
                case Text(text) | MathSpan(_, str(text)):
                    self._write(text)
                case LineBreak():
                    self._line_break()
                case CodeSpan(text) | MathSpan(text):
                    self._code_span(text)
                case Link():
                    self._link(node)
                case Reference():
                    self.inline(node.literal())
                case Strong(inner) | Emphasis(inner) | Strikethrough(inner) | Underline(inner) | Spoiler(inner):
                    with self._style(ENTITY_TYPES[type(node)]):
                        self.inline(inner)

    def _code_span(self, text: str) -> None:
        is_code_possible = all(span.kind not in ENTITIES_WITHOUT_CODE for span in self._open_spans)
        if not is_code_possible or not text.strip():
            self._write(text)
        else:
            self._write_code(text.strip(), MessageEntity.CODE)

    def _link(self, link: Link) -> None:
        label = inlines_to_plain_text(link.children)
        if label == link.url or not label.strip():
            self._url(link.url)
        elif CLICKABLE_URL.match(link.url):
            with self._style(MessageEntity.TEXT_LINK, link.url):
                self.inline(link.children)
        else:
            self.inline(link.children)
            self._write(f" ({link.url})")

    def _url(self, url: str) -> None:
        """A URL: Telegram makes it a link by itself. Where that would be the wrong link, it gets an entity."""
        is_in_link = any(span.kind == MessageEntity.TEXT_LINK for span in self._open_spans)
        if is_in_link or not CLICKABLE_URL.match(url):
            self._write(url)
        elif MENTION_SIGN.search(url):
            # In the text of a link, Telegram notifies nobody: the address needs no invisible character.
            with self._style(MessageEntity.TEXT_LINK, url):
                self._append(url)
        else:
            start = self._position
            self._write(url)
            self._bare_url = _Span(MessageEntity.TEXT_LINK, url, start, self._position)

    # Blocks

    def blocks(self, blocks: Iterable[Block], separator: str = "\n") -> None:
        start = self._position
        for block in blocks:
            if self._position > start:
                chunk_count, position = len(self._text), self._position
                self._line_break(separator)
                block_start = self._position
                self.block(block)
                if self._position == block_start:  # an empty block needs no separator
                    del self._text[chunk_count:]
                    self._position = position
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
            case MathBlock(_, str(text)):
                self.inline(plain_paragraph(text).children)
            case MathBlock(tex):
                self._code_block(tex, "tex")
            case Table() if is_grid(block):
                self._code_block(format_grid(block), "")
            case Table():
                self.blocks(table_records(block), "\n\n")
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
        span = _Span(kind, "", self._position)
        self.blocks(quote.children)
        self._close(span)
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
                if _is_code(block):
                    self._indent = ""
                self._line_break()
                self._indent = item_indent
            self.block(block)
        self._indent = outer_indent
