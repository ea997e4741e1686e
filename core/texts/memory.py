"""Texts about notes, files and recall. Notes under answers and reports are plain, the rest is Markdown."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from core.errors import DeliveryFailure, DocumentError, DocumentFailure, ModelFailure
from core.i18n.translation import gettext, gettext_noop, ngettext
from core.memory.file_document import MAX_FILE_BYTES, MAX_PAGES, MAX_TEXT_CHARS
from core.memory.recall import RecalledContext, Source
from core.memory.service import MAX_NOTE_CHARS, StoredEntry
from core.store.memories import MemoryEntry, MemoryStatistics, RecallMode
from core.texts.formatting import (
    count_entries,
    format_date,
    format_number,
    isolate,
    join_all,
    join_sentences,
    markdown_name,
)

MAX_ENTRY_CHARS = 120
"""How much of a note the list shows."""

ASK_ABOUT_FILE = gettext_noop("Ask me about it.")
NOTE_MISSING = gettext_noop("What should I remember? Use `/remember TEXT`.")
ALL_DELETED = gettext_noop("All notes and files of this conversation are deleted.")
NUMBER_MISSING = gettext_noop("Which one? Add its number, as in `/memory delete 1`.")
CONFIRM_CLEAR = "confirm"
"""What a person types, in every language, where there are no buttons."""
CLEAR_BUTTON = gettext_noop("Delete everything")
CLEAR_EXPIRED = gettext_noop("This confirmation has expired. Send `/memory clear` again.")
UNKNOWN_ENTRY = gettext_noop("No note or file has this number. See /memory.")
UNKNOWN_ACTION = gettext_noop("Unknown action. Choose list, delete, clear, on, off or reset.")
HOW_TO_CHANGE = gettext_noop(
    "Add a note with `/remember TEXT`, or send a file. Delete with `/memory delete NUMBER` or `/memory clear`."
)
RECALL_STATUS = {
    RecallMode.NOTES_AND_FILES: gettext_noop("Past messages are not recalled; `/memory on` changes that."),
    RecallMode.WITH_MESSAGES: gettext_noop("Past messages are recalled too; `/memory off` turns recall off."),
    RecallMode.OFF: gettext_noop("Recall is off; `/memory on` or `/memory reset` turns it on."),
}
RECALL_CHANGED = {
    RecallMode.WITH_MESSAGES: gettext_noop(
        "Recall: on. I also recall your past messages in this conversation when they are relevant to a question, "
        "even those from before /new. A note under the answer says so. Turn recall off with `/memory off`."
    ),
    RecallMode.OFF: gettext_noop("Recall: off. Notes and files stay until you delete them."),
    RecallMode.NOTES_AND_FILES: gettext_noop("Recall reset. Notes and files are recalled, past messages are not."),
}
PLACES = {
    "page": gettext_noop("page {place}"),
    "chapter": gettext_noop("chapter {place}"),
    "sheet": gettext_noop("sheet {place}"),
    "line": gettext_noop("line {place}"),
    "lines": gettext_noop("lines {place}"),
    "row": gettext_noop("row {place}"),
    "rows": gettext_noop("rows {place}"),
}
"""By their first word, the labels of chunks that are no headings (`core.memory.file_document.Chunk`)."""
DOCUMENT_FAILURE_TEXTS = {
    DocumentFailure.TOO_LARGE: gettext_noop(
        "{name} is too large. I can read up to {megabytes} MB, {pages} pages or {characters} characters of text."
    ),
    DocumentFailure.ENCRYPTED: gettext_noop("{name} is encrypted. Send it without a password."),
    DocumentFailure.EMPTY: gettext_noop("{name} is empty."),
    DocumentFailure.NO_TEXT: gettext_noop(
        "{name} has no text. If its pages are scanned images, run text recognition on it first."
    ),
    DocumentFailure.BROKEN: gettext_noop("{name} is damaged; I couldn't read any text in it."),
    DocumentFailure.UNKNOWN: gettext_noop(
        "{name} is not a type I can read. Send a PDF, a Word, Excel or PowerPoint file, an EPUB book, a web page, or a "
        "text file such as Markdown, CSV or source code."
    ),
    DocumentFailure.SLOW: gettext_noop("{name} took too long to read. Try a smaller part of it."),
    DocumentFailure.FULL: gettext_noop(
        "{name} doesn't fit: this conversation's memory is full. See /memory to delete something."
    ),
}
CONNECTION_FAILED = gettext_noop("The connection failed. Send it again in a few minutes.")
FETCH_FAILURE_TEXTS = {
    DeliveryFailure.REJECTED: gettext_noop(
        "It is too large, or not meant for bots. Send a smaller part of it, or its text."
    ),
    DeliveryFailure.FORBIDDEN: gettext_noop("I'm not allowed to read files here. Ask somebody who manages this chat."),
    DeliveryFailure.GONE: gettext_noop("It no longer exists. Send it again."),
}


def note_too_long() -> str:
    return gettext("A note can have at most {count} characters.").format(count=format_number(MAX_NOTE_CHARS))


def document_failed(name: str, error: DocumentError) -> str:
    """`name` is a file's, or "" for a note."""
    return gettext(DOCUMENT_FAILURE_TEXTS[error.failure]).format(
        name=isolate(name) or gettext("The note"),
        megabytes=MAX_FILE_BYTES >> 20,
        pages=format_number(MAX_PAGES),
        characters=format_number(MAX_TEXT_CHARS),
    )


