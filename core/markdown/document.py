"""The document tree: every message Parley sends, independent of the platform.

`core.markdown.parser` builds it from a model's Markdown; the bot's own messages are built by hand.
Each platform's dialect renders it. There is no node for HTML: a few tags mean what Markdown's marks
mean, and everything else stays literal text, so that nothing can have an effect or disappear.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class LineBreak:
    """A soft or hard line break inside a paragraph."""


@dataclass(frozen=True, slots=True)
class CodeSpan:
    text: str


@dataclass(frozen=True, slots=True)
class MathSpan:
    tex: str
    text: str | None = None
    """The formula as Unicode text; None if it must stay TeX."""


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
class Underline:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Spoiler:
    """Text that people uncover by tapping it."""

    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or an image (its alternative text and address). `url` is exactly what the model wrote."""

    url: str
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Reference:
    """`[text][label]`, as long as no definition of the label is known. `[text][]` has no label but its text."""

    children: "tuple[Inline, ...]"
    label: str

    def literal(self) -> "tuple[Inline, ...]":
        return (Text("["), *self.children, Text(f"][{self.label}]"))


Marked: TypeAlias = Strong | Emphasis | Strikethrough | Underline | Spoiler
Inline: TypeAlias = Text | LineBreak | CodeSpan | MathSpan | Marked | Link | Reference


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: tuple[Inline, ...]
    is_continuation: bool = False
    """Whether the paragraph begins in the previous message."""


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
    """A displayed formula."""

    tex: str
    text: str | None = None
    """The formula as lines of Unicode text; None if it must stay TeX."""


@dataclass(frozen=True, slots=True)
class ThematicBreak:
    pass


@dataclass(frozen=True, slots=True)
class Quote:
    children: "tuple[Block, ...]"
    is_collapsed: bool = False
    """Whether platforms that can collapse quotes show this one collapsed."""


@dataclass(frozen=True, slots=True)
class ListItem:
    children: "tuple[Block, ...]"
    checked: bool | None = None
    """The state of a task's checkbox; None if the item is not a task."""
    is_continuation: bool = False
    """Whether the item, with its marker, begins in the previous message."""


@dataclass(frozen=True, slots=True)
class ListBlock:
    items: tuple[ListItem, ...]
    start: int | None = None
    """The first item's number; None for a bullet list."""


class Alignment(StrEnum):
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """`rows[0]` is the header. Every row has one cell for each of `alignments`."""

    rows: tuple[tuple[tuple[Inline, ...], ...], ...]
    alignments: tuple[Alignment, ...]
    is_continuation: bool = False
    """Whether the table begins in the previous message, which shows its header."""


Block: TypeAlias = Paragraph | Heading | CodeBlock | MathBlock | ThematicBreak | Quote | ListBlock | Table


@dataclass(frozen=True, slots=True)
class Document:
    blocks: tuple[Block, ...] = ()
