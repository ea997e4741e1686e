"""Deterministic embeddings: similar texts get similar vectors.

The features of a text are its words, their stems and their trigrams (bigrams in scripts without
spaces). Each feature is hashed to a few positions of the vector, with a sign, so that texts without
common features are nearly orthogonal. Short words, which are mostly grammar, have little weight.

For example, "pumps" and "pump" have the trigrams `^pu`, `pum` and `ump` in common; "bread" has none
of them.
"""

import base64
import hashlib
import re
from collections import Counter
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 1024
POSITIONS_PER_FEATURE = 4
STEM_CHARS = 5
UNSPACED_SCRIPT = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
WORD = re.compile(r"[^\W_]+|[^\w\s]")

Vector = NDArray[np.float32]


def embed_text(text: str) -> Vector:
    """A vector of length 1."""
    vector = np.zeros(DIMENSIONS, dtype=np.float64)
    for feature, weight in _features(text).items():
        positions, signs = _hash_feature(feature)
        np.add.at(vector, positions, signs * np.sqrt(weight))
    length = float(np.linalg.norm(vector))
    if length < 1e-9:
        vector[0], length = 1.0, 1.0
    return (vector / length).astype(np.float32)


def _features(text: str) -> Counter[str]:
    weights: Counter[str] = Counter()
    for word in WORD.findall(text.casefold()):
        weight = 1.0 if len(word) > 3 or not word.isascii() or word.isdigit() else 0.1
        if UNSPACED_SCRIPT.search(word):
            for at, letter in enumerate(word):
                weights[f"letter {letter}"] += 0.5  # type: ignore[assignment]
                weights[f"pair {word[at : at + 2]}"] += 1.0  # type: ignore[assignment]
            continue
        weights[f"word {word}"] += weight  # type: ignore[assignment]
        if len(word) > 3:
            weights[f"stem {word[:STEM_CHARS]}"] += weight  # type: ignore[assignment]
            marked = f"^{word}$"
            for at in range(len(marked) - 2):
                weights[f"three {marked[at : at + 3]}"] += 0.1  # type: ignore[assignment]
    return weights


@lru_cache(maxsize=65_536)
def _hash_feature(feature: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * POSITIONS_PER_FEATURE)
    hashes = np.frombuffer(digest.digest(), dtype="<u4").astype(np.int64)
    return hashes % DIMENSIONS, np.where(hashes & 0x8000_0000, 1.0, -1.0)


def encode_embedding(vector: Vector, encoding: str) -> list[float] | str:
    """The vector as numbers, or as base64 of little-endian 32-bit floats."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]
