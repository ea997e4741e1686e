"""Texts about notes and files, and the notes under an answer that used them."""

from datetime import UTC, datetime

import pytest

from core.errors import DeliveryFailure, DocumentError, DocumentFailure, ModelFailure
from core.memory.recall import RecalledContext, Source
from core.memory.service import StoredEntry
from core.store.memories import MemoryEntry, MemoryStatistics, RecallMode
from core.texts import memory

DAY = datetime(2026, 11, 30, 23, 59, tzinfo=UTC).timestamp()
ONLY_NOTES = "Past messages are not recalled; `/memory on` changes that."
HOW_TO_CHANGE = (
    "Add a note with `/remember TEXT`, or send a file. Delete with `/memory delete NUMBER` or `/memory clear`."
)
BY_WORDS = "The embedding model is unavailable, so I can find it only by its words."
SOURCES = (Source(1, "a.pdf", "page 3"), Source(2, "b.txt", ""), Source(3, "a.pdf", "page 4"))


def note(name: str = "Buy milk", number: int = 1) -> MemoryEntry:
    return MemoryEntry(id=9, number=number, kind="note", name=name, chunk_count=1, created_at=DAY)


def file(sections: int = 2, number: int = 2) -> MemoryEntry:
    return MemoryEntry(id=8, number=number, kind="pdf", name="my_file.pdf", chunk_count=sections, created_at=DAY)


def statistics(notes: int = 0, files: int = 0, mode: RecallMode = RecallMode.NOTES_AND_FILES) -> MemoryStatistics:
    return MemoryStatistics(mode, note_count=notes, file_count=files, chunk_count=5, message_count=7)


def test_limits_of_files_are_named() -> None:
    text = memory.document_failed("a.pdf", DocumentError("", DocumentFailure.TOO_LARGE))
    assert text == "a.pdf is too large. I can read up to 20 MB, 1,000 pages or 2,000,000 characters of text."


def test_note_that_cannot_be_stored() -> None:
    assert memory.document_failed("", DocumentError("", DocumentFailure.FULL)) == (
        "The note doesn't fit: this conversation's memory is full. See /memory to delete something."
    )
    assert memory.note_too_long() == "A note can have at most 4,000 characters."


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (
            DeliveryFailure.REJECTED,
            "It is too large, or not meant for bots. Send a smaller part of it, or its text.",
        ),
        (DeliveryFailure.TRANSIENT, "The connection failed. Send it again in a few minutes."),
    ],
)
def test_file_that_cannot_be_downloaded(failure: DeliveryFailure, reason: str) -> None:
    assert memory.file_not_fetched("a.pdf", failure, 17) == f"I couldn't download a.pdf. {reason} [17]"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (StoredEntry(file(1)), "Read a.pdf: 1 section."),
        (StoredEntry(file(1_200)), "Read a.pdf: 1,200 sections."),
        (StoredEntry(file(), page_count=9), "Read a.pdf: 2 sections."),
        (
            StoredEntry(file(), page_count=9, blank_page_count=1),
            "Read a.pdf: 2 sections. 1 of its 9 pages has no text.",
        ),
        (
            StoredEntry(file(), ModelFailure.STALLED, page_count=9, blank_page_count=2),
            f"Read a.pdf: 2 sections. 2 of its 9 pages have no text. {BY_WORDS}",
        ),
    ],
)
def test_stored_file_is_described(stored: StoredEntry, text: str) -> None:
    assert memory.file_stored("a.pdf", stored) == text


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, ""),
        (ModelFailure.STALLED, f" {BY_WORDS}"),
        (
            ModelFailure.QUOTA,
            " Today's quota for the embedding model is too small for it, so I can find it only by its words.",
        ),
        (
            ModelFailure.ALLOWANCE,
            (
                " It needs more embedding tokens than today's limit leaves you (see /usage), so I can find it "
                "only by its words."
            ),
        ),
    ],
)
def test_stored_note_says_how_it_is_found(failure: ModelFailure | None, reason: str) -> None:
    assert memory.note_stored(3, failure) == f"Remembered as number 3. See all with /memory.{reason}"


def test_empty_memory() -> None:
    assert memory.memory_list([], statistics(mode=RecallMode.OFF)) == (
        f"No notes or files yet. Recall is off; `/memory on` or `/memory reset` turns it on.\n\n\n{HOW_TO_CHANGE}"
    )


def test_memory_lists_notes_and_files() -> None:
    assert memory.memory_list([note(), file()], statistics(notes=1, files=1)) == (
        f"1 note and 1 file here. {ONLY_NOTES}\n\n"
        "- **1** Buy milk (2026-11-30)\n- **2** my\\_file.pdf (2026-11-30, 2 sections)\n\n" + HOW_TO_CHANGE
    )


def test_number_is_asked_for() -> None:
    question = "Which one? Add its number, as in `/memory delete 1`."
    assert memory.which_entry([]) == question
    assert memory.which_entry([note(), file(1)]) == (
        f"{question}\n\n- **1** Buy milk (2026-11-30)\n- **2** my\\_file.pdf (2026-11-30, 1 section)"
    )


@pytest.mark.parametrize(
    ("counts", "deleted"),
    [
        (statistics(notes=2, files=1), "2 notes and 1 file of this conversation"),
        (statistics(), "the memory of this conversation"),
    ],
)
def test_clearing_asks_for_a_confirmation(counts: MemoryStatistics, deleted: str) -> None:
    assert memory.confirm_clear(counts) == f"This permanently deletes {deleted}."


@pytest.mark.parametrize(("name", "shown"), [("x" * 120, "x" * 120), ("x" * 121, "x" * 119 + "…")])
def test_long_note_is_cut_at_120_characters(name: str, shown: str) -> None:
    assert memory.entry_deleted(note(name)) == f"Deleted: {shown} (2026-11-30)"


@pytest.mark.parametrize(
    ("context", "answer", "text"),
    [
        (RecalledContext(), "An answer [1].", ""),
        (RecalledContext(note_count=1), "", "Recalled 1 note."),
        (RecalledContext(note_count=2, message_count=1), "", "Recalled 2 notes and 1 message."),
        (RecalledContext(message_count=3), "", "Recalled 3 messages."),
        (RecalledContext(sources=SOURCES), "As [1] and [2] say.", "Sources: [1] a.pdf, page 3; [2] b.txt"),
        (RecalledContext(sources=SOURCES), "Nothing fits.", "Searched a.pdf and b.txt."),
        (
            RecalledContext(sources=SOURCES, note_count=1, failure=ModelFailure.STALLED),
            "See [3].",
            (
                "Your notes and files were searched by words only: the embedding model failed.\n"
                "Recalled 1 note.\nSources: [3] a.pdf, page 4"
            ),
        ),
        (
            RecalledContext(failure=ModelFailure.QUOTA),
            "",
            "Your notes and files were searched by words only: today's quota for the embedding model is used up.",
        ),
        (
            RecalledContext(failure=ModelFailure.ALLOWANCE),
            "",
            "Your notes and files were searched by words only: today's limit is used up.",
        ),
    ],
)
def test_note_under_an_answer_names_what_was_recalled(context: RecalledContext, answer: str, text: str) -> None:
    assert memory.recall_note(context, answer) == text
