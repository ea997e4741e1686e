"""Which of the candidates fit a question: by meaning, and by the words they share with it. Pure.

Vectors know what a text is about, yet little of names, numbers and codes, which are what people
ask documents for.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from core.store.memories import Found

__all__ = ["rank", "terms"]

# Measured with the sandbox's vectors, 24 notes, 68 questions (tests/benchmarks/bench_recall.py):
# SHARED = 0.3 finds 23 of 24 fitting notes and brings up one for 5 of 24 questions that share a
# word with a note and are about something else; 0.2 finds all 24, yet errs 15 times of 24. Nothing
# came up for 20 unrelated questions. There the fitting note's cosine is 0.30 (median; 0.11 to
# 0.45) and the best of any other question 0.24, so that ALIKE hardly decides; vectors of real
# models lie closer together, and ALIKE was not measured with one.
WORDS = 0.7
"""What sharing all words counts for beside the cosine, which is 1 at most."""
ALIKE = 0.45  # cosine from which on a text is about the same
SHARED = 0.3  # or the part of the question's words it has, by weight
STEM = 6  # letters that tell a word, whatever its ending
LONGEST = 4_000  # characters of a question whose words are looked for
TERM = re.compile(r"[^\W_]+")
COMMON = frozenset({
    "about", "also", "been", "could", "does", "from", "have", "into", "just", "know", "like",
    "many", "more", "most", "much", "only", "other", "please", "should", "some", "tell", "than",
    "that", "their", "them", "then", "there", "these", "they", "this", "those", "want", "were",
    "what", "when", "where", "which", "will", "with", "would", "your",
})  # fmt: skip


def rank(question: str, found: Sequence[Found]) -> list[Found]:
    """Those of `found` that are alike, the best first, with their new scores."""
    asked = terms(question)
    having = _Having(asked)
    have = [having(f"{one.name} {one.label} {one.text}".casefold()) for one in found]
    weight = {
        term: math.log(1.0 + len(have) / (1.0 + sum(term in each for each in have)))
        for term in asked
    }
    whole = sum(weight.values())
    ranked = []
    for one, each in zip(found, have, strict=True):
        shared = sum(weight[term] for term in each) / whole if whole > 0 else 0.0
        if one.score >= ALIKE or shared >= SHARED:
            ranked.append(replace(one, score=one.score + WORDS * shared))
    return sorted(ranked, key=lambda one: (-one.score, one.id))


def terms(text: str) -> frozenset[str]:
    """What tells a text from others: longer words by their beginnings, anything with a digit,
    pairs of characters where words have no spaces between them.
    """
    found = set()
    for word in TERM.findall(text[:LONGEST].casefold()):
        if _unspaced(word):
            found |= {word[at : at + 2] for at in range(max(1, len(word) - 1))}
        elif (len(word) > 3 and word not in COMMON) or any(map(str.isdecimal, word)):
            found.add(word[:STEM])
    return frozenset(found)


class _Having:
    """Which of the terms a text has (both in lower case)."""

    def __init__(self, asked: frozenset[str]) -> None:
        self._pairs = frozenset(filter(_unspaced, asked))
        words = (
            re.escape(term) + ("" if len(term) == STEM else r"(?![^\W_])")
            for term in sorted(asked - self._pairs)
        )
        alternatives = "|".join(words)
        self._words = re.compile(rf"(?<![^\W_])(?:{alternatives})") if alternatives else None

    def __call__(self, text: str) -> frozenset[str]:
        words = self._words.findall(text) if self._words is not None else []
        return frozenset(words) | {pair for pair in self._pairs if pair in text}


def _unspaced(word: str) -> bool:
    return any(character > "\u2e7f" for character in word)
