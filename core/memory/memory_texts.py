"""What people are told about their notes and files."""

from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.memory.file_document import MAX_FILE_BYTES, MAX_PAGES, MAX_TEXT_CHARS
from core.memory.service import MAX_NOTE_CHARS, StoredFile

__all__ = ["document_failed", "embedding_failed", "file_stored"]

DOCUMENT_FAILURE_TEXTS = {
    DocumentFailure.TOO_LARGE: (
        f"is too large: {MAX_FILE_BYTES >> 20} MB, {MAX_PAGES:,} pages or {MAX_TEXT_CHARS:,} "
        "characters of text are what I can read."
    ),
    DocumentFailure.ENCRYPTED: "is encrypted. Send it without a password, and I can read it.",
    DocumentFailure.NO_TEXT: (
        "has no text I could read. If its pages are pictures (a scan), run text recognition over it first."
    ),
    DocumentFailure.BROKEN: "is broken: I could not get any text out of it.",
    DocumentFailure.UNKNOWN: ("is not a kind of file I read. I read PDF, text, Markdown, CSV and source code."),
    DocumentFailure.SLOW: "took too long to read, so I gave up. A smaller part of it may work.",
    DocumentFailure.FULL: (
        "does not fit any more: there is a limit to what I keep in one conversation. /memory "
        "shows what there is and deletes it."
    ),
}


def document_failed(name: str, error: DocumentError) -> str:
    """Why a file is not read; `name` is safe to show."""
    return f"{name} {DOCUMENT_FAILURE_TEXTS[error.failure]}"


def note_too_long() -> str:
    return f"A note can have {MAX_NOTE_CHARS:,} characters at most."


def embedding_failed(error: ModelError) -> str:
    """Why nothing could be kept."""
    match error.failure:
        case ModelFailure.QUOTA:
            return "Today's quota of the embedding model is used up; nothing was kept."
        case ModelFailure.RATE_LIMITED | ModelFailure.UNAVAILABLE | ModelFailure.STALLED:
            return "The embedding model does not answer now; nothing was kept. Try again later."
        case _:
            return "The embedding model could not take it; nothing was kept."


def file_stored(name: str, file: StoredFile) -> str:
    pieces = file.entry.chunk_count
    text = f"Read {name}: {pieces:,} {'piece' if pieces == 1 else 'pieces'}."
    if file.blank_page_count:
        text += f" {file.blank_page_count:,} of its {file.page_count:,} pages have no text."
    return text
