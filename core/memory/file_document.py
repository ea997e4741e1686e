"""The content of a file: sections of text, each with the place that citations name."""

from enum import StrEnum

import msgspec

from core.errors import DocumentError, DocumentFailure

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_PAGES = 1_000
MAX_TEXT_CHARS = 2_000_000


class FileKind(StrEnum):
    PDF = "pdf"
    TEXT = "text"
    MARKDOWN = "markdown"
    CODE = "code"
    CSV = "csv"
    WORD = "docx"
    EXCEL = "xlsx"
    POWERPOINT = "pptx"
    EPUB = "epub"
    HTML = "html"


class LineUnit(StrEnum):
    """The name of a section's lines in citations."""

    LINE = "line"
    ROW = "row"


class Section(msgspec.Struct, frozen=True):
    text: str
    label: str = ""
    """The place that citations name: "page 3", a heading. If empty, they name lines."""
    unit: LineUnit = LineUnit.LINE
    first_line: int = 1
    """The number of the first line in the file."""
    header: str = ""
    """The first row of a table, repeated in every chunk."""
    has_heading_label: bool = False
    """Whether the label consists of headings, which name the subject of the text."""


class FileDocument(msgspec.Struct, frozen=True):
    kind: FileKind
    sections: tuple[Section, ...]
    page_count: int = 0
    """0 for a file without pages."""
    blank_page_count: int = 0
    """Pages without text, such as scanned ones."""


class Chunk(msgspec.Struct, frozen=True):
    """A part of a document that the embedding model accepts."""

    label: str
    """How a citation names the chunk: "page 3", "lines 10-40"."""
    text: str
    heading: str = ""
    """The headings above the text, embedded with it because they name its subject."""
    tokens: float = 0.0
    """Estimated, of what is embedded."""

    @property
    def embedding_text(self) -> str:
        return f"{self.heading}\n{self.text}" if self.heading else self.text


class ChunkedFile(msgspec.Struct, frozen=True):
    """A document as it is stored."""

    kind: FileKind
    chunks: list[Chunk]
    page_count: int = 0
    """0 for a file without pages."""
    blank_page_count: int = 0


def check_file_size(byte_count: int) -> None:
    """Raise `DocumentError` for a file that is too large."""
    if byte_count > MAX_FILE_BYTES:
        raise DocumentError(f"The file has {byte_count:,} bytes", DocumentFailure.TOO_LARGE)


def remove_unstorable_chars(text: str) -> str:
    """Remove what databases reject: NUL characters and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
