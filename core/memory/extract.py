"""From a file's bytes to its text, by what is in it.

Run as a program this reads one file from its input and writes what it found to its output, a
line of JSON at a time: so a file that was made to hang or to swell takes only this process along.
"""

import contextlib
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import TypeAlias

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory import pdf, text_file
from core.memory.file_document import MAX_FILE_BYTES, MAX_TEXT_CHARS, FileDocument

__all__ = ["ReadFailed", "ReadFinished", "ReadProgress", "WorkerMessage", "extract", "main"]

UNSUPPORTED_SIGNATURES = (b"{\\rtf", b"%!PS")
"""Kinds of characters all the same, which nobody wants to be shown."""
MAX_MEMORY_BYTES = 1 << 30  # bytes


class ReadProgress(msgspec.Struct, frozen=True, tag=True):
    """So many pages of so many."""

    pages_read: int
    page_count: int


class ReadFailed(msgspec.Struct, frozen=True, tag=True):
    failure: DocumentFailure
    message: str


class ReadFinished(msgspec.Struct, frozen=True, tag=True):
    document: FileDocument


WorkerMessage: TypeAlias = ReadProgress | ReadFailed | ReadFinished


def extract(name: str, content: bytes, progress: Callable[[int, int], None]) -> FileDocument:
    """Raises `DocumentError`."""
    if len(content) > MAX_FILE_BYTES:
        raise DocumentError(f"It has {len(content):,} bytes", DocumentFailure.TOO_LARGE)
    if not content.strip():
        raise DocumentError("It is empty", DocumentFailure.NO_TEXT)
    if b"%PDF-" in content[:1024]:
        return pdf.read(content, progress)
    if content.startswith(UNSUPPORTED_SIGNATURES) or PurePath(name).suffix.lower() == ".pdf":
        raise DocumentError("It is not what its name says", DocumentFailure.UNKNOWN)
    document = text_file.read(name, content)
    if sum(len(section.text) for section in document.sections) > MAX_TEXT_CHARS:
        raise DocumentError("It has too much text", DocumentFailure.TOO_LARGE)
    if not any(section.text.strip() or section.header for section in document.sections):
        raise DocumentError("It is empty", DocumentFailure.NO_TEXT)
    return document


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system knows no limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def main() -> None:
    """Read a name (the one argument) and a file (the input)."""
    _limit_memory()
    encode = msgspec.json.Encoder().encode
    output = sys.stdout.buffer

    def tell(said: WorkerMessage) -> None:
        output.write(encode(said) + b"\n")
        output.flush()

    try:
        content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        tell(ReadFinished(extract(sys.argv[1], content, lambda pages, of: tell(ReadProgress(pages, of)))))
    except DocumentError as error:
        tell(ReadFailed(error.failure, str(error)))
    except MemoryError:
        tell(ReadFailed(DocumentFailure.SLOW, "It takes too much memory"))


if __name__ == "__main__":
    main()
