"""Renders a long plain text as collapsed quotes. Nothing in the text counts as markup."""

from collections.abc import Iterator

from core.markdown.document import Document, Quote
from core.markdown.parser import normalise_text
from core.markdown.plain_text import plain_paragraph
from core.port import Dialect, Part

INITIAL_FILL_RATIO = 0.8
"""The share of a message's limit that text may use; the rest is for the markup of quotes."""


def render_collapsed(dialect: Dialect, text: str) -> list[Part]:
    return list(_split_to_fit(dialect, normalise_text(text).strip(), max(1, int(dialect.limit * INITIAL_FILL_RATIO))))


def _split_to_fit(dialect: Dialect, text: str, max_chars: int) -> Iterator[Part]:
    """Cut at line ends or spaces; halve `max_chars` while a part is too large."""
    while text:
        piece = text[:max_chars]
        if len(text) > max_chars:
            end = max(piece.rfind("\n"), piece.rfind(" "))
            piece = piece[: end + 1] if end > max_chars // 2 else piece
        part = dialect.render(Document((Quote((plain_paragraph(piece.strip()),), is_collapsed=True),)))
        if dialect.size(part) > dialect.limit and len(piece) > 1:
            max_chars = len(piece) // 2
            continue
        text = text[len(piece) :].lstrip()  # platforms reject messages of only white space
        yield part
