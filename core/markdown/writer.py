"""A document written as Markdown again, each construct in the one form its reader is sure to know.

Dialects that send Markdown derive from `MarkdownWriter` and say how text is kept literal.
"""

import re
from collections.abc import Iterable

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

__all__ = ["MarkdownWriter"]

TICKS = re.compile("`+")
LINE_START = re.compile(r"^([ \t]*)(?:(\d{1,9})([.)])(?=\s|$)|(>|[#+-](?=[\s#-]|$)))", re.MULTILINE)
MARKS = {Strong: "**", Emphasis: "*", Strike: "~~"}


class MarkdownWriter:
    deepest_heading = 6
    """Deeper headings become bold text."""

    def document(self, document: Document) -> str:
        written = [(block, self.block(block)) for block in document.blocks]
        text = ""
        for block, lines in written:
            if lines.strip():
                text += lines + ("\n" if isinstance(block, Heading) else "\n\n")
        return text.strip("\n").rstrip()

    # What a dialect says for itself

    def text(self, text: str) -> str:
        raise NotImplementedError

    def link(self, link: Link, marks: frozenset[str]) -> str:
        raise NotImplementedError

    def language(self, language: str) -> str:
        return language

    def table(self, table: Table) -> str:
        return self.fence(grid(table), "")

    # Inside a paragraph

    def line(self, children: Iterable[Inline], marks: frozenset[str] = frozenset()) -> str:
        """Inline content in which nothing at the start of a line reads as a block."""
        return LINE_START.sub(_literal, self.inline(children, marks))

    def inline(self, children: Iterable[Inline], marks: frozenset[str]) -> str:
        return "".join(self._inline(node, marks) for node in children)

    def _inline(self, node: Inline, marks: frozenset[str]) -> str:
        match node:
            case Text(text):
                return self.text(text)
            case LineBreak():
                return "\n"
            case Span(text) | MathSpan(text):
                return self.span(text)
            case Link():
                return self.link(node, marks)
        mark = MARKS[type(node)]
        if mark in marks:
            return self.inline(node.children, marks)
        inner = self.inline(node.children, marks | {mark})
        return f"{mark}{inner}{mark}" if inner.strip() else inner

    def span(self, text: str) -> str:
        text = text.replace("\n", " ")
        longest = max((len(run) for run in TICKS.findall(text)), default=0)
        if longest > 1 or not text.strip():
            # Three ticks would begin a fence.
            return self.text(text)
        if longest:
            return f"`` {text} ``"
        return f"`{text}`"

    # Blocks

    def block(self, block: Block) -> str:
        written = ""
        match block:
            case Paragraph(children):
                written = self.line(children)
            case Heading(level, children):
                written = self._heading(level, children)
            case Code(text, language):
                written = self.fence(text, language)
            case Math(tex):
                written = self.fence(tex, "tex")
            case Rule():
                written = "———"
            case Quote(children):
                inner = self._joined(children)
                written = "\n".join(f"> {line}" for line in inner.split("\n")) if inner else ""
            case ListBlock(items, start):
                lines = (self._item(item, start, at) for at, item in enumerate(items))
                written = "\n".join(filter(None, lines))
            case Table():
                written = self.table(block)
        return written

    def _heading(self, level: int, children: tuple[Inline, ...]) -> str:
        if level > self.deepest_heading:
            return self.line((Strong(children),))
        inner = self.inline(children, frozenset()).replace("\n", " ")
        return f"{'#' * level} {inner}" if inner.strip() else ""

    def _joined(self, blocks: Iterable[Block]) -> str:
        return "\n".join(filter(None, map(self.block, blocks)))

    def fence(self, text: str, language: str) -> str:
        text = text.strip("\n").rstrip()
        if not text:
            return ""
        longest = max((len(run) for run in TICKS.findall(text)), default=0)
        ticks = "`" * max(3, longest + 1)
        return f"{ticks}{self.language(language)}\n{text}\n{ticks}"

    def _item(self, item: Item, start: int | None, at: int) -> str:
        marker = "- " if start is None else f"{start + at}. "
        indent = " " * len(marker)
        box = "" if item.checked is None else "☑ " if item.checked else "☐ "
        head = "" if item.continued else marker + box
        lines = []
        for block in item.children:
            text = self.block(block)
            if _has_fence(text):
                # Indented, code would be shown with the indentation.
                lines += [head.rstrip(), text] if head else [text]
                head = ""
            elif text:
                lines.append((head or indent) + text.replace("\n", "\n" + indent))
                head = ""
        return "\n".join([*lines, head.rstrip()] if head else lines)


def _has_fence(lines: str) -> bool:
    return any(line.lstrip().startswith("```") for line in lines.split("\n"))


def _literal(found: re.Match[str]) -> str:
    indent, number, dot, mark = found.groups()
    return f"{indent}{number}\\{dot}" if number else f"{indent}\\{mark}"
