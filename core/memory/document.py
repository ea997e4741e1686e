"""A file that was read: its text in sections, each with the place it can be cited by."""

from enum import StrEnum

import msgspec

__all__ = ["MOST_BYTES", "MOST_CHARACTERS", "MOST_PAGES", "Document", "Kind", "Section", "clean"]

MOST_BYTES = 20 * 1024 * 1024
MOST_PAGES = 1_000
MOST_CHARACTERS = 2_000_000


class Kind(StrEnum):
    PDF = "pdf"
    TEXT = "text"
    MARKDOWN = "markdown"
    CODE = "code"
    CSV = "csv"


class Section(msgspec.Struct, frozen=True):
    """`label` names the place ("page 3", a heading). Where it is empty, pieces of the section are
    named by their lines, which are counted from `first`; `unit` is what people call them.
    """

    text: str
    label: str = ""
    unit: str = "lines"
    first: int = 1
    header: str = ""
    """Repeated above every piece: a table's first row."""
    headed: bool = False
    """Whether the label is headings, which tell what the text is about."""


class Document(msgspec.Struct, frozen=True):
    kind: Kind
    sections: tuple[Section, ...]
    pages: int = 0
    blank: int = 0
    """Pages without text: pictures, perhaps."""


def clean(text: str) -> str:
    """`text` without what no database keeps: zeros, and halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
