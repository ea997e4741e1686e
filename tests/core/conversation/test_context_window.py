"""How much of a conversation fits a model's window, and how well tokens are estimated."""

from dataclasses import replace

import pytest

from core.api.client import Message
from core.api.images import MessageImage
from core.conversation import context_window, token_estimator, tokens
from core.conversation.tokens import TokenWeights

HISTORY = [
    Message(role, f"{word} " * 60) for word in ("alpha", "beta", "gamma", "delta") for role in ("user", "assistant")
]


def test_everything_that_fits_is_included() -> None:
    fitted = context_window.fit_prompt("be kind", HISTORY, "and now?", context_tokens=8192)
    assert [message.role for message in fitted.messages] == ["system", *["user", "assistant"] * 4, "user"]
    assert fitted.omitted == 0


def test_older_exchanges_are_dropped_whole() -> None:
    fitted = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=512)
    assert fitted.omitted in (2, 4, 6)
    assert fitted.messages[0].role == "user"
    assert fitted.messages[-2].content.startswith("delta")
    assert fitted.estimated_tokens < 512


@pytest.mark.parametrize("context", [4000, 8000, 32_000, 128_000, 512_000])
def test_estimate_and_reserve_fit_window(context: int) -> None:
    long = [Message("user", "слово и word 字 " * 500), Message("assistant", "def f(x): return x\n" * 300)] * 40
    fitted = context_window.fit_prompt("system", long, "prompt", context_tokens=context)
    estimate = tokens.estimate_messages(message.content for message in fitted.messages)
    reserved = estimate * (1 + context_window.UNCALIBRATED_RESERVE_FRACTION)
    assert reserved <= context - context_window.answer_reserve(context)


def test_oversized_question_error_has_figures() -> None:
    with pytest.raises(context_window.PromptTooLongError) as caught:
        context_window.fit_prompt("", [], "word " * 20_000, context_tokens=4000)
    assert caught.value.needed > caught.value.available > 0


@pytest.mark.parametrize(
    ("text", "minimum", "maximum"),
    [("The quick brown fox jumps over the lazy dog. " * 20, 180, 320), ("漢字" * 100, 120, 240)],
)
def test_estimates_are_near_tokeniser_counts(text: str, minimum: int, maximum: int) -> None:
    assert minimum <= tokens.estimate_text(text) <= maximum


def token_count(texts: list[str]) -> int:
    """A tokeniser for which the prior weights are wrong."""
    return sum(len(text.encode()) // 3 + 7 for text in texts) + 50


def test_reported_usage_calibrates_next_request() -> None:
    exchange = [Message("user", "Привет, как дела? " * 30), Message("assistant", "Хорошо, а у тебя? " * 40)]
    texts = ["be kind", *(message.content for message in exchange), "and now?"]
    anchor = token_estimator.CountedRequest(
        "m",
        hash("be kind"),
        tuple(hash(text) for text in texts[1:]),
        token_count(texts),
        hash("An answer."),
        12,
    )
    history = [*exchange, Message("user", "and now?"), Message("assistant", "An answer.")]
    exact = token_count([*texts, "An answer.", "More?"])
    fitted = context_window.fit_prompt(
        "be kind",
        history,
        "More?",
        context_tokens=8000,
        estimator=token_estimator.TokenEstimator(TokenWeights(), anchor),
    )
    assert fitted.estimated_tokens == pytest.approx(exact, rel=0.05)
    unanchored = context_window.fit_prompt("be kind", history, "More?", context_tokens=8000)
    assert abs(unanchored.estimated_tokens - exact) > abs(fitted.estimated_tokens - exact)
    assert fitted.reserve_tokens < unanchored.reserve_tokens


def test_left_out_message_reduces_the_count() -> None:
    """The service has counted 60 % of what is estimated. Without one exchange, the request is that count less it."""
    estimator = token_estimator.TokenEstimator(TokenWeights())
    estimates = [estimator.estimate_text(message.content) for message in HISTORY]
    counted = round(0.6 * sum(estimates))
    hashes = tuple(hash(message.content) for message in HISTORY[:-1])
    anchor = token_estimator.CountedRequest("m", hash(""), hashes, counted, hash(HISTORY[-1].content), 40)
    anchored = token_estimator.TokenEstimator(TokenWeights(), anchor)
    whole = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=8192, estimator=anchored)
    available = whole.estimated_tokens + whole.reserve_tokens - 1
    shorter = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=available * 4 // 3, estimator=anchored)
    assert (whole.omitted, shorter.omitted) == (0, 2)
    assert shorter.estimated_tokens == pytest.approx(whole.estimated_tokens - sum(estimates[:2]), abs=1)


