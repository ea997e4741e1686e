"""What a model is shown of what was found, and what the person is told."""

import pytest

from core.errors import ModelFailure
from core.memory.chunks import estimate_tokens
from core.memory.ranking import extract_terms, rank
from core.memory.recall import RecalledContext, SearchResult, Source
from core.store.memories import ChunkKind, MemoryEntry, ScoredChunk
from core.texts.memory import recall_note
from tests.benchmarks import bench_recall

FILE = MemoryEntry(1, 1, "pdf", "report.pdf", 40, 0.0)


def piece(id_: int, text: str, score: float = 0.6, label: str = "") -> ScoredChunk:
    return ScoredChunk(id_, ChunkKind.FILE, "report.pdf", label or f"page {id_}", text, score)


def note(id_: int, text: str, score: float = 0.6) -> ScoredChunk:
    return ScoredChunk(id_, ChunkKind.NOTE, text, "note", text, score)


def test_sources_are_numbered_and_notes_separate() -> None:
    found = (piece(3, "three"), note(9, "the note"), piece(7, "seven"))
    made = SearchResult(found, (FILE,)).fit(4000)
    assert made.text.index("- the note") < made.text.index("[1] report.pdf, page 3\n<<<\nthree\n>>>")
    assert "[2] report.pdf, page 7\n<<<\nseven\n>>>" in made.text
    assert "report.pdf (40 sections)" in made.text
    assert made.note_count == 1


@pytest.mark.parametrize("room", [-500.0, 0.0, 150.0, 300.0, 700.0, 4000.0])
def test_context_fits(room: float) -> None:
    found = tuple(piece(number, "Words of a piece. " * 60) for number in range(20))
    made = SearchResult(found, (FILE,)).fit(room)
    assert not made.text or estimate_tokens(made.text) <= room
    assert len(made.sources) == {700.0: 2, 4000.0: 10}.get(room, len(made.sources))


def test_only_cited_sources_are_named() -> None:
    sources = tuple(Source(n, "report.pdf", f"page {n * 10}") for n in range(1, 5))
    recalled = RecalledContext("text", sources)
    assert recall_note(recalled, "It is so [2], and so [4][2] but not [9].") == (
        "Sources: [2] report.pdf, page 20; [4] report.pdf, page 40"
    )
    assert recall_note(recalled, "As [1, 3] say.") == ("Sources: [1] report.pdf, page 10; [3] report.pdf, page 30")
    assert recall_note(recalled, "I do not know.") == "Searched report.pdf."


def test_notes_and_messages_are_counted() -> None:
    assert recall_note(RecalledContext("text", note_count=1), "answer") == "Recalled 1 note."
    assert recall_note(RecalledContext("text", note_count=2, message_count=1), "a") == "Recalled 2 notes and 1 message."
    assert recall_note(RecalledContext(), "answer") == ""


def test_failure_is_reported() -> None:
    made = SearchResult(failure=ModelFailure.QUOTA).fit(4000)
    assert made.text == ""
    assert "today's quota" in recall_note(made, "answer")


def test_headings_are_sanitised() -> None:
    found = (piece(1, "text", label="[x](http://evil.example) @everyone `*_"),)
    told = recall_note(SearchResult(found, (FILE,)).fit(4000), "so [1]")
    assert not set("[]()@/:*`") & set(told.removeprefix("Sources: [1]"))


def test_new_file_is_included_whole() -> None:
    opening = tuple(piece(n, f"part {n} " * 50) for n in range(4))
    found = (opening[2],)
    whole = SearchResult(found, (FILE,), opening, has_whole_files=True)
    assert [s.label for s in whole.fit(4000).sources] == [f"page {n}" for n in range(4)]
    # Where it does not, its beginning tells what it is.
    assert [s.label for s in whole.fit(600).sources] == ["page 0", "page 2"]


def test_shared_terms_outrank_similarity() -> None:
    found = [
        piece(1, "Pumps are guaranteed by their makers for some time.", 0.62),
        piece(2, "The Kestrel K-77 stops after 31 months.", 0.5),
        piece(3, "A word about the weather.", 0.2),
    ]
    ranked = rank("How long is the Kestrel K-77 guaranteed?", found)
    assert [one.id for one in ranked] == [2, 1]


def test_unrelated_pieces_are_excluded() -> None:
    assert rank("Write a poem about spring", [note(1, "The wifi password is heron-42", 0.3)]) == []
    assert rank("the wifi of the cabin?", [note(1, "The wifi password is heron-42", 0.3)])


def test_terms_match_whole_or_by_prefix() -> None:
    def shared(question: str, text: str) -> bool:
        return bool(rank(question, [note(1, text, 0.0)]))

    assert shared("Which guarantees are there?", "It is guaranteed.")
    assert shared("the wifi?", "Wifi: on")
    assert not shared("the wifi?", "wifis and hawifi")
    assert shared("付款期限是几天？", "付款期限是十五天")
    assert not shared("???", "anything")


def test_terms_of_many_scripts() -> None:
    assert extract_terms("What is the K-77's voltage?") == {"77", "voltag"}
    assert extract_terms("合同编号") == {"合同", "同编", "编号"}
    assert extract_terms("Какая гарантия?") == {"какая", "гарант"}


def test_recall_precision_on_samples() -> None:
    result = bench_recall.measure()
    assert result.fitting_notes >= 23, "of 24"
    assert result.other_notes < 0.1
    assert result.similar_questions <= 5, "of 24"
    assert result.unrelated_questions == 0
