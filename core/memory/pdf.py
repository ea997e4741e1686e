"""Reads the text of PDF files, page by page."""

import logging
from collections.abc import Callable
from io import BytesIO

from core.errors import DocumentError, DocumentFailure
from core.memory.file_document import (
    MAX_PAGES,
    MAX_TEXT_CHARS,
    FileDocument,
    FileKind,
    Section,
    remove_unstorable_chars,
)

MIN_CHARS_PER_PAGE = 3
"""Pages with fewer on average are images."""


def read(content: bytes, on_progress: Callable[[int, int], None]) -> FileDocument:
    """Read a PDF file. `on_progress` gets the pages read and the number of pages. Raises `DocumentError`."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the file
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("The file is encrypted", DocumentFailure.ENCRYPTED)
        page_count = len(reader.pages)
        if not page_count:
            raise DocumentError("The file has no pages", DocumentFailure.BROKEN)
        if page_count > MAX_PAGES:
            raise DocumentError(f"The file has {page_count:,} pages", DocumentFailure.TOO_LARGE)
        texts: list[str] = []
        for number, page in enumerate(reader.pages, 1):
            texts.append(remove_unstorable_chars(page.extract_text()).strip())
            if sum(map(len, texts)) > MAX_TEXT_CHARS:
                raise DocumentError("The file has too much text", DocumentFailure.TOO_LARGE)
            on_progress(number, page_count)
    except DocumentError:
        raise
    except MemoryError:
        raise DocumentError("Reading takes too much memory", DocumentFailure.SLOW) from None
    except Exception as error:  # pypdf raises any exception for a broken file
        raise DocumentError("The file is broken", DocumentFailure.BROKEN) from error
    if sum(len("".join(text.split())) for text in texts) < MIN_CHARS_PER_PAGE * page_count:
        raise DocumentError("The pages are images", DocumentFailure.NO_TEXT)
    sections = [Section(text, f"page {number}") for number, text in enumerate(texts, 1) if text.strip()]
    return FileDocument(FileKind.PDF, tuple(sections), page_count, page_count - len(sections))
