"""Splits a document into chunks that the embedding model accepts. Pure.

The text becomes a list of words, each with its tokens and the quality of a break after it. A chunk takes
as many words as fit, then ends at the best break in its last part. The next chunk begins some words
earlier, at the start of a sentence if possible, so that one of the two contains a passage on the border as a whole.
With room for eight words and an overlap of three:

    text      Aa bb cc. Dd ee ff. Gg hh ii.
    chunk 1   Aa bb cc. Dd ee ff.
    chunk 2             Dd ee ff. Gg hh ii.

Chunks of a table do not overlap; each repeats the header row.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import regex
from msgspec.structs import replace

from core.conversation.tokens import CHARACTER_CLASSES, TOKENS_PER_OTHER_CHAR, TOKENS_PER_WORD
from core.memory.file_document import Chunk, FileDocument, Section

CHUNK_TOKENS = 400.0
"""Estimated. The estimate may be a quarter too low, and the embedding model accepts 512."""
OVERLAP_TOKENS = 40.0
MIN_FILL_RATIO = 0.6
"""The filled share of a chunk from which on a good break ends it."""
MAX_HEADING_CHARS = 100
MAX_HEADER_CHARS = 400
MAX_WORD_TOKENS = 80.0
"""A longer run without spaces is split."""
MIN_SPLITTABLE_CHARS = 40

WORD_PATTERN = re.compile(r"\S+\s*|\s+")
GRAPHEME_PATTERN = regex.compile(r"\X")
CJK_PUNCTUATION = frozenset("。！？；，、")
SENTENCE_END_PATTERN = re.compile(r"[.!?…][\"'”’)\]]*\s+$|[。！？]\s*$")
ASCII_WEIGHTS = {
    chr(code): next(
        (weight for chars, weight in CHARACTER_CLASSES if re.match(f"[{chars}]", chr(code))), TOKENS_PER_OTHER_CHAR
    )
    for code in range(128)
}


class _BreakQuality(IntEnum):
    """How good a place to end a chunk is; higher is better."""

    INSIDE_WORD = 0
    WORD = 1
    SENTENCE_OR_LINE = 2
    PARAGRAPH = 3


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with the space after it."""

    text: str
    tokens: float
    break_quality: _BreakQuality
    line: int
    """The line on which the word begins, counted from 0."""


def estimate_tokens(text: str) -> float:
    """Estimate the tokens of `text` for the embedding model, whose vocabulary is mostly ASCII."""
    characters = sum(ASCII_WEIGHTS.get(character, TOKENS_PER_OTHER_CHAR) for character in text)
    return characters + TOKENS_PER_WORD * (text.count(" ") + 1)


def split_document(document: FileDocument) -> Iterator[Chunk]:
    """The chunks one after another; only the words of one are in memory."""
    return itertools.chain.from_iterable(_split_section(section, CHUNK_TOKENS) for section in document.sections)


