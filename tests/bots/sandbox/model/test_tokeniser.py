"""Token counts: complete, deterministic, realistic, and not derived from the number of characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.sandbox.model import ModelStandIn, Tokeniser
from bots.sandbox.model.tokeniser import split_pieces
from core.api.model_data import BUILTIN_MODELS
from core.conversation import tokens as estimate
from tests.bots.sandbox.model.conftest import LLAMA, TINY, OpenAIClient

ENGLISH = """The meeting was moved to Thursday because half of the team had to travel. Please bring
the printed drafts with you, and tell everybody who asks that the results of the survey are not
final: we will know more when the remaining answers have arrived, probably within two weeks."""
RUSSIAN = """Собрание перенесли на четверг, потому что половина команды уехала в командировку.
Возьмите с собой распечатанные черновики и скажите всем, что результаты опроса ещё не готовы."""
CHINESE = "会议改到星期四，因为一半的同事需要出差。请带上打印好的草稿，并告诉大家调查结果还没有最后确定。"


@given(st.text())
def test_pieces_make_up_text(text: str) -> None:
    assert "".join(split_pieces(text)) == text
    assert len(split_pieces(text)) >= bool(text)


@pytest.mark.parametrize(
    ("text", "minimum", "maximum"),
    [(ENGLISH, 3.2, 4.6), (RUSSIAN, 2.0, 3.4), (CHINESE, 1.1, 2.0), ("20261123 4711", 0.9, 1.3)],
)
def test_token_length_is_realistic(text: str, minimum: float, maximum: float) -> None:
    assert minimum <= len(text) / len(split_pieces(text)) <= maximum


def test_count_is_not_sum_over_characters() -> None:
    reversed_words = " ".join(word[::-1] for word in ENGLISH.split(" "))
    assert sorted(reversed_words) == sorted(ENGLISH)
    assert estimate.estimate_text(reversed_words) == pytest.approx(estimate.estimate_text(ENGLISH))
    assert len(split_pieces(reversed_words)) != len(split_pieces(ENGLISH))


def test_each_model_counts_differently() -> None:
    counts = {Tokeniser(id_).count_text(ENGLISH * 5) for id_ in BUILTIN_MODELS}
    assert len(counts) > 15
    piece_count = len(split_pieces(ENGLISH * 5))
    assert 0.89 * piece_count < min(counts) < max(counts) < 1.21 * piece_count
    assert len({Tokeniser(id_).count_prompt([]) for id_ in BUILTIN_MODELS}) > 10


@given(st.integers(0, 10_000), st.sampled_from(list(BUILTIN_MODELS)))
def test_token_limit_is_exact(tokens: int, model: str) -> None:
    tokeniser = Tokeniser(model)
    pieces = tokeniser.max_pieces(tokens)
    assert tokeniser.tokens_for_pieces(pieces) <= tokens < tokeniser.tokens_for_pieces(pieces + 2)


async def test_prompt_grows_with_conversation(client: OpenAIClient) -> None:
    tokeniser = Tokeniser(LLAMA)
    first = await client.stream("repeat: A first answer, of some length.")
    prompt, completion = first.usages[-1]
    second = await client.stream("repeat: A first answer, of some length.", first.text, "And now?")
    added = tokeniser.count_text("And now?") + 2 * tokeniser.message_overhead
    assert second.usages[-1][0] == prompt + completion + added


@pytest.mark.slow
async def test_window_is_exact(server: ModelStandIn, client: OpenAIClient) -> None:
    tokeniser, window = Tokeniser(TINY), server.models[TINY].context_window
    words = 1
    while tokeniser.count_prompt([{"content": "word " * (words + 1)}]) < window:
        words += 1
    fits = await client.complete("word " * words, model=TINY)
    assert fits["usage"]["prompt_tokens"] == tokeniser.count_prompt([{"content": "word " * words}])
    assert fits["usage"]["total_tokens"] <= window
    status, _, _ = await client.http(
        "POST",
        "chat/completions",
        {"model": TINY, "messages": [{"role": "user", "content": "word " * (words + 9)}]},
    )
    assert status == 400
