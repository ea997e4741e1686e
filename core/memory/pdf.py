"""PDF files, page by page."""

import logging
from collections.abc import Callable
from io import BytesIO

from core.errors import DocumentError, Unreadable
from core.memory.document import MOST_CHARACTERS, MOST_PAGES, Document, Kind, Section, clean

__all__ = ["read"]

LEAST = 3  # characters a page has on average, unless it is a picture


def read(content: bytes, progress: Callable[[int, int], None]) -> Document:
    """`progress` is told how many pages of how many are done. Raises `DocumentError`."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it quotes what it stumbles over
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("It is encrypted", Unreadable.ENCRYPTED)
        count = len(reader.pages)
        if not count:
            raise DocumentError("It has no page", Unreadable.BROKEN)
        if count > MOST_PAGES:
            raise DocumentError(f"It has {count:,} pages", Unreadable.TOO_LARGE)
        texts: list[str] = []
        for number, page in enumerate(reader.pages, 1):
            texts.append(clean(page.extract_text()).strip())
            if sum(map(len, texts)) > MOST_CHARACTERS:
                raise DocumentError("It has too much text", Unreadable.TOO_LARGE)
            progress(number, count)
    except DocumentError:
        raise
    except MemoryError:
        raise DocumentError("It takes too much memory", Unreadable.SLOW) from None
    except Exception as error:  # (a broken file breaks the parser anywhere)
        raise DocumentError("It is broken", Unreadable.BROKEN) from error
    if sum(len("".join(text.split())) for text in texts) < LEAST * count:
        raise DocumentError("Its pages are pictures", Unreadable.NO_TEXT)
    sections = [
        Section(text, f"page {number}") for number, text in enumerate(texts, 1) if text.strip()
    ]
    return Document(Kind.PDF, tuple(sections), count, count - len(sections))
