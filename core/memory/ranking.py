"""Which of the candidates fit a question: by meaning, and by the words they share with it. Pure.

Vectors know what a text is about, yet little of names, numbers and codes, which are what people
ask documents for.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from core.store.memories import ScoredChunk

__all__ = ["extract_terms", "rank"]

# Measured with the sandbox's vectors, 24 notes, 68 questions (tests/benchmarks/bench_recall.py):
# SHARED = 0.3 finds 23 of 24 fitting notes and brings up one for 5 of 24 questions that share a
# word with a note and are about something else; 0.2 finds all 24, yet errs 15 times of 24. Nothing
# came up for 20 unrelated questions. There the fitting note's cosine is 0.30 (median; 0.11 to
# 0.45) and the best of any other question 0.24, so that ALIKE hardly decides; vectors of real
# models lie closer together, and ALIKE was not measured with one.
TERM_OVERLAP_WEIGHT = 0.7
"""What sharing all words counts for beside the cosine, which is 1 at most."""
MIN_COSINE = 0.45  # cosine from which on a text is about the same
MIN_TERM_OVERLAP = 0.3  # or the part of the question's words it has, by weight
STEM_CHARS = 6  # letters that tell a word, whatever its ending
MAX_QUESTION_CHARS = 4_000  # characters of a question whose words are looked for
TERM_PATTERN = re.compile(r"[^\W_]+")
STOP_WORDS = frozenset(
    {
        "about",
        "also",
        "been",
        "could",
        "does",
        "from",
        "have",
        "into",
        "just",
        "know",
        "like",
        "many",
        "more",
        "most",
        "much",
        "only",
        "other",
        "please",
        "should",
        "some",
        "tell",
        "than",
        "that",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "want",
        "were",
        "what",
        "when",
        "where",
        "which",
        "will",
        "with",
        "would",
        "your",
    }
)


def rank(question: str, candidates: Sequence[ScoredChunk]) -> list[ScoredChunk]:
    """Those of `found` that are alike, the best first, with their new scores."""
    question_terms = extract_terms(question)
    matcher = _TermMatcher(question_terms)
    matched_terms = [matcher(f"{one.name} {one.label} {one.text}".casefold()) for one in candidates]
    weight = {
        term: math.log(1.0 + len(matched_terms) / (1.0 + sum(term in each for each in matched_terms)))
        for term in question_terms
    }
    total_weight = sum(weight.values())
    ranked = []
    for candidate, candidate_terms in zip(candidates, matched_terms, strict=True):
        shared = sum(weight[term] for term in candidate_terms) / total_weight if total_weight > 0 else 0.0
        if candidate.score >= MIN_COSINE or shared >= MIN_TERM_OVERLAP:
            ranked.append(replace(candidate, score=candidate.score + TERM_OVERLAP_WEIGHT * shared))
    return sorted(ranked, key=lambda one: (-one.score, one.id))


def extract_terms(text: str) -> frozenset[str]:
    """What tells a text from others: longer words by their beginnings, anything with a digit,
    pairs of characters where words have no spaces between them.
    """
    terms_found = set()
    for word in TERM_PATTERN.findall(text[:MAX_QUESTION_CHARS].casefold()):
        if _is_unspaced_script(word):
            terms_found |= {word[at : at + 2] for at in range(max(1, len(word) - 1))}
        elif (len(word) > 3 and word not in STOP_WORDS) or any(map(str.isdecimal, word)):
            terms_found.add(word[:STEM_CHARS])
    return frozenset(terms_found)


class _TermMatcher:
    """Which of the terms a text has (both in lower case)."""

    def __init__(self, question_terms: frozenset[str]) -> None:
        self._pairs = frozenset(filter(_is_unspaced_script, question_terms))
        words = (
            re.escape(term) + ("" if len(term) == STEM_CHARS else r"(?![^\W_])")
            for term in sorted(question_terms - self._pairs)
        )
        alternatives = "|".join(words)
        self._words = re.compile(rf"(?<![^\W_])(?:{alternatives})") if alternatives else None

    def __call__(self, text: str) -> frozenset[str]:
        words = self._words.findall(text) if self._words is not None else []
        return frozenset(words) | {pair for pair in self._pairs if pair in text}


def _is_unspaced_script(word: str) -> bool:
    return any(character > "\u2e7f" for character in word)
