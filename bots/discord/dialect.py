"""Documents in Discord's Markdown, with everything a model could make act kept as plain text.

Discord reads mentions, emoji and timestamps out of `<...>`, shortcodes out of `:...:`, and has no
tables, maths or tasks. Lengths are code points.
"""

import re

from core.markdown.document import Document, Link
from core.markdown.plain import plain_inline
from core.markdown.writer import MarkdownWriter
from core.port import Part

__all__ = ["DiscordDialect"]

SPARE = 10  # Discord and Python do not always count alike
ADDRESS = re.compile(r"https?://[^\s<>\\]*[^\s<>\\.,;:!?\"'()\[\]{}*_~`|]")
MARKED = re.compile(r"[\\*_~`|<\[\]]|:(?=[\w+-]+:)|@(?=everyone|here)")
FOLLOWED = re.compile(r"https?://[^\s<>]+\Z")
LANGUAGE = re.compile(r"[\w+\-.#]+\Z", re.ASCII)


class DiscordDialect(MarkdownWriter):
    deepest_heading = 3

    def __init__(self, limit: int = 2000) -> None:
        self.limit = limit - SPARE

    def render(self, document: Document) -> Part:
        return Part(self.document(document))

    def size(self, part: Part) -> int:
        return len(part.text)

    def text(self, text: str) -> str:
        written, end = "", 0
        for address in ADDRESS.finditer(text):
            # A backslash would become part of an address; the brackets keep it from being shown.
            written += _escaped(text[end : address.start()]) + f"<{address[0]}>"
            end = address.end()
        return written + _escaped(text[end:])

    def link(self, link: Link, marks: frozenset[str]) -> str:
        shown = plain_inline(link.children)
        inner = self.inline(link.children, marks)
        if not FOLLOWED.match(link.url):
            return inner if shown == link.url else f"{inner} ({_escaped(link.url)})"
        if shown.strip() in ("", link.url):
            return f"<{link.url}>"
        if "://" in shown or "\n" in shown:
            return f"{inner} (<{link.url}>)"
        return f"[{inner}](<{link.url}>)"

    def language(self, language: str) -> str:
        return language if LANGUAGE.match(language) else ""


def _escaped(text: str) -> str:
    return MARKED.sub(lambda found: "\\" + found[0], text)