def test_question_fits_shrunken_window() -> None:
    """If nearly all counted messages are left out, an estimate of the rest is more certain than the difference."""
    long = [Message("user", "word " * 300), Message("assistant", "word " * 300)] * 10
    texts = [message.content for message in long[:-1]]
    hashes = tuple(hash(text) for text in texts)
    anchor = token_estimator.CountedRequest(
        "m",
        hash(""),
        hashes,
        token_count(texts),
        hash(long[-1].content),
        400,
    )
    fitted = context_window.fit_prompt(
        "",
        long,
        "A short question.",
        context_tokens=1500,
        estimator=token_estimator.TokenEstimator(TokenWeights(), anchor),
    )
    assert fitted.messages[-1].content == "A short question."
    assert fitted.omitted >= 18
    assert fitted.estimated_tokens + fitted.reserve_tokens <= 1500 - context_window.answer_reserve(1500)


@pytest.mark.parametrize(
    ("system", "texts"),
    [("", ("other", "words")), ("other instructions", tuple(message.content for message in HISTORY[:-1]))],
    ids=["messages", "instructions"],
)
def test_count_of_another_request_is_ignored(system: str, texts: tuple[str, ...]) -> None:
    """As after /new, or when the instructions have changed."""
    anchor = token_estimator.CountedRequest("m", hash(system), tuple(map(hash, texts)), 5000, hash("answer"), 40)
    estimator = token_estimator.TokenEstimator(TokenWeights(), anchor)
    fitted = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=8192, estimator=estimator)
    assert fitted == context_window.fit_prompt("", HISTORY, "and now?", context_tokens=8192)


@pytest.mark.parametrize(
    ("context", "max_answer", "reserve"),
    [
        (8000, 0, 2000),
        (100_000, 0, context_window.MAX_ANSWER_RESERVE_TOKENS),
        (8000, 300, 300),
        (8000, 4000, 4000),
        (8000, 5000, 4000),
        (100_000, 20_000, 20_000),
    ],
)
def test_room_for_the_answer(context: int, max_answer: int, reserve: int) -> None:
    assert context_window.answer_reserve(context, max_answer) == reserve


def test_reserve_overflow_error_has_figures() -> None:
    with pytest.raises(context_window.PromptTooLongError) as caught:
        context_window.fit_prompt("", [], "word " * 330, context_tokens=600)
    assert caught.value.needed > caught.value.available > 0


def test_estimator_learns_per_model() -> None:
    texts = [f"Frage {n}: wie groß ist die Straße?\n" * (n + 1) for n in range(40)]
    weights = TokenWeights()
    for text in texts[:30]:
        weights.add_sample(tokens.count_features([text]), token_count([text]))
    assert weights.is_calibrated
    errors = [abs(tokens.estimate_messages([t], weights.values) / token_count([t]) - 1) for t in texts[30:]]
    prior_errors = [abs(tokens.estimate_messages([t]) / token_count([t]) - 1) for t in texts[30:]]
    assert max(errors) < 0.05 < max(prior_errors)


def test_pictures_count_in_estimate() -> None:
    image = MessageImage("data:", 560, 280)
    plain = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=8192)
    with_image = context_window.fit_prompt("", HISTORY, "and now?", context_tokens=8192, images=(image,))
    assert with_image.estimated_tokens == plain.estimated_tokens + 20 * 10
    assert with_image.messages[-1].images == (image,)
    shown = [replace(HISTORY[0], images=(image,) * 20), *HISTORY[1:]]
    assert context_window.fit_prompt("", shown, "and now?", context_tokens=4096).omitted >= 2


def test_request_with_pictures_has_no_anchor() -> None:
    """The service has counted a request without them."""
    anchor = token_estimator.CountedRequest("m", hash(""), (hash("What is it?"),), 20, hash("A cat."), 4)
    estimator = token_estimator.TokenEstimator(TokenWeights(), anchor)
    image = MessageImage("data:", 2800, 2800)
    history = [Message("user", "What is it?", (image,)), Message("assistant", "A cat.")]
    fitted = context_window.fit_prompt("", history, "Sure?", context_tokens=64_000, estimator=estimator)
    assert fitted.estimated_tokens > image.tokens
