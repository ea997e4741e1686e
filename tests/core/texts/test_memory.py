"""Texts about notes and files."""

from core.errors import DocumentError, DocumentFailure
from core.texts.memory import document_failed


def test_limits_of_files_are_named() -> None:
    text = document_failed("a.pdf", DocumentError("", DocumentFailure.TOO_LARGE))
    assert text.endswith("is too large. I can read up to 20 MB, 1,000 pages or 2,000,000 characters of text.")
