import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.conversation import tokens
from core.conversation.tokens import CHARACTER_CLASSES, PRIOR_SPREAD, PRIOR_WEIGHTS, TokenWeights, count_features


def random_texts(random_source: random.Random) -> list[str]:
    length = random_source.randint(1, 800)
    return ["".join(random_source.choices("abc DE12\n.,éж你", k=length)) for _ in range(random_source.randint(1, 5))]


@pytest.mark.parametrize("count", [1, 7, 133])
def test_weights_are_those_of_ridge_regression(count: int) -> None:
    random_source, weights = random.Random(count), TokenWeights()
    for _ in range(count):
        features = count_features(random_texts(random_source))
        actual = 1.3 * sum(a * b for a, b in zip(features, PRIOR_WEIGHTS, strict=True)) + random_source.random() * 20
        weights.add_sample(features, round(actual))

    samples, prior, spread = np.array(weights.samples), np.array(PRIOR_WEIGHTS), np.array(PRIOR_SPREAD)
    assert len(samples) == min(count, tokens.MAX_SAMPLES)
    features_matrix, counts = samples[:, :-1], samples[:, -1]
    x = features_matrix * spread / np.sqrt(counts)[:, None]
    y = (counts - features_matrix @ prior) / np.sqrt(counts)
    expected = np.maximum(prior + spread * np.linalg.solve(x.T @ x + np.eye(len(prior)), x.T @ y), 0)
    assert weights.values == pytest.approx(expected)


@given(st.text(st.sampled_from("aZ5\n -éαжمनกაᄀかカ漢字😀\ud800\x7f\u2013") | st.characters(), max_size=40))
def test_features_are_numbers_of_characters_and_words(text: str) -> None:
    *classes, others, words, messages, requests = count_features([text])
    assert classes == [len(re.findall(f"[{chars}]", text)) for chars, _ in CHARACTER_CLASSES]
    assert others == len(text) - sum(classes)
    assert words == len(re.findall(r"\w+", text))
    assert (messages, requests) == (1, 1)
