"""Extracts the text of a file, by its content, and splits it into chunks.

Run as a program, this module reads one file from standard input and writes its messages: the pages read so far, then
the chunks or the failure. See `core.memory.worker`.
"""

import itertools
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import TypeAlias

import msgspec

from core.errors import DocumentError, DocumentFailure
from core.memory import html_file, office_file, pdf, text_file, worker
from core.memory.chunks import split_document
from core.memory.file_document import MAX_TEXT_CHARS, ChunkedFile, FileDocument, check_file_size
from core.memory.worker import ReadFailed, Send

UNSUPPORTED_SIGNATURES = (b"{\\rtf", b"%!PS")
"""Text formats that consist mostly of markup: RTF and PostScript."""


HTML_SUFFIXES = (".html", ".htm", ".xhtml")


class ReadProgress(msgspec.Struct, frozen=True, tag=True):
    pages_read: int
    page_count: int


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
    if office_file.is_office_file(content):
        return office_file.read(name, content, on_progress)
    if html_file.is_html(content) or PurePath(name).suffix.lower() in HTML_SUFFIXES:
        document = html_file.read(content)
    else:
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


def _read(content: bytes, send: Send) -> ReadFinished:
    """The program's arguments are the file's name and the largest number of chunks."""
    name, max_chunks = sys.argv[1:]
    document = extract(name, content, lambda pages_read, page_count: send(ReadProgress(pages_read, page_count)))
    return ReadFinished(split(document, int(max_chunks)))


if __name__ == "__main__":
    worker.run(_read)
