import itertools
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.memory.chunks import (
    CHUNK_TOKENS,
    estimate_tokens,
    split_document,
    split_in_half,
    truncate,
)
from core.memory.file_document import Chunk, FileDocument, FileKind, LineUnit, Section

WORDS = [f"word{number}" for number in range(3000)]


def split(text: str, **section_fields: Any) -> list[Chunk]:
    return list(split_document(FileDocument(FileKind.TEXT, (Section(text, **section_fields),))))


def test_chunks_have_every_word_in_order() -> None:
    chunks = split(" ".join(WORDS))
    assert len(chunks) > 10
    words_by_chunk = [chunk.text.split() for chunk in chunks]
    assert {word for words in words_by_chunk for word in words} == set(WORDS)
    assert all(words == sorted(words, key=WORDS.index) for words in words_by_chunk)


def test_only_the_words_of_one_chunk_are_in_memory() -> None:
    document = FileDocument(FileKind.TEXT, (Section("a\n" * 100_000),))
    tracemalloc.start()
    chunk_count = sum(1 for _ in split_document(document))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert chunk_count > 300
    assert peak_bytes < 1_000_000, "a list of all words takes twenty times as much"


def test_chunks_overlap_a_little() -> None:
    chunks = split(" ".join(WORDS))
    for previous, following in itertools.pairwise(chunk.text.split() for chunk in chunks):
        assert 0 < len(set(previous) & set(following)) < len(previous) / 4


def test_chunk_ends_at_paragraph_or_sentence() -> None:
    sentence = "It is said that the quick brown fox jumped over the dog again. "
    text = (sentence * 12 + "\n\n") * 8
    chunks = split(text)
    assert all(chunk.text.endswith("again.") for chunk in chunks)
    assert all(chunk.text.startswith("It is said") for chunk in chunks)


@given(st.text(max_size=4000))
def test_no_chunk_is_too_long(text: str) -> None:
    for chunk in split(text):
        assert estimate_tokens(chunk.embedding_text) <= CHUNK_TOKENS + 2


def test_scripts_without_spaces_split_at_sentences() -> None:
    chunks = split("这是一个没有空格的长句子，用来测试切分。" * 200)
    assert len(chunks) > 5
    assert all(chunk.text[-1] in "。，" for chunk in chunks)


def test_long_word_splits_between_graphemes() -> None:
    family = "👩‍👩‍👧‍👦"
    for chunk in split(family * 400):
        assert chunk.text.replace(family, "") == ""


def test_unnamed_sections_are_labelled_by_lines() -> None:
    text = "\n".join(f"line_{number} = {number} + compute(something)" for number in range(1, 201))
    chunks = split(text)
    for chunk in chunks:
        numbers = re.findall(r"line_(\d+) ", chunk.text)
        assert chunk.label == f"lines {numbers[0]}-{numbers[-1]}"
    assert chunks[0].label.startswith("lines 1-")
    assert chunks[-1].label.endswith("-200")


def test_table_rows_repeat_header() -> None:
    rows = "\n".join(f"{number},person {number},{number * 7}" for number in range(2, 300))
    chunks = split(rows, unit=LineUnit.ROW, header="id,name,score")
    assert all(chunk.text.startswith("id,name,score\n") for chunk in chunks)
    assert chunks[0].label.startswith("rows 2-")
    numbers = [int(line.split(",")[0]) for chunk in chunks for line in chunk.text.split("\n")[1:]]
    assert numbers == list(range(2, 300))


def test_embedded_text_includes_headings() -> None:
    chunks = split("words of it. " * 400, label="Terms › Payment", has_heading_label=True)
    assert len(chunks) > 2
    assert all(chunk.embedding_text.startswith("Terms › Payment\n") for chunk in chunks)
    assert all(chunk.label == "Terms › Payment" for chunk in chunks)


@pytest.mark.parametrize("heading", ["条款与付款方式" * 20, "Terms and payment " * 8], ids=["Chinese", "English"])
@pytest.mark.parametrize("header", ["", "编号,姓名,分数," * 8], ids=["text", "table"])
def test_heading_and_header_count_towards_the_size(heading: str, header: str) -> None:
    chunks = split("这是一个句子。" * 400, label=heading, has_heading_label=True, header=header)
    assert len(chunks) > 2
    sizes = [estimate_tokens(chunk.embedding_text) for chunk in chunks]
    assert max(sizes) <= CHUNK_TOKENS + 2
    assert min(sizes[:-1]) > CHUNK_TOKENS / 2, "what remains is filled"


@given(st.text(min_size=40, max_size=500))
def test_halves_keep_all_text(text: str) -> None:
    halves = split_in_half(Chunk("page 1", text, "heading"))
    assert "".join("".join(half.text.split()) for half in halves) == "".join(text.split())
    assert all((half.label, half.heading) == ("page 1", "heading") for half in halves)
    if text.strip() == text:
        assert len(halves) == 2


def test_halves_are_equally_long() -> None:
    halves = split_in_half(Chunk("page 1", f"{'a' * 30} {'b' * 30}", ""))
    assert [half.text for half in halves] == ["a" * 30, "b" * 30]


def test_truncated_text_fits() -> None:
    assert truncate("short") == "short"
    assert truncate("") == ""
    start = truncate(" ".join(WORDS), 100)
    assert estimate_tokens(start) <= 100
    assert " ".join(WORDS).startswith(start)