def split_in_half(chunk: Chunk) -> list[Chunk]:
    """Split a chunk in two, unless it is too short."""
    if len(chunk.text) < MIN_SPLITTABLE_CHARS:
        return [chunk]
    words = list(_split_words(chunk.text))
    half_tokens = sum(word.tokens for word in words) / 2
    middle = next(index for index, tokens in enumerate(_running_tokens(words), 1) if tokens >= half_tokens)
    if middle < len(words):
        halves = _join_words(words[:middle]), _join_words(words[middle:])
    else:
        halves = chunk.text[: len(chunk.text) // 2], chunk.text[len(chunk.text) // 2 :]
    return [_make_chunk(chunk.label, text.strip(), chunk.heading) for text in halves if text.strip()]


def _make_chunk(label: str, text: str, heading: str) -> Chunk:
    chunk = Chunk(label, text, heading)
    return replace(chunk, tokens=estimate_tokens(chunk.embedding_text))


def truncate(text: str, max_tokens: float = CHUNK_TOKENS) -> str:
    """The longest beginning of `text` that fits."""
    return next((chunk.text for chunk in _split_section(Section(text), max_tokens)), "")


def _split_section(section: Section, max_tokens: float) -> Iterator[Chunk]:
    heading = section.label[-MAX_HEADING_CHARS:] if section.has_heading_label else ""
    header = section.header[:MAX_HEADER_CHARS]
    text_tokens = max(max_tokens / 4, max_tokens - estimate_tokens(heading) - estimate_tokens(header))
    following = _split_words(section.text)
    words: list[_Word] = []
    while words := _fill(words, following, text_tokens):
        token_sums = [0.0, *_running_tokens(words)]
        end = _chunk_end(words, token_sums, text_tokens)
        text = _join_words(words[:end]).strip("\n").rstrip()
        if text.strip():
            label = section.label or _line_label(section, words[0], words[end - 1])
            yield _make_chunk(label, f"{header}\n{text}" if header else text, heading)
        if end == len(words):
            return
        words = words[end if header else _next_start(words, token_sums, end, text_tokens) :]


def _fill(words: list[_Word], following: Iterator[_Word], max_tokens: float) -> list[_Word]:
    """Add to `words` until they exceed one chunk, or none follow."""
    tokens = sum(word.tokens for word in words)
    while (tokens <= max_tokens or len(words) < 2) and (word := next(following, None)) is not None:
        words.append(word)
        tokens += word.tokens
    return words


def _chunk_end(words: Sequence[_Word], token_sums: Sequence[float], max_tokens: float) -> int:
    """The end of the first chunk of `words`: the best break in its last part, and of equal ones the last."""
    last = 1
    while last < len(words) and token_sums[last + 1] <= max_tokens:
        last += 1
    if last == len(words):
        return last
    ends = [end for end in range(last, 0, -1) if token_sums[end] >= max_tokens * MIN_FILL_RATIO] or [last]
    return max(ends, key=lambda end: (words[end - 1].break_quality, end))


def _next_start(words: Sequence[_Word], token_sums: Sequence[float], end: int, max_tokens: float) -> int:
    """The start of the chunk after words[:end]: the first sentence in the overlap, else the first word."""
    max_overlap = min(OVERLAP_TOKENS, max_tokens / 4)
    first = end
    while first > 1 and token_sums[end] - token_sums[first - 1] <= max_overlap:
        first -= 1
    for min_quality in (_BreakQuality.SENTENCE_OR_LINE, _BreakQuality.WORD):
        for index in range(first, end):
            if words[index - 1].break_quality >= min_quality:
                return index
    return end


def _line_label(section: Section, first_word: _Word, last_word: _Word) -> str:
    offset = section.first_line + (1 if section.header else 0)
    first, last = offset + first_word.line, offset + last_word.line
    return f"{section.unit} {first}" if first == last else f"{section.unit}s {first}-{last}"


def _split_words(text: str) -> Iterator[_Word]:
    line = 0
    for match in WORD_PATTERN.finditer(text):
        for part, part_quality in _split_long_word(match[0]):
            line_breaks = part.count("\n")
            quality = part_quality
            if line_breaks > 1 or "\f" in part:
                quality = _BreakQuality.PARAGRAPH
            elif line_breaks or SENTENCE_END_PATTERN.search(part):
                quality = _BreakQuality.SENTENCE_OR_LINE
            yield _Word(part, estimate_tokens(part), quality, line)
            line += line_breaks


def _split_long_word(word: str) -> Iterator[tuple[str, _BreakQuality]]:
    """The parts of a word that is too long for one chunk, as in scripts without spaces."""
    if len(word) <= MAX_WORD_TOKENS / 2 or estimate_tokens(word) <= MAX_WORD_TOKENS:
        yield word, _BreakQuality.WORD
        return
    part, tokens = "", 0.0
    graphemes = GRAPHEME_PATTERN.findall(word)
    for number, grapheme in enumerate(graphemes, 1):
        part += grapheme
        tokens += estimate_tokens(grapheme)
        is_stop = grapheme in CJK_PUNCTUATION
        if number < len(graphemes) and (tokens >= MAX_WORD_TOKENS or (is_stop and tokens > MAX_WORD_TOKENS / 8)):
            yield part, _BreakQuality.WORD if is_stop else _BreakQuality.INSIDE_WORD
            part, tokens = "", 0.0
    yield part, _BreakQuality.WORD


def _running_tokens(words: Sequence[_Word]) -> Iterator[float]:
    return itertools.accumulate(word.tokens for word in words)


def _join_words(words: Sequence[_Word]) -> str:
    return "".join(word.text for word in words)
