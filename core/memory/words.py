"""What people are told about their notes and files."""

from core.errors import DocumentError, Failure, ModelError, Unreadable
from core.memory.document import MOST_BYTES, MOST_CHARACTERS, MOST_PAGES
from core.memory.memory import LONGEST_NOTE, Kept

__all__ = ["kept", "not_embedded", "unreadable"]

WORDS = {
    Unreadable.TOO_LARGE: (
        f"is too large: {MOST_BYTES >> 20} MB, {MOST_PAGES:,} pages or {MOST_CHARACTERS:,} "
        "characters of text are what I can read."
    ),
    Unreadable.ENCRYPTED: "is encrypted. Send it without a password, and I can read it.",
    Unreadable.NO_TEXT: (
        "has no text I could read. If its pages are pictures (a scan), run text recognition over "
        "it first."
    ),
    Unreadable.BROKEN: "is broken: I could not get any text out of it.",
    Unreadable.UNKNOWN: (
        "is not a kind of file I read. I read PDF, text, Markdown, CSV and source code."
    ),
    Unreadable.SLOW: "took too long to read, so I gave up. A smaller part of it may work.",
    Unreadable.FULL: (
        "does not fit any more: there is a limit to what I keep in one conversation. /memory "
        "shows what there is and deletes it."
    ),
}


def unreadable(name: str, error: DocumentError) -> str:
    """Why a file is not read; `name` is safe to show."""
    return f"{name} {WORDS[error.reason]}"


def too_long_note() -> str:
    return f"A note can have {LONGEST_NOTE:,} characters at most."


def not_embedded(error: ModelError) -> str:
    """Why nothing could be kept."""
    match error.failure:
        case Failure.QUOTA:
            return "Today's quota of the embedding model is used up; nothing was kept."
        case Failure.RATE | Failure.UNAVAILABLE | Failure.STALLED:
            return "The embedding model does not answer now; nothing was kept. Try again later."
        case _:
            return "The embedding model could not take it; nothing was kept."


def kept(name: str, file: Kept) -> str:
    pieces = file.entry.pieces
    said = f"Read {name}: {pieces:,} {'piece' if pieces == 1 else 'pieces'}."
    if file.blank:
        said += f" {file.blank:,} of its {file.pages:,} pages have no text."
    return said
