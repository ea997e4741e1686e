"""What a model is shown of what was found, and what the person is told."""

import pytest

from core.errors import Failure
from core.memory.pieces import cost
from core.memory.ranking import rank, terms
from core.memory.recalled import Findings, Recalled, Source
from core.store.memories import Entry, Found, Held
from tests.benchmarks import bench_recall

FILE = Entry(1, 1, "pdf", "report.pdf", 40, 0.0)


def piece(id_: int, text: str, score: float = 0.6, label: str = "") -> Found:
    return Found(id_, Held.PIECE, "report.pdf", label or f"page {id_}", text, score)


def note(id_: int, text: str, score: float = 0.6) -> Found:
    return Found(id_, Held.NOTE, text, "note", text, score)


def test_sources_are_numbered_from_the_best_and_notes_apart() -> None:
    found = (piece(3, "three"), note(9, "the note"), piece(7, "seven"))
    made = Findings(found, (FILE,)).fitting(4000)
    assert made.text.index("- the note") < made.text.index(
        "[1] report.pdf, page 3\n<<<\nthree\n>>>"
    )
    assert "[2] report.pdf, page 7\n<<<\nseven\n>>>" in made.text
    assert "report.pdf (40 pieces)" in made.text
    assert made.notes == 1


@pytest.mark.parametrize("room", [-500.0, 0.0, 150.0, 300.0, 700.0, 4000.0])
def test_what_is_shown_fits(room: float) -> None:
    found = tuple(piece(number, "Words of a piece. " * 60) for number in range(20))
    made = Findings(found, (FILE,)).fitting(room)
    assert not made.text or cost(made.text) <= room
    assert len(made.sources) == {700.0: 2, 4000.0: 10}.get(room, len(made.sources))


def test_only_the_sources_an_answer_cites_are_named() -> None:
    sources = tuple(Source(n, "report.pdf", f"page {n * 10}") for n in range(1, 5))
    recalled = Recalled("text", sources)
    assert recalled.note("It is so [2], and so [4][2] but not [9].") == (
        "Sources: [2] report.pdf, page 20; [4] report.pdf, page 40"
    )
    assert recalled.note("As [1, 3] say.") == (
        "Sources: [1] report.pdf, page 10; [3] report.pdf, page 30"
    )
    assert recalled.note("I do not know.") == "Looked into report.pdf."


def test_notes_and_messages_are_counted() -> None:
    assert Recalled("text", notes=1).note("answer") == "Recalled 1 note."
    assert Recalled("text", notes=2, messages=1).note("a") == "Recalled 2 notes and 1 message."
    assert Recalled().note("answer") == ""


def test_a_failure_is_told() -> None:
    made = Findings(failed=Failure.QUOTA).fitting(4000)
    assert made.text == ""
    assert "today's quota" in made.note("answer")


def test_headings_of_a_stranger_can_not_act() -> None:
    found = (piece(1, "text", label="[x](http://evil.example) @everyone `*_"),)
    told = Findings(found, (FILE,)).fitting(4000).note("so [1]")
    assert not set("[]()@/:*`") & set(told.removeprefix("Sources: [1]"))


def test_a_file_that_was_just_sent_is_shown_whole_where_it_fits() -> None:
    opening = tuple(piece(n, f"part {n} " * 50) for n in range(4))
    found = (opening[2],)
    whole = Findings(found, (FILE,), opening, whole=True)
    assert [s.label for s in whole.fitting(4000).sources] == [f"page {n}" for n in range(4)]
    # Where it does not, its beginning tells what it is.
    assert [s.label for s in whole.fitting(600).sources] == ["page 0", "page 2"]


def test_shared_names_and_numbers_beat_a_nearer_meaning() -> None:
    found = [
        piece(1, "Pumps are guaranteed by their makers for some time.", 0.62),
        piece(2, "The Kestrel K-77 stops after 31 months.", 0.5),
        piece(3, "A word about the weather.", 0.2),
    ]
    ranked = rank("How long is the Kestrel K-77 guaranteed?", found)
    assert [one.id for one in ranked] == [2, 1]


def test_what_shares_neither_words_nor_meaning_is_left_out() -> None:
    assert rank("Write a poem about spring", [note(1, "The wifi password is heron-42", 0.3)]) == []
    assert rank("the wifi of the cabin?", [note(1, "The wifi password is heron-42", 0.3)])


def test_words_are_shared_whole_or_by_their_beginnings() -> None:
    def shared(question: str, text: str) -> bool:
        return bool(rank(question, [note(1, text, 0.0)]))

    assert shared("Which guarantees are there?", "It is guaranteed.")
    assert shared("the wifi?", "Wifi: on")
    assert not shared("the wifi?", "wifis and hawifi")
    assert shared("付款期限是几天？", "付款期限是十五天")
    assert not shared("???", "anything")


def test_terms_of_many_scripts() -> None:
    assert terms("What is the K-77's voltage?") == {"77", "voltag"}
    assert terms("合同编号") == {"合同", "同编", "编号"}
    assert terms("Какая гарантия?") == {"какая", "гарант"}


def test_notes_come_with_questions_they_fit_and_seldom_with_others() -> None:
    came = bench_recall.figures()
    assert came.found >= 23, "of 24"
    assert came.besides < 0.1
    assert came.near <= 5, "of 24 that share a word with a note"
    assert came.others == 0
