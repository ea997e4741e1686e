"""Cuts a document into pieces that the embedding model can take. Pure.

A piece ends between paragraphs if it can, else between lines or sentences, else between words,
and begins with the last words of the one before.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import regex

from core.conversation.tokens import CLASSES, OTHER, WORD
from core.memory.document import Document, Section

__all__ = ["BUDGET", "Piece", "cost", "cut", "halves", "head"]

BUDGET = 400.0  # tokens by our estimate, of 512: it may be wrong by a quarter
OVERLAP = 40.0  # tokens
LONGEST_CONTEXT = 100  # characters
LONGEST_ATOM = 80.0  # tokens of what can be a word
LEAST = 40  # characters of a piece that is still cut in two

ATOM = re.compile(r"\S+\s*|\s+")
GRAPHEMES = regex.compile(r"\X")
STOPS = frozenset("。！？；，、")
SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+$|[。！？]\s*$")
ASCII = {
    chr(code): next((w for chars, w in CLASSES if re.match(f"[{chars}]", chr(code))), OTHER)
    for code in range(128)
}


@dataclass(frozen=True, slots=True)
class Piece:
    """`label` is what a citation calls it: "page 3", "lines 10-40"."""

    label: str
    text: str
    context: str = ""
    """Goes before the text when it is embedded: the headings it stands under."""

    @property
    def embedded(self) -> str:
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class _Atom:
    """A word with the space after it: what a piece is made of."""

    text: str
    cost: float
    rank: int
    """How good it is to end after it: 0 inside a word, 1 a word, 2 a sentence or line, 3 more."""
    lines: int
    """Lines before it."""


def cost(text: str) -> float:
    """Tokens of `text`, rather too many: the embedding model's vocabulary has few words beyond
    ASCII.
    """
    return sum(ASCII.get(c, OTHER) for c in text) + WORD * (text.count(" ") + 1)


def cut(document: Document, budget: float = BUDGET) -> list[Piece]:
    return [piece for section in document.sections for piece in _section(section, budget)]


def halves(piece: Piece) -> list[Piece]:
    """The same in two, or as it is when it is too short for that."""
    if len(piece.text) < LEAST:
        return [piece]
    atoms = list(_atoms(piece.text))
    middle = sum(atom.cost for atom in atoms) / 2
    at = next(i for i, so_far in enumerate(_sums(atoms)) if so_far >= middle) + 1
    if at >= len(atoms):
        text = piece.text
        both = text[: len(text) // 2], text[len(text) // 2 :]
    else:
        both = _joined(atoms[:at]), _joined(atoms[at:])
    return [Piece(piece.label, text.strip(), piece.context) for text in both if text.strip()]


def head(text: str, budget: float = BUDGET) -> str:
    """As much of the beginning as fits."""
    return next((piece.text for piece in _section(Section(text), budget)), "")


def _section(section: Section, budget: float) -> Iterator[Piece]:
    context = section.label[-LONGEST_CONTEXT:] if section.headed else ""
    header = section.header[:400]
    room = max(budget / 4, budget - cost(context) - cost(header))
    atoms = list(_atoms(section.text))
    sums = [0.0, *_sums(atoms)]
    begin = 0
    while begin < len(atoms):
        end = _end(atoms, sums, begin, room)
        text = _joined(atoms[begin:end]).strip("\n").rstrip()
        if text.strip():
            shown = f"{header}\n{text}" if header else text
            yield Piece(section.label or _lines(section, atoms[begin:end]), shown, context)
        if end >= len(atoms):
            return
        # Rows stand for themselves; what runs on is easier to understand with what went before.
        begin = end if header else _overlap(atoms, sums, begin, end, room)


def _end(atoms: list[_Atom], sums: list[float], begin: int, room: float) -> int:
    """Where a piece that begins at `begin` ends: as late as it can, at a good place."""
    last = begin + 1
    while last < len(atoms) and sums[last + 1] - sums[begin] <= room:
        last += 1
    if last == len(atoms):
        return last
    enough = sums[begin] + room * 0.6
    candidates = [i for i in range(last, begin, -1) if sums[i] >= enough] or [last]
    return max(candidates, key=lambda i: (atoms[i - 1].rank, i))


def _overlap(atoms: list[_Atom], sums: list[float], begin: int, end: int, room: float) -> int:
    """Where the next piece begins: some words back, at a sentence's beginning if one is near."""
    most = min(OVERLAP, room / 4)
    at = end
    while at - 1 > begin and sums[end] - sums[at - 1] <= most:
        at -= 1
    starts = [i for i in range(at, end) if atoms[i - 1].rank > 1]
    if starts:
        return starts[0]
    return next((i for i in range(at, end) if atoms[i - 1].rank), end)


def _lines(section: Section, atoms: list[_Atom]) -> str:
    first = section.first + atoms[0].lines + (1 if section.header else 0)
    last = section.first + atoms[-1].lines + (1 if section.header else 0)
    if first == last:
        return f"{section.unit.removesuffix('s')} {first}"
    return f"{section.unit} {first}-{last}"


def _atoms(text: str) -> Iterator[_Atom]:
    lines = 0
    for match in ATOM.finditer(text):
        for part, inside in _parts(match[0]):
            breaks = part.count("\n")
            rank = 0 if inside else 1
            if breaks > 1 or "\f" in part:
                rank = 3
            elif breaks or SENTENCE.search(part):
                rank = 2
            yield _Atom(part, cost(part), rank, lines)
            lines += breaks


def _parts(word: str) -> Iterator[tuple[str, bool]]:
    """A word, or (for one that no piece could hold, as in scripts without spaces) parts of it;
    and whether the word goes on after the part.
    """
    if len(word) <= LONGEST_ATOM / 2 or cost(word) <= LONGEST_ATOM:
        yield word, False
        return
    part, size = "", 0.0
    graphemes = GRAPHEMES.findall(word)
    for at, grapheme in enumerate(graphemes, 1):
        part += grapheme
        size += cost(grapheme)
        stop = grapheme in STOPS
        if at < len(graphemes) and (size >= LONGEST_ATOM or (stop and size > LONGEST_ATOM / 8)):
            yield part, not stop
            part, size = "", 0.0
    yield part, False


def _sums(atoms: list[_Atom]) -> Iterator[float]:
    return itertools.accumulate(atom.cost for atom in atoms)


def _joined(atoms: list[_Atom]) -> str:
    return "".join(atom.text for atom in atoms)
