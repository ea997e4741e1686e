"""Selects the stored texts that fit a question, by similarity of meaning and by shared terms. Pure.

Vectors capture the subject of a text, but hardly its names, numbers and codes, which people often ask for.
The score is therefore the cosine plus a bonus for the question's terms in the text. The fewer candidates have
a term, the more it counts:

    question        "How long is the Kestrel K-77 guaranteed?"     terms: long, kestre, 77, guaran
    cosine 0.62     "Pumps are guaranteed by their makers."        shares "guaran":       second
    cosine 0.50     "The Kestrel K-77 stops after 31 months."      shares "kestre", "77": first
    cosine 0.20     "A word about the weather."                    shares nothing:        excluded
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from core.store.memories import ScoredChunk

# Measured with the sandbox's vectors, 24 notes and 68 questions (tests/benchmarks/bench_recall.py).
# A term overlap of 0.3 recalls 23 of the 24 fitting notes, and a note for 5 of the 24 questions that share
# a word with a note but ask about something else. With 0.2 it is 24 notes, and 15 of these questions. None
# of the 20 unrelated questions recalls a note. The cosine of the fitting note is 0.30 (median; 0.11 to
# 0.45), the best cosine of any other question 0.24: MIN_COSINE hardly matters here. Vectors of real models
# lie closer together; MIN_COSINE was not measured with one.
MIN_COSINE = 0.45
"""From this cosine on, a text fits the question."""
MIN_TERM_OVERLAP = 0.3
"""A text also fits if it has at least this weighted share of the question's terms."""
TERM_OVERLAP_WEIGHT = 0.7
"""The bonus for having all terms of the question; a cosine is at most 1."""
STEM_CHARS = 6
"""Words that begin with the same letters count as the same term."""
MAX_QUESTION_CHARS = 4_000
TERM_PATTERN = re.compile(r"[^\W_]+")
STOP_WORDS = frozenset(
    """
    about also been could does from have into just know like many more most much only other please should some
    tell than that their them then there these they this those want were what when where which will with would
    your
    """.split()  # noqa: SIM905 (a literal takes a line for each)
)


def rank(
    question: str,
    candidates: Sequence[ScoredChunk],
    *,
    min_cosine: float = MIN_COSINE,
    min_term_overlap: float = MIN_TERM_OVERLAP,
) -> list[ScoredChunk]:
    """The candidates that fit the question, best first, with their new scores."""
    question_terms = extract_terms(question)
    find_terms = _TermMatcher(question_terms)
    matched_terms = [find_terms(f"{chunk.name} {chunk.label} {chunk.text}".casefold()) for chunk in candidates]
    counts = Counter(itertools.chain.from_iterable(matched_terms))
    weights = {term: math.log(1.0 + len(matched_terms) / (1.0 + counts[term])) for term in question_terms}
    total_weight = sum(weights.values())
    ranked = []
    for chunk, terms in zip(candidates, matched_terms, strict=True):
        overlap = sum(weights[term] for term in terms) / total_weight if total_weight > 0 else 0.0
        if chunk.score >= min_cosine or overlap >= min_term_overlap:
            ranked.append(replace(chunk, score=chunk.score + TERM_OVERLAP_WEIGHT * overlap))
    return sorted(ranked, key=lambda chunk: (-chunk.score, chunk.id))


def extract_terms(text: str) -> frozenset[str]:
    """The terms that distinguish a text: stems of longer words, anything with a digit, and pairs of
    characters in scripts without spaces.
    """
    terms = set()
    for word in TERM_PATTERN.findall(text[:MAX_QUESTION_CHARS].casefold()):
        if _is_unspaced_script(word):
            terms |= {word[start : start + 2] for start in range(max(1, len(word) - 1))}
        elif (len(word) > 3 and word not in STOP_WORDS) or any(map(str.isdecimal, word)):
            terms.add(word[:STEM_CHARS])
    return frozenset(terms)


class _TermMatcher:
    """Finds the terms that a text contains, in one pass over it. Both are in lower case."""

    def __init__(self, terms: frozenset[str]) -> None:
        self._pairs = frozenset(filter(_is_unspaced_script, terms))
        # A term of full length is a stem and matches the beginning of a word, a shorter one a whole word.
        self._words = terms - self._pairs

    def __call__(self, text: str) -> frozenset[str]:
        found = self._words.intersection(word[:STEM_CHARS] for word in TERM_PATTERN.findall(text))
        if self._pairs:
            found |= self._pairs.intersection(text) | self._pairs.intersection(map("".join, itertools.pairwise(text)))
        return found


def _is_unspaced_script(word: str) -> bool:
    return any(character > "\u2e7f" for character in word)
