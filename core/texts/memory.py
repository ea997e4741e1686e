"""Texts about notes, files and recall. Notes under answers and reports are plain, the rest is Markdown."""

from collections.abc import Sequence
from datetime import UTC, datetime

from core.errors import DocumentError, DocumentFailure, ModelFailure
from core.memory.file_document import MAX_FILE_BYTES, MAX_PAGES, MAX_TEXT_CHARS
from core.memory.recall import RecalledContext
from core.memory.service import MAX_NOTE_CHARS, StoredEntry
from core.store.memories import MemoryEntry, MemoryStatistics, RecallMode
from core.texts.formatting import count, escape_markdown

MAX_ENTRY_CHARS = 120
"""Of a note's text in the list."""

ASK_ABOUT_FILE = "Ask me about it."
NOTE_MISSING = "What should I remember? Use `/remember TEXT`."
NOTE_TOO_LONG = f"A note can have at most {MAX_NOTE_CHARS:,} characters."
ALL_DELETED = "All notes and files of this conversation are deleted."
NUMBER_MISSING = "Which one? Add its number, as in `/memory delete 1`."
CONFIRM_CLEAR = "confirm"
UNKNOWN_ENTRY = "No note or file has this number. See /memory."
UNKNOWN_ACTION = "Unknown action. Choose list, delete, clear, on, off or reset."
HOW_TO_CHANGE = (
    "Add a note with `/remember TEXT`, or send a file. Delete with `/memory delete NUMBER` or `/memory clear`."
)
RECALL_STATUS = {
    RecallMode.NOTES_AND_FILES: "Past messages are not recalled; `/memory on` changes that.",
    RecallMode.WITH_MESSAGES: "Past messages are recalled too; `/memory off` turns recall off.",
    RecallMode.OFF: "Recall is off; `/memory on` or `/memory reset` turns it on.",
}
RECALL_CHANGED = {
    RecallMode.WITH_MESSAGES: (
        "Recall: on. I also recall your past messages in this conversation when they fit a question, even those from "
        "before /new. A note under the answer says so. Turn recall off with `/memory off`."
    ),
    RecallMode.OFF: "Recall: off. Notes and files stay until you delete them.",
    RecallMode.NOTES_AND_FILES: "Recall reset. Notes and files are recalled, past messages are not.",
}
DOCUMENT_FAILURE_TEXTS = {
    DocumentFailure.TOO_LARGE: (
        f"is too large. I can read up to {MAX_FILE_BYTES >> 20} MB, {MAX_PAGES:,} pages or {MAX_TEXT_CHARS:,} "
        "characters of text."
    ),
    DocumentFailure.ENCRYPTED: "is encrypted. Send it without a password.",
    DocumentFailure.EMPTY: "is empty.",
    DocumentFailure.NO_TEXT: "has no text. If its pages are scanned images, run text recognition on it first.",
    DocumentFailure.BROKEN: "is damaged; I couldn't read any text in it.",
    DocumentFailure.UNKNOWN: "is not a type I can read. Send a PDF, text, Markdown, CSV or source code file.",
    DocumentFailure.SLOW: "took too long to read. Try a smaller part of it.",
    DocumentFailure.FULL: "doesn't fit: this conversation's memory is full. See /memory to delete something.",
}


def document_failed(name: str, error: DocumentError) -> str:
    return f"{name} {DOCUMENT_FAILURE_TEXTS[error.failure]}"


def _found_by_words(failure: ModelFailure) -> str:
    """Why a note or file has no vectors."""
    match failure:
        case ModelFailure.QUOTA:
            reason = "Today's quota of the embedding model does not suffice for it"
        case ModelFailure.ALLOWANCE:
            reason = "It needs more embedding tokens than today's limit leaves you (see /usage)"
        case _:
            reason = "The embedding model is unavailable"
    return f"{reason}, so I find it by its words only."


def file_stored(name: str, file: StoredEntry) -> str:
    text = f"Read {name}: {count(file.entry.chunk_count, 'section')}."
    if file.blank_page_count:
        text += f" {file.blank_page_count:,} of its {file.page_count:,} pages have no text."
    return f"{text} {_found_by_words(file.failure)}" if file.failure else text


def file_not_fetched(name: str, reason: str) -> str:
    return f"I couldn't download {name}: {reason.rstrip('.')}."


def note_stored(number: int, failure: ModelFailure | None = None) -> str:
    text = f"Remembered as number {number}. See all with /memory."
    return f"{text} {_found_by_words(failure)}" if failure else text


def memory_list(entries: Sequence[MemoryEntry], statistics: MemoryStatistics) -> str:
    if entries:
        counts = ((statistics.note_count, "note"), (statistics.file_count, "file"))
        head = f"{' and '.join(count(number, noun) for number, noun in counts if number)} here."
    else:
        head = "No notes or files yet."
    lines = [f"- **{entry.number}** {_entry(entry)}" for entry in entries]
    return "\n".join([f"{head} {RECALL_STATUS[statistics.recall_mode]}", "", *lines, "", HOW_TO_CHANGE])


def which_entry(entries: Sequence[MemoryEntry]) -> str:
    return "\n".join([NUMBER_MISSING, "", *(f"- **{entry.number}** {_entry(entry)}" for entry in entries)]).strip()


def confirm_clear(statistics: MemoryStatistics) -> str:
    counts = ((statistics.note_count, "note"), (statistics.file_count, "file"))
    stored = " and ".join(count(number, noun) for number, noun in counts if number) or "the memory"
    return f"This deletes {stored} of this conversation for good. To do so, send `/memory clear {CONFIRM_CLEAR}`."


def entry_deleted(entry: MemoryEntry) -> str:
    return f"Deleted: {_entry(entry)}"


def _entry(entry: MemoryEntry) -> str:
    day = datetime.fromtimestamp(entry.created_at, UTC).date().isoformat()
    name = entry.name if len(entry.name) <= MAX_ENTRY_CHARS else f"{entry.name[: MAX_ENTRY_CHARS - 1]}…"
    size = "" if entry.is_note else f", {count(entry.chunk_count, 'section')}"
    return f"{escape_markdown(name)} ({day}{size})"


def recall_note(context: RecalledContext, answer: str) -> str:
    """Under an answer: what was recalled for it, and the sources it cites."""
    lines = []
    if context.failure is not None:
        reason = {
            ModelFailure.QUOTA: "today's quota of the embedding model is used up",
            ModelFailure.ALLOWANCE: "today's limit is used up",
        }.get(context.failure, "the embedding model failed")
        lines.append(f"Your notes and files were searched by words only: {reason}.")
    counts = ((context.note_count, "note"), (context.message_count, "message"))
    if recalled := [count(number, noun) for number, noun in counts if number]:
        lines.append(f"Recalled {' and '.join(recalled)}.")
    if cited := context.cited_sources(answer):
        lines.append("Sources: " + "; ".join(map(str, cited)))
    elif context.sources:
        names = dict.fromkeys(source.name for source in context.sources)
        lines.append(f"Searched {', '.join(names)}.")
    return "\n".join(lines)
