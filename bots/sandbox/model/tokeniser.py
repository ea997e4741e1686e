"""The stand-in's tokeniser: strict, deterministic, and unknown to clients.

A text is split into words (with the space before them), digits, signs and white space. Each word is
cut greedily into the longest pieces of a vocabulary. The checksum of a piece decides whether it is
in the vocabulary; long pieces and rare scripts are there less often. For example, " lighthouse"
becomes " light" + "house" if those two are the longest pieces in the vocabulary.

The count therefore depends on the words themselves, as with real models, and not on the number of
characters: nearly 4 characters a token in English prose, 2.5 in Russian, 1.4 in Chinese, one digit,
half an emoji.

Each model counts a little differently, depending on its name: `scale_percent` (90 to 120) of the
pieces, `message_overhead` tokens for every message and `prompt_overhead` tokens for the prompt.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

GROUP_PATTERN = re.compile(r" ?[^\W\d_]+|\d| ?[^\w\s]+|_+|\s+")
MAX_PIECE_CHARS = 12
MAX_GROUP_CHARS = 24
"""Scripts without spaces have no words, so longer groups are cut."""

# How many of a thousand pieces of 2, 3, ... characters are in the vocabulary.
LATIN_RATES = (1000, 950, 850, 760, 660, 560, 470, 390, 320, 260, 200)
ALPHABET_RATES = (900, 620, 380, 230, 140, 90, 60)
IDEOGRAPH_RATES = (480, 140, 50)
SYMBOL_RATES = (550, 150, 60)
WHITESPACE_RATES = (900,) * 11


def split_pieces(text: str) -> tuple[str, ...]:
    """The pieces of a text. A character that takes two is followed by an empty piece."""
    return _split_pieces_cached(text) if len(text) < 100_000 else _split_pieces_cached.__wrapped__(text)


@lru_cache(maxsize=2048)
def _split_pieces_cached(text: str) -> tuple[str, ...]:
    result: list[str] = []
    for group in GROUP_PATTERN.findall(text):
        for start in range(0, len(group), MAX_GROUP_CHARS):
            result += _split_group(group[start : start + MAX_GROUP_CHARS])
    return tuple(result)


@lru_cache(maxsize=65_536)
def _split_group(group: str) -> tuple[str, ...]:
    rates = _vocabulary_rates(group)
    result: list[str] = []
    start = 0
    while start < len(group):
        longest = min(len(rates) + 1, MAX_PIECE_CHARS, len(group) - start)
        size = next((n for n in range(longest, 1, -1) if _in_vocabulary(group[start : start + n], rates)), 1)
        result.append(group[start : start + size])
        if size == 1 and ord(group[start]) > 0xFFFF:
            result.append("")
        start += size
    return tuple(result)


def _in_vocabulary(piece: str, rates: tuple[int, ...]) -> bool:
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % 1000 < rates[len(piece) - 2]


def _vocabulary_rates(group: str) -> tuple[int, ...]:
    first = ord(group.strip(" ")[:1] or " ")
    if group.isspace():
        return WHITESPACE_RATES
    if not group.strip(" ")[:1].isalpha():
        return SYMBOL_RATES
    if first < 0x80:
        return LATIN_RATES
    return ALPHABET_RATES if first < 0x2E80 else IDEOGRAPH_RATES


class Tokeniser:
    def __init__(self, model: str) -> None:
        checksum = zlib.crc32(model.encode())
        self.scale_percent = 90 + checksum % 31
        self.message_overhead = 3 + checksum // 31 % 5
        self.prompt_overhead = 4 + checksum // 155 % 50

    def tokens_for_pieces(self, piece_count: int) -> int:
        return -(-piece_count * self.scale_percent // 100)

    def max_pieces(self, token_count: int) -> int:
        """How many pieces cost at most `token_count` tokens."""
        return token_count * 100 // self.scale_percent

    def count_text(self, text: str) -> int:
        return self.tokens_for_pieces(len(split_pieces(text)))

    def count_prompt(self, messages: Sequence[Mapping[str, Any]]) -> int:
        message_tokens = (self.count_text(message_text(message)) + self.message_overhead for message in messages)
        return self.prompt_overhead + sum(message_tokens)


def message_text(message: Mapping[str, Any]) -> str:
    """The content of a message; text parts are joined."""
    value = message.get("content")
    if isinstance(value, list):
        return "\n".join(str(part["text"]) for part in value if isinstance(part, dict) and "text" in part)
    return value if isinstance(value, str) else ""
