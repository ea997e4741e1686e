"""Documents for a terminal: Markdown again, which `rich` renders there. Nothing has to be split."""

import re

from core.markdown.document import Document, Link
from core.markdown.plain import plain_inline
from core.markdown.writer import MarkdownWriter
from core.port import Part

__all__ = ["TerminalDialect"]

MARKED = re.compile(r"[\\*_~`|<\[\]&$]")


class TerminalDialect(MarkdownWriter):
    limit = 10_000_000

    def render(self, document: Document) -> Part:
        return Part(self.document(document))

    def size(self, part: Part) -> int:
        return len(part.text)

    def text(self, text: str) -> str:
        return MARKED.sub(lambda found: "\\" + found[0], text)

    def link(self, link: Link, marks: frozenset[str]) -> str:
        shown = plain_inline(link.children)
        inner = self.inline(link.children, marks)
        return inner if shown == link.url else f"{inner} ({self.text(link.url)})"
