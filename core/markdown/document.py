"""What an answer is made of: one tree, rendered by every platform in its own way.

Built by `core.markdown.parse.parse` from a model's Markdown, or by hand for what the bot itself
says. HTML is not known: it stays literal text, so nothing a model writes can act or vanish.
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Block",
    "Code",
    "Document",
    "Emphasis",
    "Heading",
    "Inline",
    "Item",
    "LineBreak",
    "Link",
    "ListBlock",
    "Math",
    "MathSpan",
    "Paragraph",
    "Quote",
    "Rule",
    "Span",
    "Strike",
    "Strong",
    "Table",
    "Text",
]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class LineBreak:
    """A line that ends inside a paragraph, soft or hard."""


@dataclass(frozen=True, slots=True)
class Span:
    """Inline code."""

    text: str


@dataclass(frozen=True, slots=True)
class MathSpan:
    tex: str


@dataclass(frozen=True, slots=True)
class Strong:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Emphasis:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Strike:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or an image (its alternative text and address); `url` is as the model wrote it."""

    url: str
    children: "tuple[Inline, ...]"


Inline: TypeAlias = Text | LineBreak | Span | MathSpan | Strong | Emphasis | Strike | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]
    continued: bool = False
    """The rest of a paragraph whose beginning stands in the part before."""


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Math:
    """A displayed formula in TeX."""

    tex: str


@dataclass(frozen=True, slots=True)
class Rule:
    pass


@dataclass(frozen=True, slots=True)
class Quote:
    children: "tuple[Block, ...]"
    collapsed: bool = False
    """May be shown folded, where the platform can."""


@dataclass(frozen=True, slots=True)
class Item:
    children: "tuple[Block, ...]"
    checked: bool | None = None
    """A task's box; None: not a task."""
    continued: bool = False
    """The rest of an item whose beginning (and marker) stands in the part before."""


@dataclass(frozen=True, slots=True)
class ListBlock:
    items: tuple[Item, ...]
    start: int | None = None
    """The first number; None: bullets."""


@dataclass(frozen=True, slots=True)
class Table:
    """`rows[0]` is the header where `header` says so; every row has `len(aligns)` cells."""

    rows: tuple[tuple[tuple[Inline, ...], ...], ...]
    aligns: tuple[str, ...]
    """ "left", "right" or "center" for each column."""
    header: bool = True


Block: TypeAlias = Paragraph | Heading | Code | Math | Rule | Quote | ListBlock | Table


@dataclass(frozen=True, slots=True)
class Document:
    blocks: tuple[Block, ...] = ()
