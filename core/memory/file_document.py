"""A file that was read: its text in sections, each with the place it can be cited by."""

from enum import StrEnum

import msgspec

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PAGES",
    "MAX_TEXT_CHARS",
    "FileDocument",
    "FileKind",
    "Section",
    "remove_unstorable_chars",
]

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_PAGES = 1_000
MAX_TEXT_CHARS = 2_000_000


class FileKind(StrEnum):
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
    first_line: int = 1
    header: str = ""
    """Repeated above every piece: a table's first row."""
    has_heading_label: bool = False
    """Whether the label is headings, which tell what the text is about."""


class FileDocument(msgspec.Struct, frozen=True):
    kind: FileKind
    sections: tuple[Section, ...]
    page_count: int = 0
    blank_page_count: int = 0
    """Pages without text: pictures, perhaps."""


def remove_unstorable_chars(text: str) -> str:
    """`text` without what no database keeps: zeros, and halves of characters."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
