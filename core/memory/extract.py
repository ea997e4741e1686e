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

from core.errors import DocumentError, Unreadable
from core.memory import pdf, plain
from core.memory.document import MOST_BYTES, MOST_CHARACTERS, Document

__all__ = ["Done", "Refused", "Told", "Whole", "extract", "main"]

OTHERS = (b"{\\rtf", b"%!PS")
"""Kinds of characters all the same, which nobody wants to be shown."""
MEMORY = 1 << 30  # bytes


class Done(msgspec.Struct, frozen=True, tag=True):
    """So many pages of so many."""

    pages: int
    of: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    reason: Unreadable
    said: str


class Whole(msgspec.Struct, frozen=True, tag=True):
    document: Document


Told: TypeAlias = Done | Refused | Whole


def extract(name: str, content: bytes, progress: Callable[[int, int], None]) -> Document:
    """Raises `DocumentError`."""
    if len(content) > MOST_BYTES:
        raise DocumentError(f"It has {len(content):,} bytes", Unreadable.TOO_LARGE)
    if not content.strip():
        raise DocumentError("It is empty", Unreadable.NO_TEXT)
    if b"%PDF-" in content[:1024]:
        return pdf.read(content, progress)
    if content.startswith(OTHERS) or PurePath(name).suffix.lower() == ".pdf":
        raise DocumentError("It is not what its name says", Unreadable.UNKNOWN)
    document = plain.read(name, content)
    if sum(len(section.text) for section in document.sections) > MOST_CHARACTERS:
        raise DocumentError("It has too much text", Unreadable.TOO_LARGE)
    if not any(section.text.strip() or section.header for section in document.sections):
        raise DocumentError("It is empty", Unreadable.NO_TEXT)
    return document


def _limit() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system knows no limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main() -> None:
    """Read a name (the one argument) and a file (the input)."""
    _limit()
    encode = msgspec.json.Encoder().encode
    output = sys.stdout.buffer

    def tell(said: Told) -> None:
        output.write(encode(said) + b"\n")
        output.flush()

    try:
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
        tell(Whole(extract(sys.argv[1], content, lambda pages, of: tell(Done(pages, of)))))
    except DocumentError as error:
        tell(Refused(error.reason, str(error)))
    except MemoryError:
        tell(Refused(Unreadable.SLOW, "It takes too much memory"))


if __name__ == "__main__":
    main()
