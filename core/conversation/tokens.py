"""Estimates the number of tokens in a text from its classes of characters. Pure.

The features of a request are its number of characters in each class, words and messages, and 1 for the request
itself. The estimate is the weighted sum of the features:

    "Hi there!" = 7 small letters and spaces * 0.214 + 1 capital * 0.444 + 1 sign * 0.558 + 2 words * 0.18 = 2.9

The prior weights were measured with twelve tokenisers: half of the estimates are within 6 %, 19 of 20 within 21 %.
`TokenWeights` corrects them with each model's own counts.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]

TOKENS_PER_WORD = 0.18
TOKENS_PER_MESSAGE = 4.8
TOKENS_PER_REQUEST = 8.0
TOKENS_PER_OTHER_CHAR = 1.0
"""For characters in none of the classes, such as emoji."""
CHARACTER_CLASSES: tuple[tuple[str, float], ...] = (
    ("a-z ", 0.214),
    ("A-Z", 0.444),
    ("0-9", 1.19),
    ("\n", 0.876),
    ("!-/:-@\\[-`{-~\t\r", 0.558),
    ("\u00a0-\u024f", 1.03),
    ("\u0370-\u03ff\u1f00-\u1fff", 0.51),
    ("\u0400-\u052f", 0.364),
    ("\u0600-\u06ff\u0750-\u077f", 0.415),
    ("\u0900-\u0dff", 0.66),
    ("\u0e00-\u0eff", 0.55),
    ("\u10a0-\u10ff", 0.99),
    ("\u1100-\u11ff\uac00-\ud7af", 0.78),
    ("\u3040-\u30ff", 0.52),
    ("\u3400-\u9fff\uf900-\ufaff", 0.81),
)
"""Regular expression classes of characters, and the tokens per character."""
CLASS_PATTERNS = tuple(re.compile(f"[{chars}]+") for chars, _ in CHARACTER_CLASSES)
WORD_PATTERN = re.compile(r"\w+")

PRIOR_WEIGHTS: Features = np.array(
    [
        *(weight for _, weight in CHARACTER_CLASSES),
        TOKENS_PER_OTHER_CHAR,
        TOKENS_PER_WORD,
        TOKENS_PER_MESSAGE,
        TOKENS_PER_REQUEST,
    ]
)
PRIOR_SPREAD = 0.5 * PRIOR_WEIGHTS + 0.02
"""The expected deviation of a model's weights from the prior."""
PRIOR_SPREAD[-2:] = 5.0, 40.0  # models' chat templates differ more than their tokenisers
SAMPLE_NOISE = 1.0
MAX_SAMPLES = 100
MIN_CALIBRATION_SAMPLES = 20
MAX_CACHED_TEXT_CHARS = 20_000


@lru_cache(maxsize=4096)
def _count_features(text: str) -> tuple[float, ...]:
    counts = [sum(map(len, pattern.findall(text))) for pattern in CLASS_PATTERNS]
    words = sum(1 for _ in WORD_PATTERN.finditer(text))
    return (*counts, len(text) - sum(counts), words, 0.0, 0.0)


def count_features(texts: Iterable[str]) -> Features:
    """The features of a request with these messages."""
    total = np.zeros(len(PRIOR_WEIGHTS))
    messages = 0
    for text in texts:
        total += _count_features(text) if len(text) < MAX_CACHED_TEXT_CHARS else _count_features.__wrapped__(text)
        messages += 1
    total[-2], total[-1] = messages, 1.0
    return total


def estimate_text(text: str, weights: Features = PRIOR_WEIGHTS) -> float:
    """The tokens of `text` as one of several messages."""
    counts = count_features([text])
    counts[-1] = 0.0
    return float(counts @ weights)


def estimate_messages(texts: Iterable[str], weights: Features = PRIOR_WEIGHTS) -> float:
    """The tokens of a whole request."""
    return float(count_features(texts) @ weights)


class TokenWeights:
    """The weights of one model: the prior, corrected with the model's own counts."""

    def __init__(self, samples: Iterable[Sequence[float]] = ()) -> None:
        self._samples: deque[tuple[float, ...]] = deque(maxlen=MAX_SAMPLES)
        self.values = PRIOR_WEIGHTS
        for sample in samples:
            if len(sample) == len(PRIOR_WEIGHTS) + 1:
                self._samples.append(tuple(sample))
        self._fit()

    @property
    def is_calibrated(self) -> bool:
        return len(self._samples) >= MIN_CALIBRATION_SAMPLES

    @property
    def samples(self) -> list[tuple[float, ...]]:
        return list(self._samples)

    def add_sample(self, features: Features, tokens: int) -> None:
        """Learn that the model counted `tokens` for a request with these features."""
        self._samples.append((*(float(x) for x in features), float(tokens)))
        self._fit()

    def _fit(self) -> None:
        """Find the weights nearest to the prior that explain the samples (ridge regression)."""
        if not self._samples:
            return
        rows = np.array(self._samples)
        features, tokens = rows[:, :-1], rows[:, -1]
        scale = SAMPLE_NOISE * np.sqrt(np.maximum(tokens, 1.0))
        x = features * PRIOR_SPREAD / scale[:, None]
        y = (tokens - features @ PRIOR_WEIGHTS) / scale
        offset = np.linalg.solve(x.T @ x + np.eye(len(PRIOR_WEIGHTS)), x.T @ y)
        self.values = np.maximum(PRIOR_WEIGHTS + PRIOR_SPREAD * offset, 0.0)
