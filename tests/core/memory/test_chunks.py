"""Pieces fit, keep every word whole, and say where they are from."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from core.memory.chunks import (
    CHUNK_TOKENS,
    Chunk,
    estimate_tokens,
    split_document,
    split_in_half,
    truncate,
)
from core.memory.file_document import FileDocument, FileKind, Section

WORDS = [f"word{number}" for number in range(3000)]


def pieces(text: str, **section: object) -> list[Chunk]:
    return split_document(FileDocument(FileKind.TEXT, (Section(text, **section),)))  # type: ignore[arg-type]


def test_pieces_hold_every_word_in_order() -> None:
    made = pieces(" ".join(WORDS))
    assert len(made) > 10
    seen = [re.findall(r"\S+", piece.text) for piece in made]
    assert {word for words in seen for word in words} == set(WORDS)
    assert all(words == sorted(words, key=WORDS.index) for words in seen)


def test_pieces_overlap_a_little() -> None:
    made = pieces(" ".join(WORDS))
    for one, two in itertools.pairwise(made):
        last, first = one.text.split(), two.text.split()
        shared = len(set(last) & set(first))
        assert 0 < shared < len(last) / 4


def test_piece_ends_at_paragraph_or_sentence() -> None:
    sentence = "It is said that the quick brown fox jumped over the dog again. "
    text = (sentence * 12 + "\n\n") * 8
    made = pieces(text)
    assert all(piece.text.endswith("again.") for piece in made)
    assert all(piece.text.startswith("It is said") for piece in made)


@given(st.text(max_size=4000))
def test_no_piece_is_too_long(text: str) -> None:
    for piece in pieces(text):
        assert estimate_tokens(piece.embedding_text) <= CHUNK_TOKENS + 2


def test_scripts_without_spaces_split_at_sentences() -> None:
    made = pieces("这是一个没有空格的长句子，用来测试切分。" * 200)
    assert len(made) > 5
    assert all(piece.text[-1] in "。，" for piece in made)


def test_long_word_splits_between_graphemes() -> None:
    family = "👩‍👩‍👧‍👦"
    for piece in pieces(family * 400):
        assert piece.text.replace(family, "") == ""


def test_unnamed_sections_are_labelled_by_lines() -> None:
    text = "\n".join(f"line_{number} = {number} + compute(something)" for number in range(1, 201))
    made = pieces(text)
    for piece in made:
        first, last = map(
            int,
            re.findall(r"line_(\d+) ", piece.text)[:: max(1, len(piece.text.split("\n")) - 1)][:2],
        )
        assert piece.label == f"lines {first}-{last}"
    assert made[0].label.startswith("lines 1-")
    assert made[-1].label.endswith("-200")


def test_table_rows_repeat_header() -> None:
    rows = "\n".join(f"{number},person {number},{number * 7}" for number in range(2, 300))
    made = pieces(rows, unit="rows", header="id,name,score")
    assert all(piece.text.startswith("id,name,score\n") for piece in made)
    assert made[0].label.startswith("rows 2-")
    numbers = [int(line.split(",")[0]) for piece in made for line in piece.text.split("\n")[1:]]
    assert numbers == list(range(2, 300))


def test_embedded_text_includes_headings() -> None:
    made = pieces("words of it. " * 400, label="Terms › Payment", has_heading_label=True)
    assert len(made) > 2
    assert all(piece.embedding_text.startswith("Terms › Payment\n") for piece in made)
    assert all(piece.label == "Terms › Payment" for piece in made)


@given(st.text(min_size=40, max_size=500))
def test_halves_keep_all_text(text: str) -> None:
    both = split_in_half(Chunk("page 1", text, "context"))
    assert "".join("".join(p.text.split()) for p in both) == "".join(text.split())
    assert all((p.label, p.heading) == ("page 1", "context") for p in both)
    if text.strip() == text:
        assert len(both) == 2


def test_head_fits() -> None:
    assert truncate("short") == "short"
    assert truncate("") == ""
    long = truncate(" ".join(WORDS), 100)
    assert estimate_tokens(long) <= 100
    assert " ".join(WORDS).startswith(long)