def _found_by_words(failure: ModelFailure) -> str:
    """Why a note or file has no vectors."""
    match failure:
        case ModelFailure.QUOTA:
            return gettext(
                "Today's quota for the embedding model is too small for it, so I can find it only by its words."
            )
        case ModelFailure.ALLOWANCE:
            return gettext(
                "It needs more embedding tokens than today's limit leaves you (see /usage), so I can find it "
                "only by its words."
            )
        case _:
            return gettext("The embedding model is unavailable, so I can find it only by its words.")


def file_stored(name: str, file: StoredEntry) -> str:
    sections = file.entry.chunk_count
    text = ngettext("Read {name}: {count} section.", "Read {name}: {count} sections.", sections).format(
        name=isolate(name), count=format_number(sections)
    )
    if file.blank_page_count:
        blank = ngettext(
            "{count} of its {pages} pages has no text.",
            "{count} of its {pages} pages have no text.",
            file.blank_page_count,
        ).format(count=format_number(file.blank_page_count), pages=format_number(file.page_count))
        text = join_sentences(text, blank)
    return join_sentences(text, _found_by_words(file.failure)) if file.failure else text


def file_not_fetched(name: str, failure: DeliveryFailure, turn_id: int) -> str:
    """With the number that stands beside the platform's own words in the log."""
    text = gettext("I couldn't download {name}.").format(name=isolate(name))
    return join_sentences(text, gettext(FETCH_FAILURE_TEXTS.get(failure, CONNECTION_FAILED))) + f" [{turn_id}]"


def note_stored(number: int, failure: ModelFailure | None = None) -> str:
    text = gettext("Remembered as number {number}. See all with /memory.").format(number=number)
    return join_sentences(text, _found_by_words(failure)) if failure else text


def memory_list(entries: Sequence[MemoryEntry], statistics: MemoryStatistics) -> str:
    head = (
        gettext("{entries} here.").format(entries=count_entries(statistics.note_count, statistics.file_count))
        if entries
        else gettext("No notes or files yet.")
    )
    status = gettext(RECALL_STATUS[statistics.recall_mode])
    return "\n".join([join_sentences(head, status), "", *map(_entry_line, entries), "", gettext(HOW_TO_CHANGE)])


def which_entry(entries: Sequence[MemoryEntry]) -> str:
    return "\n".join([gettext(NUMBER_MISSING), "", *map(_entry_line, entries)]).strip()


def confirm_clear(statistics: MemoryStatistics) -> str:
    entries = count_entries(statistics.note_count, statistics.file_count)
    text = (
        gettext("This permanently deletes {entries} of this conversation.")
        if entries
        else gettext("This permanently deletes the memory of this conversation.")
    )
    return text.format(entries=entries)


def entry_deleted(entry: MemoryEntry) -> str:
    return gettext("Deleted: {entry}").format(entry=_entry(entry))


def _entry_line(entry: MemoryEntry) -> str:
    return f"- **{entry.number}** {_entry(entry)}"


def _entry(entry: MemoryEntry) -> str:
    day = format_date(datetime.fromtimestamp(entry.created_at, UTC).date())
    name = entry.name if len(entry.name) <= MAX_ENTRY_CHARS else f"{entry.name[: MAX_ENTRY_CHARS - 1]}…"
    if entry.is_note:
        return f"{markdown_name(name)} ({day})"
    sections = ngettext("{count} section", "{count} sections", entry.chunk_count)
    return f"{markdown_name(name)} ({day}, {sections.format(count=format_number(entry.chunk_count))})"


def _source(source: Source) -> str:
    """A source as people read it. The model gets it in English (`str(source)`)."""
    word, _, place = source.label.partition(" ")
    is_place = source.has_sheets if word == "sheet" else place.replace("-", "").isdecimal()
    if word in PLACES and is_place:
        source = replace(source, label=gettext(PLACES[word]).format(place=place))
    return str(source)


def recall_note(context: RecalledContext, answer: str) -> str:
    """Under an answer: what was recalled for it, and the sources it cites."""
    lines = []
    if context.failure is not None:
        lines.append(_searched_by_words(context.failure))
    if recalled := _count_recalled(context):
        lines.append(gettext("Recalled {entries}.").format(entries=join_all(recalled)))
    if cited := context.cited_sources(answer):
        lines.append(
            gettext("Sources: {sources}").format(sources="; ".join(isolate(_source(source)) for source in cited))
        )
    elif context.sources:
        names = dict.fromkeys(source.name for source in context.sources)
        lines.append(gettext("Searched {files}.").format(files=join_all(map(isolate, names))))
    return "\n".join(lines)


def _searched_by_words(failure: ModelFailure) -> str:
    match failure:
        case ModelFailure.QUOTA:
            return gettext(
                "Your notes and files were searched by words only: today's quota for the embedding model is used up."
            )
        case ModelFailure.ALLOWANCE:
            return gettext("Your notes and files were searched by words only: today's limit is used up.")
        case _:
            return gettext("Your notes and files were searched by words only: the embedding model failed.")


def _count_recalled(context: RecalledContext) -> list[str]:
    recalled = []
    if notes := context.note_count:
        recalled.append(ngettext("{count} note", "{count} notes", notes).format(count=format_number(notes)))
    if messages := context.message_count:
        recalled.append(ngettext("{count} message", "{count} messages", messages).format(count=format_number(messages)))
    return recalled
