"""What a model is shown."""

import pytest

from core.conversation import measure, tokens, window
from core.conversation.tokens import Weights

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
    assert again * (1 + window.UNKNOWN) <= context - window.answer_room(context)


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


def counted(texts: list[str]) -> int:
    """A tokeniser the estimate does not know."""
    return sum(len(text.encode()) // 3 + 7 for text in texts) + 50


def test_the_services_own_count_anchors_the_next_request() -> None:
    said = [("user", "Привет, как дела? " * 30), ("assistant", "Хорошо, а у тебя? " * 40)]
    shown = ["be kind", *(text for _, text in said), "and now?"]
    anchor = measure.Anchor(
        "m",
        measure.digest("be kind"),
        tuple(measure.digest(text) for text in shown[1:]),
        counted(shown),
        measure.digest("An answer."),
        12,
    )
    history = [*said, ("user", "and now?"), ("assistant", "An answer.")]
    true = counted([*shown, "An answer.", "More?"])
    fitted = window.fit(
        "be kind", history, "More?", context=8000, measure=measure.Measure(Weights(), anchor)
    )
    assert fitted.estimate == pytest.approx(true, rel=0.05)
    blind = window.fit("be kind", history, "More?", context=8000)
    assert abs(blind.estimate - true) > abs(fitted.estimate - true)
    assert fitted.reserve < blind.reserve


def test_a_question_fits_a_window_that_turned_out_far_smaller_than_the_conversation() -> None:
    """Taking away nearly all that was counted leaves less certainty than to count the rest."""
    long = [("user", "word " * 300), ("assistant", "word " * 300)] * 10
    texts = [text for _, text in long[:-1]]
    digests = tuple(measure.digest(text) for text in texts)
    anchor = measure.Anchor(
        "m", measure.digest(""), digests, counted(texts), measure.digest(long[-1][1]), 400
    )
    fitted = window.fit(
        "", long, "A short question.", context=1500,
        measure=measure.Measure(Weights(), anchor),
    )  # fmt: skip
    assert fitted.messages[-1].content == "A short question."
    assert fitted.left_out >= 18
    assert fitted.estimate + fitted.reserve <= 1500 - window.answer_room(1500)


def test_what_does_not_fit_by_its_reserve_is_told_with_figures_that_say_so() -> None:
    with pytest.raises(window.PromptTooLongError) as caught:
        window.fit("", [], "word " * 330, context=600)
    assert caught.value.needed > caught.value.room > 0


def test_a_model_is_learnt_from_its_own_counts() -> None:
    texts = [f"Frage {n}: wie groß ist die Straße?\n" * (n + 1) for n in range(40)]
    weights = Weights()
    for text in texts[:30]:
        weights.learn(tokens.features([text]), counted([text]))
    assert weights.known
    wrong = [abs(tokens.of_messages([t], weights.now) / counted([t]) - 1) for t in texts[30:]]
    unlearnt = [abs(tokens.of_messages([t]) / counted([t]) - 1) for t in texts[30:]]
    assert max(wrong) < 0.05 < max(unlearnt)
