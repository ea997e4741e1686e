"""What an answer is made of: one tree, rendered by every platform in its own way.

Built by `core.markdown.parser.parse` from a model's Markdown, or by hand for what the bot itself
says. HTML is not known: it stays literal text, so nothing a model writes can act or vanish.
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Block",
    "CodeBlock",
    "CodeSpan",
    "Document",
    "Emphasis",
    "Heading",
    "Inline",
    "LineBreak",
    "Link",
    "ListBlock",
    "ListItem",
    "MathBlock",
    "MathSpan",
    "Paragraph",
    "Quote",
    "Strikethrough",
    "Strong",
    "Table",
    "Text",
    "ThematicBreak",
]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class LineBreak:
    """A line that ends inside a paragraph, soft or hard."""


@dataclass(frozen=True, slots=True)
class CodeSpan:
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
class Strikethrough:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or an image (its alternative text and address); `url` is as the model wrote it."""

    url: str
    children: "tuple[Inline, ...]"


Inline: TypeAlias = Text | LineBreak | CodeSpan | MathSpan | Strong | Emphasis | Strikethrough | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]
    is_continuation: bool = False
    """The rest of a paragraph whose beginning stands in the part before."""


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class MathBlock:
    """A displayed formula in TeX."""

    tex: str


@dataclass(frozen=True, slots=True)
class ThematicBreak:
    pass


@dataclass(frozen=True, slots=True)
class Quote:
    children: "tuple[Block, ...]"
    is_collapsed: bool = False
    """May be shown folded, where the platform can."""


@dataclass(frozen=True, slots=True)
class ListItem:
    children: "tuple[Block, ...]"
    checked: bool | None = None
    """A task's box; None: not a task."""
    is_continuation: bool = False
    """The rest of an item whose beginning (and marker) stands in the part before."""


@dataclass(frozen=True, slots=True)
class ListBlock:
    items: tuple[ListItem, ...]
    start: int | None = None
    """The first number; None: bullets."""


@dataclass(frozen=True, slots=True)
class Table:
    """`rows[0]` is the header where `header` says so; every row has `len(aligns)` cells."""

    rows: tuple[tuple[tuple[Inline, ...], ...], ...]
    alignments: tuple[str, ...]
    """ "left", "right" or "center" for each column."""
    has_header: bool = True


Block: TypeAlias = Paragraph | Heading | CodeBlock | MathBlock | ThematicBreak | Quote | ListBlock | Table


@dataclass(frozen=True, slots=True)
class Document:
    blocks: tuple[Block, ...] = ()
