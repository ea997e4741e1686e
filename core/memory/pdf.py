"""PDF files, page by page."""

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

__all__ = ["read"]

MIN_CHARS_PER_PAGE = 3  # characters a page has on average, unless it is a picture


def read(content: bytes, progress: Callable[[int, int], None]) -> FileDocument:
    """`progress` is told how many pages of how many are done. Raises `DocumentError`."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it quotes what it stumbles over
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("It is encrypted", DocumentFailure.ENCRYPTED)
        count = len(reader.pages)
        if not count:
            raise DocumentError("It has no page", DocumentFailure.BROKEN)
        if count > MAX_PAGES:
            raise DocumentError(f"It has {count:,} pages", DocumentFailure.TOO_LARGE)
        texts: list[str] = []
        for number, page in enumerate(reader.pages, 1):
            texts.append(remove_unstorable_chars(page.extract_text()).strip())
            if sum(map(len, texts)) > MAX_TEXT_CHARS:
                raise DocumentError("It has too much text", DocumentFailure.TOO_LARGE)
            progress(number, count)
    except DocumentError:
        raise
    except MemoryError:
        raise DocumentError("It takes too much memory", DocumentFailure.SLOW) from None
    except Exception as error:  # (a broken file breaks the parser anywhere)
        raise DocumentError("It is broken", DocumentFailure.BROKEN) from error
    if sum(len("".join(text.split())) for text in texts) < MIN_CHARS_PER_PAGE * count:
        raise DocumentError("Its pages are pictures", DocumentFailure.NO_TEXT)
    sections = [Section(text, f"page {number}") for number, text in enumerate(texts, 1) if text.strip()]
    return FileDocument(FileKind.PDF, tuple(sections), count, count - len(sections))
