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
    Code,
    Document,
    Emphasis,
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
    Strike,
    Strong,
    Table,
    Text,
)
from core.markdown.grid import grid
from core.markdown.plain import plain_inline
from core.port import Part

__all__ = ["TelegramDialect"]

MOST_ENTITIES = 100
FOLLOWED = re.compile(r"(?:https?://|mailto:)[^\s<>]+\Z", re.IGNORECASE)
STYLES = {
    Strong: MessageEntity.BOLD,
    Emphasis: MessageEntity.ITALIC,
    Strike: MessageEntity.STRIKETHROUGH,
}


class TelegramDialect:
    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit

    def render(self, document: Document) -> Part:
        writer = _Writer()
        writer.blocks(document.blocks, "\n\n")
        return writer.part()

    def size(self, part: Part) -> int:
        """UTF-16 units, or more when there are so many entities that Telegram would drop some."""
        entities = part.native.get("entities")
        count = len(entities) if isinstance(entities, tuple) else 0
        return max(units(part.text), math.ceil(count * self.limit / MOST_ENTITIES))


def units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _outermost_first(entity: tuple[int, int, int, str, str]) -> tuple[int, int, bool, int]:
    start, stop, order, kind, _ = entity
    return start, -stop, "blockquote" not in kind, order


class _Writer:
    def __init__(self) -> None:
        self._text: list[str] = []
        self._at = 0
        self._entities: list[tuple[int, int, int, str, str]] = []
        self._open: list[tuple[str, str, int]] = []
        self._indent = ""
        self._quoted = False

    def part(self) -> Part:
        text = "".join(self._text).rstrip()
        end = units(text)
        entities = []
        for start, stop, _, kind, detail in sorted(self._entities, key=_outermost_first):
            length = min(stop, end) - start
            if length > 0:
                url = detail if kind == MessageEntity.TEXT_LINK else None
                language = detail or None if kind == MessageEntity.PRE else None
                entities.append(MessageEntity(kind, start, length, url=url, language=language))
        return Part(text, {"entities": tuple(entities)})

    # Text and entities

    def _write(self, text: str) -> None:
        if not self._at:
            text = text.lstrip()
        if text:
            self._text.append(text)
            self._at += units(text)

    def _break(self, between: str = "\n") -> None:
        if self._at:
            self._write(between + self._indent)

    def _mark(self, kind: str, start: int, detail: str = "") -> None:
        if self._at > start:
            self._entities.append((start, self._at, len(self._entities), kind, detail))

    @contextmanager
    def _style(self, kind: str, detail: str = "") -> Iterator[None]:
        if any(open_[0] == kind for open_ in self._open):
            yield
            return
        self._open.append((kind, detail, self._at))
        yield
        kind, detail, start = self._open.pop()
        self._mark(kind, start, detail)

    def _literal(self, text: str, kind: str, language: str = "") -> None:
        """Code, which may not stand inside another entity: those open are parted around it."""
        for style, detail, start in reversed(self._open):
            self._mark(style, start, detail)
        start = self._at
        self._text.append(text)
        self._at += units(text)
        self._mark(kind, start, language)
        self._open = [(style, detail, self._at) for style, detail, _ in self._open]

    # Inside a paragraph

    def inline(self, children: Iterable[Inline]) -> None:
        for node in children:
            match node:
                case Text(text):
                    self._write(text)
                case LineBreak():
                    self._break()
                case Span(text) | MathSpan(text):
                    self._span(text)
                case Link():
                    self._link(node)
                case Strong(inner) | Emphasis(inner) | Strike(inner):
                    with self._style(STYLES[type(node)]):
                        self.inline(inner)

    def _span(self, text: str) -> None:
        linked = any(kind == MessageEntity.TEXT_LINK for kind, _, _ in self._open)
        if linked or not text.strip():
            self._write(text)
        else:
            self._literal(text.strip(), MessageEntity.CODE)

    def _link(self, link: Link) -> None:
        shown = plain_inline(link.children)
        if shown == link.url or not shown.strip():
            self._write(link.url)
        elif FOLLOWED.match(link.url):
            with self._style(MessageEntity.TEXT_LINK, link.url):
                self.inline(link.children)
        else:
            self.inline(link.children)
            self._write(f" ({link.url})")

    # Blocks

    def blocks(self, blocks: Iterable[Block], between: str = "\n") -> None:
        begun = self._at
        for block in blocks:
            if self._at > begun:
                before = len(self._text), self._at
                self._break(between)
                after = self._at
                self.block(block)
                if self._at == after:
                    del self._text[before[0] :]
                    self._at = before[1]
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
            case Code(text, language):
                self._pre(text, language)
            case Math(tex):
                self._pre(tex, "tex")
            case Table():
                self._pre(grid(block), "")
            case Rule():
                self._write("———")
            case Quote():
                self._quote(block)
            case ListBlock(items, start):
                self._list(items, start)

    def _pre(self, text: str, language: str) -> None:
        text = text.strip("\n").rstrip()
        if text:
            self._literal(text, MessageEntity.PRE, language)

    def _quote(self, quote: Quote) -> None:
        if self._quoted:
            self._write("> ")
            self.blocks(quote.children)
            return
        kind = MessageEntity.EXPANDABLE_BLOCKQUOTE if quote.collapsed else MessageEntity.BLOCKQUOTE
        self._quoted = True
        start = self._at
        self.blocks(quote.children)
        self._mark(kind, start)
        self._quoted = False

    def _list(self, items: Iterable[Item], start: int | None) -> None:
        begun = self._at
        for at, item in enumerate(items):
            if self._at > begun:
                self._break()
            if not item.continued:
                box = "" if item.checked is None else "☑ " if item.checked else "☐ "
                self._write(("• " if start is None else f"{start + at}. ") + box)
            self._item(item.children)

    def _item(self, children: tuple[Block, ...]) -> None:
        outer = self._indent
        self._indent = outer + "   "
        for at, block in enumerate(children):
            if at or isinstance(block, ListBlock | Code | Math | Table):
                before = self._indent
                if isinstance(block, Code | Math | Table):
                    self._indent = ""
                self._break()
                self._indent = before
            self.block(block)
        self._indent = outer
