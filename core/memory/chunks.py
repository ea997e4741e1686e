"""Cuts a document into pieces that the embedding model can take. Pure.

A piece ends between paragraphs if it can, else between lines or sentences, else between words,
and begins with the last words of the one before.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import regex

from core.conversation.tokens import CHARACTER_CLASSES, TOKENS_PER_OTHER_CHAR, TOKENS_PER_WORD
from core.memory.file_document import FileDocument, Section

__all__ = [
    "CHUNK_TOKENS",
    "Chunk",
    "estimate_tokens",
    "split_document",
    "split_in_half",
    "truncate",
]

CHUNK_TOKENS = 400.0  # tokens by our estimate, of 512: it may be wrong by a quarter
OVERLAP_TOKENS = 40.0  # tokens
MAX_CONTEXT_CHARS = 100  # characters
MAX_WORD_TOKENS = 80.0  # tokens of what can be a word
MIN_SPLITTABLE_CHARS = 40  # characters of a piece that is still cut in two

WORD_PATTERN = re.compile(r"\S+\s*|\s+")
GRAPHEME_PATTERN = regex.compile(r"\X")
CJK_STOPS = frozenset("。！？；，、")
SENTENCE_END_PATTERN = re.compile(r"[.!?…][\"'”’)\]]*\s+$|[。！？]\s*$")
ASCII_WEIGHTS = {
    chr(code): next(
        (w for chars, w in CHARACTER_CLASSES if re.match(f"[{chars}]", chr(code))),
        TOKENS_PER_OTHER_CHAR,
    )
    for code in range(128)
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """`label` is what a citation calls it: "page 3", "lines 10-40"."""

    label: str
    text: str
    heading: str = ""
    """Goes before the text when it is embedded: the headings it stands under."""

    @property
    def embedding_text(self) -> str:
        return f"{self.heading}\n{self.text}" if self.heading else self.text


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with the space after it: what a piece is made of."""

    text: str
    tokens: float
    break_rank: int
    """How good it is to end after it: 0 inside a word, 1 a word, 2 a sentence or line, 3 more."""
    lines_before: int
    """Lines before it."""


def estimate_tokens(text: str) -> float:
    """Tokens of `text`, rather too many: the embedding model's vocabulary has few words beyond
    ASCII.
    """
    return sum(ASCII_WEIGHTS.get(c, TOKENS_PER_OTHER_CHAR) for c in text) + TOKENS_PER_WORD * (text.count(" ") + 1)


def split_document(document: FileDocument, max_tokens: float = CHUNK_TOKENS) -> list[Chunk]:
    return [piece for section in document.sections for piece in _split_section(section, max_tokens)]


def split_in_half(chunk: Chunk) -> list[Chunk]:
    """The same in two, or as it is when it is too short for that."""
    if len(chunk.text) < MIN_SPLITTABLE_CHARS:
        return [chunk]
    words = list(_split_words(chunk.text))
    middle = sum(atom.tokens for atom in words) / 2
    at = next(i for i, so_far in enumerate(_running_tokens(words)) if so_far >= middle) + 1
    if at >= len(words):
        text = chunk.text
        texts = text[: len(text) // 2], text[len(text) // 2 :]
    else:
        texts = _join_words(words[:at]), _join_words(words[at:])
    return [Chunk(chunk.label, text.strip(), chunk.heading) for text in texts if text.strip()]


def truncate(text: str, max_tokens: float = CHUNK_TOKENS) -> str:
    """As much of the beginning as fits."""
    return next((piece.text for piece in _split_section(Section(text), max_tokens)), "")


def _split_section(section: Section, max_tokens: float) -> Iterator[Chunk]:
    context = section.label[-MAX_CONTEXT_CHARS:] if section.has_heading_label else ""
    header = section.header[:400]
    text_tokens = max(max_tokens / 4, max_tokens - estimate_tokens(context) - estimate_tokens(header))
    words = list(_split_words(section.text))
    sums = [0.0, *_running_tokens(words)]
    begin = 0
    while begin < len(words):
        end = _chunk_end(words, sums, begin, text_tokens)
        text = _join_words(words[begin:end]).strip("\n").rstrip()
        if text.strip():
            chunk_text = f"{header}\n{text}" if header else text
            yield Chunk(section.label or _line_label(section, words[begin:end]), chunk_text, context)
        if end >= len(words):
            return
        # Rows stand for themselves; what runs on is easier to understand with what went before.
        begin = end if header else _next_begin(words, sums, begin, end, text_tokens)


def _chunk_end(words: list[_Word], sums: list[float], begin: int, max_tokens: float) -> int:
    """Where a piece that begins at `begin` ends: as late as it can, at a good place."""
    last = begin + 1
    while last < len(words) and sums[last + 1] - sums[begin] <= max_tokens:
        last += 1
    if last == len(words):
        return last
    enough = sums[begin] + max_tokens * 0.6
    candidates = [i for i in range(last, begin, -1) if sums[i] >= enough] or [last]
    return max(candidates, key=lambda i: (words[i - 1].break_rank, i))


def _next_begin(words: list[_Word], sums: list[float], begin: int, end: int, max_tokens: float) -> int:
    """Where the next piece begins: some words back, at a sentence's beginning if one is near."""
    max_overlap = min(OVERLAP_TOKENS, max_tokens / 4)
    at = end
    while at - 1 > begin and sums[end] - sums[at - 1] <= max_overlap:
        at -= 1
    starts = [i for i in range(at, end) if words[i - 1].break_rank > 1]
    if starts:
        return starts[0]
    return next((i for i in range(at, end) if words[i - 1].break_rank), end)


def _line_label(section: Section, words: list[_Word]) -> str:
    first = section.first_line + words[0].lines_before + (1 if section.header else 0)
    last = section.first_line + words[-1].lines_before + (1 if section.header else 0)
    if first == last:
        return f"{section.unit.removesuffix('s')} {first}"
    return f"{section.unit} {first}-{last}"


def _split_words(text: str) -> Iterator[_Word]:
    lines = 0
    for match in WORD_PATTERN.finditer(text):
        for part, inside in _split_long_word(match[0]):
            breaks = part.count("\n")
            rank = 0 if inside else 1
            if breaks > 1 or "\f" in part:
                rank = 3
            elif breaks or SENTENCE_END_PATTERN.search(part):
                rank = 2
            yield _Word(part, estimate_tokens(part), rank, lines)
            lines += breaks


def _split_long_word(word: str) -> Iterator[tuple[str, bool]]:
    """A word, or (for one that no piece could hold, as in scripts without spaces) parts of it;
    and whether the word goes on after the part.
    """
    if len(word) <= MAX_WORD_TOKENS / 2 or estimate_tokens(word) <= MAX_WORD_TOKENS:
        yield word, False
        return
    part, size = "", 0.0
    graphemes = GRAPHEME_PATTERN.findall(word)
    for at, grapheme in enumerate(graphemes, 1):
        part += grapheme
        size += estimate_tokens(grapheme)
        stop = grapheme in CJK_STOPS
        if at < len(graphemes) and (size >= MAX_WORD_TOKENS or (stop and size > MAX_WORD_TOKENS / 8)):
            yield part, not stop
            part, size = "", 0.0
    yield part, False


def _running_tokens(words: list[_Word]) -> Iterator[float]:
    return itertools.accumulate(atom.tokens for atom in words)


def _join_words(words: list[_Word]) -> str:
    return "".join(atom.text for atom in words)
