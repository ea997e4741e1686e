"""Renders documents as Discord's Markdown, and escapes everything that Discord would interpret.

Discord turns `<...>` into mentions, emoji and timestamps, and `:...:` into emoji. It has no tables,
maths or task lists. Lengths are in code points.
"""

import re
from collections.abc import Mapping

from core.markdown.document import Document, Link, Marked, Underline
from core.markdown.plain_text import inlines_to_plain_text
from core.markdown.urls import find_urls
from core.markdown.writer import MarkdownWriter
from core.port import Part

MAX_MESSAGE_CHARS = 2000
LENGTH_MARGIN_CHARS = 10  # Discord and Python may count differently
ESCAPED_CHARS = re.compile(r"[\\*_~`|<\[\]]|:(?=[\w+-]+:)|@(?=everyone|here)")
INNER_FENCE_PATTERN = re.compile(r"`(?=``)")
"""Whatever began the block, Discord ends it at the next three backticks; an invisible space separates them."""
CLICKABLE_URL = re.compile(r"https?://[^\s<>]+\Z")
LANGUAGE_PATTERN = re.compile(r"[\w+\-.#]+\Z", re.ASCII)


class DiscordDialect(MarkdownWriter):
    max_heading_level = 3
    inline_marks: Mapping[type[Marked], str] = {**MarkdownWriter.inline_marks, Underline: "__"}

    def __init__(self, limit: int = MAX_MESSAGE_CHARS) -> None:
        super().__init__()
        self.limit = limit - LENGTH_MARGIN_CHARS

    def render(self, document: Document) -> Part:
        return Part(self.write_document(document))

    def size(self, part: Part) -> int:
        return len(part.text)

    def escape_text(self, text: str) -> str:
        escaped, position = "", 0
        for start, end in find_urls(text):
            if CLICKABLE_URL.match(text, start, end):
                # A backslash would become part of the URL; the angle brackets suppress its preview.
                escaped += self.escape_words(text[position:start]) + f"<{text[start:end]}>"
                position = end
        return escaped + self.escape_words(text[position:])

    def escape_words(self, text: str) -> str:
        """Escape text without addresses."""
        return ESCAPED_CHARS.sub(lambda match: "\\" + match[0], text)

    def write_link(self, link: Link, marks: frozenset[str]) -> str:
        label = inlines_to_plain_text(link.children)
        inner = self.write_inlines(link.children, marks)
        if not CLICKABLE_URL.match(link.url):
            return inner if label == link.url else f"{inner} ({self.escape_words(link.url)})"
        if label.strip() in ("", link.url):
            return f"<{link.url}>"
        if "://" in label or "\n" in label:
            return f"{inner} (<{link.url}>)"
        return f"[{inner}](<{link.url}>)"

    def write_fence(self, text: str, language: str) -> str:
        return super().write_fence(INNER_FENCE_PATTERN.sub("`\u200b", text), language)

    def code_language(self, language: str) -> str:
        return language if LANGUAGE_PATTERN.match(language) else ""
