"""Renders documents as Markdown, which `rich` displays. A message has no limit."""

import re

from core.markdown.document import Document, Link
from core.markdown.plain_text import inlines_to_plain_text
from core.markdown.writer import MarkdownWriter
from core.port import Part

ESCAPED_CHARS = re.compile(r"[\\*_~`|<\[\]&$]")


class TerminalDialect(MarkdownWriter):
    limit = 10_000_000

    def render(self, document: Document) -> Part:
        return Part(self.write_document(document))

    def size(self, part: Part) -> int:
        return len(part.text)

    def escape_text(self, text: str) -> str:
        return ESCAPED_CHARS.sub(lambda match: "\\" + match[0], text)

    def write_link(self, link: Link, marks: frozenset[str]) -> str:
        label = inlines_to_plain_text(link.children)
        inner = self.write_inlines(link.children, marks)
        return inner if label == link.url else f"{inner} ({self.escape_text(link.url)})"
