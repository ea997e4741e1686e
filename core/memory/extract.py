"""Extracts the text of a file, by its content, and splits it into chunks.

Run as a program, this module reads one file from standard input and writes its messages to standard
output, one JSON object a line: the pages read so far, then the chunks or the failure. A malicious
file that hangs a parser or fills the memory harms only this process.
"""

import contextlib
import itertools
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import TypeAlias

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory import pdf, text_file
from core.memory.chunks import split_document
from core.memory.file_document import MAX_FILE_BYTES, MAX_TEXT_CHARS, ChunkedFile, FileDocument, check_file_size

UNSUPPORTED_SIGNATURES = (b"{\\rtf", b"%!PS")
"""Text formats that consist mostly of markup: RTF and PostScript."""
MAX_MEMORY_BYTES = 1 << 30


class ReadProgress(msgspec.Struct, frozen=True, tag=True):
    pages_read: int
    page_count: int


class ReadFailed(msgspec.Struct, frozen=True, tag=True):
    failure: DocumentFailure
    message: str


class ReadFinished(msgspec.Struct, frozen=True, tag=True):
    file: ChunkedFile


WorkerMessage: TypeAlias = ReadProgress | ReadFailed | ReadFinished


def extract(name: str, content: bytes, on_progress: Callable[[int, int], None]) -> FileDocument:
    """Extract the text of a file. Raises `DocumentError`.

    `on_progress` gets the pages read and the number of pages, for files with pages.
    """
    check_file_size(len(content))
    if not content.strip():
        raise DocumentError("The file is empty", DocumentFailure.EMPTY)
    if b"%PDF-" in content[:1024]:
        return pdf.read(content, on_progress)
    if PurePath(name).suffix.lower() == ".pdf":
        raise DocumentError("The content is not a PDF", DocumentFailure.BROKEN)
    if content.startswith(UNSUPPORTED_SIGNATURES):
        raise DocumentError("The format is mostly markup", DocumentFailure.UNKNOWN)
    document = text_file.read(name, content)
    if sum(len(section.text) for section in document.sections) > MAX_TEXT_CHARS:
        raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
    if not any(section.text.strip() or section.header for section in document.sections):
        raise DocumentError("The file is empty", DocumentFailure.EMPTY)
    return document


def split(document: FileDocument, max_chunks: int) -> ChunkedFile:
    """Raises `DocumentError` if there are more than `max_chunks`."""
    chunks = list(itertools.islice(split_document(document), max_chunks + 1))
    if len(chunks) > max_chunks:
        raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
    return ChunkedFile(document.kind, chunks, document.page_count, document.blank_page_count)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # systems without such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def main() -> None:
    """Read the file on standard input; the arguments are its name and the largest number of chunks."""
    _limit_memory()
    encode = msgspec.json.Encoder().encode
    output = sys.stdout.buffer

    def send(message: WorkerMessage) -> None:
        output.write(encode(message) + b"\n")
        output.flush()

    def report_progress(pages_read: int, page_count: int) -> None:
        send(ReadProgress(pages_read, page_count))

    try:
        content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        name, max_chunks = sys.argv[1:]
        send(ReadFinished(split(extract(name, content, report_progress), int(max_chunks))))
    except DocumentError as error:
        send(ReadFailed(error.failure, str(error)))
    except MemoryError:
        send(ReadFailed(DocumentFailure.SLOW, "Reading takes too much memory"))


if __name__ == "__main__":
    main()
