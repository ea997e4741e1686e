"""A long text as folded quotes, as it is: no markup in it means anything."""

from collections.abc import Iterator

from core.markdown.document import Document, Inline, LineBreak, Paragraph, Quote, Text
from core.markdown.parse import clean
from core.port import Dialect, Part

__all__ = ["folded"]

FILLED = 0.8  # of a message, to begin with: marks of a quote take room as well


def folded(dialect: Dialect, text: str) -> list[Part]:
    return list(_fitting(dialect, clean(text).strip(), max(1, int(dialect.limit * FILLED))))


def _fitting(dialect: Dialect, text: str, size: int) -> Iterator[Part]:
    while text:
        piece = text[:size]
        if len(text) > size:
            end = max(piece.rfind("\n"), piece.rfind(" "))
            piece = piece[: end + 1] if end > size // 2 else piece
        part = dialect.render(Document((Quote((_paragraph(piece.strip()),), collapsed=True),)))
        if dialect.size(part) > dialect.limit and len(piece) > 1:
            size = len(piece) // 2
            continue
        text = text[len(piece) :].lstrip()  # a message of blanks alone is none
        yield part


def _paragraph(text: str) -> Paragraph:
    children: list[Inline] = []
    for line in text.split("\n"):
        children += [LineBreak(), Text(line)] if children else [Text(line)]
    return Paragraph(tuple(children))
