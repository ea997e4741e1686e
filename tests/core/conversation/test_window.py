"""What a model is shown."""

import pytest

from core.conversation import tokens, window

HISTORY = [
    (role, f"{word} " * 60)
    for word in ("alpha", "beta", "gamma", "delta")
    for role in ("user", "assistant")
]


def test_all_is_shown_when_it_fits() -> None:
    fitted = window.fit("be kind", HISTORY, "and now?", context=8192)
    assert [m.role for m in fitted.messages] == ["system", *["user", "assistant"] * 4, "user"]
    assert fitted.left_out == 0


def test_older_exchanges_are_left_out_whole() -> None:
    fitted = window.fit("", HISTORY, "and now?", context=512)
    assert fitted.left_out in (2, 4, 6)
    assert fitted.messages[0].role == "user"
    assert fitted.messages[-2].content.startswith("delta")
    assert fitted.estimate < 512


@pytest.mark.parametrize("context", [4000, 8000, 32_000, 128_000, 512_000])
def test_the_estimate_and_its_reserve_stay_inside_the_window(context: int) -> None:
    long = [("user", "слово и word 字 " * 500), ("assistant", "def f(x): return x\n" * 300)] * 40
    fitted = window.fit("system", long, "prompt", context=context)
    again = tokens.of_messages(m.content for m in fitted.messages)
    assert again * (1 + window.RESERVE) <= context - min(window.LONGEST_ANSWER, context // 4)


def test_a_question_that_can_not_fit_is_told_with_figures() -> None:
    with pytest.raises(window.PromptTooLongError) as caught:
        window.fit("", [], "word " * 20_000, context=4000)
    assert caught.value.needed > caught.value.room > 0


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("The quick brown fox jumps over the lazy dog. " * 20, 180, 320), ("漢字" * 100, 120, 240)],
)
def test_estimates_are_near_what_tokenisers_say(text: str, least: int, most: int) -> None:
    assert least <= tokens.of_text(text) <= most
