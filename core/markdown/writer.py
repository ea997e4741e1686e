"""Writes a document as Markdown, each construct in the form every renderer understands.

Dialects that send Markdown derive from `MarkdownWriter`. They define how text is escaped and how a
link is written, and override what their platform writes differently.
"""

import re
from collections.abc import Iterable, Mapping

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
    Marked,
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
from core.markdown.plain_text import plain_paragraph
from core.markdown.text_table import format_grid, is_grid, table_records

MARK_CHARS = ("*", "_", "~", "|", "`")
INVISIBLE_SPACE = "\u200b"
BACKTICKS_PATTERN = re.compile("`+")
BLOCK_START_PATTERN = re.compile(r"^([ \t]*+)(?:(\d{1,9})([.)])(?=\s|$)|(>|[#+-](?=[\s#-]|$)))", re.MULTILINE)


class MarkdownWriter:
    max_heading_level = 6
    """Deeper headings become bold text."""
    inline_marks: Mapping[type[Marked], str] = {
        Strong: "**",
        Emphasis: "*",
        Strikethrough: "~~",
        Underline: "*",  # Markdown itself has no mark for it
        Spoiler: "||",
    }

    def __init__(self) -> None:
        self._cache: BlockCache[str] = BlockCache()

    def write_document(self, document: Document) -> str:
        text = ""
        for block in document.blocks:
            lines = self._write_cached(block)
            if lines.strip():
                text += lines + ("\n" if isinstance(block, Heading) else "\n\n")
        return text.strip("\n").rstrip()

    # A dialect implements or overrides these.

    def escape_text(self, text: str) -> str:
        raise NotImplementedError

    def write_link(self, link: Link, marks: frozenset[str]) -> str:
        raise NotImplementedError

    def code_language(self, language: str) -> str:
        return language

    def write_table(self, table: Table) -> str:
        if is_grid(table):
            return self.write_fence(format_grid(table), "")
        return "\n\n".join(map(self.write_block, table_records(table)))

    # Inline content

    def write_line(self, children: Iterable[Inline]) -> str:
        """Inline content, escaped so that no line of it begins a block."""
        return BLOCK_START_PATTERN.sub(_escape_block_start, self.write_inlines(children, frozenset()))

    def write_inlines(self, children: Iterable[Inline], marks: frozenset[str]) -> str:
        pieces: list[str] = []
        last_mark = ""
        for node in children:
            piece = self._write_inline(node, marks)
            has_marks = not isinstance(node, Text)
            if has_marks and last_mark and piece.startswith(last_mark):
                pieces.append(INVISIBLE_SPACE)  # `**a***b*` would mean something else
            pieces.append(piece)
            last_mark = piece[-1:] if has_marks and piece.endswith(MARK_CHARS) else ""
        return "".join(pieces)

    def _write_inline(self, node: Inline, marks: frozenset[str]) -> str:
        written = ""
        match node:
            case Text(text) | MathSpan(_, str(text)):
                written = self.escape_text(text)
            case LineBreak():
                written = "\n"
            case CodeSpan(text) | MathSpan(text):
                written = self.write_code_span(text)
            case Link():
                written = self.write_link(node, marks)
            case Reference():
                written = self.write_inlines(node.literal(), marks)
            case Strong() | Emphasis() | Strikethrough() | Underline() | Spoiler():
                written = self._write_marked(node, marks)
        return written

    def _write_marked(self, node: Marked, marks: frozenset[str]) -> str:
        mark = self.inline_marks[type(node)]
        if mark in marks:
            return self.write_inlines(node.children, marks)
        inner = self.write_inlines(node.children, marks | {mark})
        return f"{mark}{inner}{mark}" if inner.strip() else inner

    def write_code_span(self, text: str) -> str:
        text = text.replace("\n", " ")
        longest_run = _longest_backtick_run(text)
        if longest_run > 1 or not text.strip():
            # Delimiters of three backticks would begin a fence.
            return self.escape_text(text)
        if longest_run:
            return f"`` {text} ``"
        return f"`{text}`"

    # Blocks

    def _write_cached(self, block: Block) -> str:
        written = self._cache.get(block)
        if written is None:
            written = self.write_block(block)
            self._cache.put(block, written)
        return written

    def write_block(self, block: Block) -> str:
        text = ""
        match block:
            case Paragraph(children):
                text = self.write_line(children)
            case Heading(level, children):
                text = self._write_heading(level, children)
            case CodeBlock(code, language):
                text = self.write_fence(code, language)
            case MathBlock(_, str(lines)):
                text = self.write_line(plain_paragraph(lines).children)
            case MathBlock(tex):
                text = self.write_fence(tex, "tex")
            case ThematicBreak():
                text = "———"
            case Quote(children):
                inner = self._write_blocks(children)
                text = "\n".join(f"> {line}" for line in inner.split("\n")) if inner else ""
            case ListBlock(items, start):
                item_texts = (self._write_item(item, start, index) for index, item in enumerate(items))
                text = "\n".join(filter(None, item_texts))
            case Table():
                text = self.write_table(block)
        return text

    def _write_heading(self, level: int, children: tuple[Inline, ...]) -> str:
        if level > self.max_heading_level:
            return self.write_line((Strong(children),))
        inner = self.write_inlines(children, frozenset()).replace("\n", " ")
        return f"{'#' * level} {inner}" if inner.strip() else ""

    def _write_blocks(self, blocks: Iterable[Block]) -> str:
        return "\n".join(filter(None, map(self.write_block, blocks)))

    def write_fence(self, text: str, language: str) -> str:
        text = text.strip("\n").rstrip()
        if not text:
            return ""
        fence = "`" * max(3, _longest_backtick_run(text) + 1)
        return f"{fence}{self.code_language(language)}\n{text}\n{fence}"

    def _write_item(self, item: ListItem, start: int | None, index: int) -> str:
        marker = "- " if start is None else f"{start + index}. "
        indent = " " * len(marker)
        checkbox = "" if item.checked is None else "☑ " if item.checked else "☐ "
        head = "" if item.is_continuation else marker + checkbox
        lines = []
        for block in item.children:
            text = self._write_cached(block)
            if _has_fence(text):
                # Not indented: platforms would show the indentation as part of the code.
                lines += [head.rstrip(), text] if head else [text]
                head = ""
            elif text:
                lines.append((head or indent) + text.replace("\n", "\n" + indent))
                head = ""
        return "\n".join([*lines, head.rstrip()] if head else lines)


def _longest_backtick_run(text: str) -> int:
    return max(map(len, BACKTICKS_PATTERN.findall(text)), default=0)


def _has_fence(lines: str) -> bool:
    return any(line.lstrip().startswith("```") for line in lines.split("\n"))


def _escape_block_start(match: re.Match[str]) -> str:
    indent, number, delimiter, mark = match.groups()
    return f"{indent}{number}\\{delimiter}" if number else f"{indent}\\{mark}"
