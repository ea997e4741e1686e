"""The stand-in's tokeniser: strict, deterministic, and none that a client could know.

A text falls into words (with the space before them), digits, signs and white space. A word is
cut greedily into the longest pieces of a vocabulary; whether a piece belongs to the vocabulary is
decided by its checksum, the more rarely the longer the piece and the rarer its script. So the
count depends on the very words, as with real models and unlike any sum over characters: nearly 4
characters a token in English prose, 2.5 in Russian, 1.4 in Chinese, one digit, half an emoji.

Each model counts a little differently, by its name: `scale` (0.90 to 1.20) times the pieces,
`each` tokens around every message and `preamble` tokens before them all.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["Tokeniser", "pieces"]

GROUPS = re.compile(r" ?[^\W\d_]+|\d| ?[^\w\s]+|_+|\s+")
LONGEST = 12  # characters of a piece
WINDOW = 24  # characters cut at once: scripts without spaces have no words

# How many of the pieces of 2, 3, ... characters are in the vocabulary, in a thousand.
LATIN = (1000, 950, 850, 760, 660, 560, 470, 390, 320, 260, 200)
ALPHABETS = (900, 620, 380, 230, 140, 90, 60)
IDEOGRAPHS = (480, 140, 50)
SIGNS = (550, 150, 60)
BLANKS = (900,) * 11


def pieces(text: str) -> tuple[str, ...]:
    """The text's tokens. What takes several of them has empty ones after it."""
    return _pieces(text) if len(text) < 100_000 else _pieces.__wrapped__(text)


@lru_cache(maxsize=2048)
def _pieces(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for group in GROUPS.findall(text):
        for start in range(0, len(group), WINDOW):
            found += _cut(group[start : start + WINDOW])
    return tuple(found)


@lru_cache(maxsize=65_536)
def _cut(group: str) -> tuple[str, ...]:
    chances = _chances(group)
    found: list[str] = []
    at = 0
    while at < len(group):
        longest = min(len(chances) + 1, LONGEST, len(group) - at)
        size = next((n for n in range(longest, 1, -1) if _known(group[at : at + n], chances)), 1)
        found.append(group[at : at + size])
        if size == 1 and ord(group[at]) > 0xFFFF:
            found.append("")
        at += size
    return tuple(found)


def _known(piece: str, chances: tuple[int, ...]) -> bool:
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % 1000 < chances[len(piece) - 2]


def _chances(group: str) -> tuple[int, ...]:
    first = ord(group.strip(" ")[:1] or " ")
    if group.isspace():
        return BLANKS
    if not group.strip(" ")[:1].isalpha():
        return SIGNS
    if first < 0x80:
        return LATIN
    return ALPHABETS if first < 0x2E80 else IDEOGRAPHS


class Tokeniser:
    """How one model counts."""

    def __init__(self, model: str) -> None:
        drawn = zlib.crc32(model.encode())
        self.scale = 90 + drawn % 31  # per cent
        self.each = 3 + drawn // 31 % 5
        self.preamble = 4 + drawn // 155 % 50

    def tokens(self, count: int) -> int:
        """What `count` pieces cost."""
        return -(-count * self.scale // 100)

    def pieces_in(self, tokens: int) -> int:
        """How many pieces cost no more than `tokens`."""
        return tokens * 100 // self.scale

    def text(self, text: str) -> int:
        return self.tokens(len(pieces(text)))

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> int:
        said = sum(self.text(content(message)) + self.each for message in messages)
        return self.preamble + said


def content(message: Mapping[str, Any]) -> str:
    """A message's text, from its parts where it has such."""
    given = message.get("content")
    if isinstance(given, list):
        return "\n".join(str(part.get("text", "")) for part in given if isinstance(part, dict))
    return given if isinstance(given, str) else ""
