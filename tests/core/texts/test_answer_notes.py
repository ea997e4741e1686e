"""Progress while an answer is on its way, notes under it, and why there is none."""

import pytest

from core.conversation.context_window import PromptTooLongError
from core.conversation.ledger import Allowance
from core.errors import ModelError, ModelFailure
from core.texts import answers


def test_too_fast_names_the_wait() -> None:
    assert answers.too_fast(12) == "You're sending messages too fast. Try again in 12 s."


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(0, "Thinking… 120 s"), (1, "Thinking… 120 s · 1 token"), (2_000, "Thinking… 120 s · 2,000 tokens")],
)
def test_thinking_shows_seconds_and_tokens(tokens: int, text: str) -> None:
    assert answers.thinking_progress(120, tokens) == text


@pytest.mark.parametrize(("chars", "count"), [(1_000, "1,000"), (1_999, "1,000"), (12_345, "12,000")])
def test_length_of_a_long_answer_is_in_whole_thousands(chars: int, count: str) -> None:
    assert answers.answer_continues(chars) == f"The answer continues: {count} characters so far."


def test_reading_shows_a_percentage() -> None:
    assert answers.reading_progress("a.pdf", 40) == "Reading a.pdf: 40%"


@pytest.mark.parametrize(
    ("failure", "retry_after", "text"),
    [
        (ModelFailure.QUOTA, 7_200, ("Today's quota for this model is used up. Choose another with /model. "
         "It resets in about 2 h. [17]")),
        (ModelFailure.RATE_LIMITED, 30, "The model is busy. Try again in about 30 s. [17]"),
        (ModelFailure.RATE_LIMITED, None, "The model is busy. Try again in a moment. [17]"),
        (ModelFailure.UNAVAILABLE, 30, ("The model service is unavailable. "
         "The model is busy: try again in about 30 s. [17]")),
        (ModelFailure.TRUNCATED, None, "The answer was cut off. [17]"),
        (ModelFailure.FILTERED, 30, "A content filter withheld the answer. Rephrase your question. [17]"),
    ],
)  # fmt: skip
def test_failure_says_what_to_do(failure: ModelFailure, retry_after: float | None, text: str) -> None:
    assert answers.model_failed(ModelError("", failure, retry_after=retry_after), 17) == text


def test_failure_of_a_personal_key_names_that_key() -> None:
    error = ModelError("", ModelFailure.AUTHENTICATION)
    assert answers.model_failed(error, 17, is_personal_key=True) == (
        "The model service rejected your API key. Change or remove it with /key. [17]"
    )
    assert answers.model_failed(error, 17) == (
        "The model service rejected this bot's API key. Only the bot's operator can fix that. [17]"
    )


@pytest.mark.parametrize(
    ("failure", "retry_after", "text"),
    [
        (ModelFailure.QUOTA, None, "phi-4 has no quota left today. Answered by Llama."),
        (ModelFailure.RATE_LIMITED, 30, "phi-4 is busy (back in 30 s). Answered by Llama."),
        (ModelFailure.FILTERED, 30, "phi-4 is unavailable. Answered by Llama."),
    ],
)
def test_substitute_is_named_with_the_reason(failure: ModelFailure, retry_after: float | None, text: str) -> None:
    assert answers.fallback_note(ModelError("", failure, retry_after=retry_after), "phi-4", "Llama") == text


def test_notes_about_models() -> None:
    assert answers.model_retired("phi-3", "phi-4") == ("phi-3 is no longer available. phi-4 answers here from now on.")
    assert answers.answer_limit_low(1_000) == (
        "Answers are limited to 1,000 tokens here, reasoning included. Change it with /settings length."
    )
    assert answers.settings_ignored("phi-4", ["temperature 0.3", "effort high"]) == (
        "phi-4 does not accept temperature 0.3 and effort high, so its default applies. See /settings."
    )


def test_refused_answer_has_a_number() -> None:
    assert answers.answer_refused(17) == (
        "I wrote an answer, but it was refused here, perhaps by a filter in this chat. Press Retry for another "
        "answer, or ask in other words. [17]"
    )


def test_long_questions_get_the_limit() -> None:
    assert answers.prompt_too_long_for_model("phi-4", PromptTooLongError(20_000, 16_000)) == (
        "Your message is about 20,000 tokens long; phi-4 has room for 16,000. Shorten it, or choose a model "
        "with a larger context window with /model."
    )
    assert answers.prompt_too_long(4_000) == "A message can have at most 4,000 characters."


def test_attachments_that_cannot_be_read_are_named() -> None:
    assert answers.unreadable_attachments(["a video", "a poll"]) == (
        "I can't read this yet: a video and a poll. Send text, or a file with text such as a PDF."
    )
    assert answers.attachments_not_read(["a video", "a poll"]) == (
        "I can't read this yet: a video and a poll. I answered only what you wrote."
    )


def test_counts_agree_with_their_number() -> None:
    assert answers.file_limit_reached(1) == "I read at most 1 file per message."
    assert answers.file_limit_reached(5) == "I read at most 5 files per message."
    assert answers.messages_dropped(1) == "Stopped. 1 waiting message dropped."


@pytest.mark.parametrize(
    ("limit", "unit", "text"),
    [(1, "token", "1 token"), (50_000, "token", "50,000 tokens"), (1, "question", "1 question"),
     (1_000, "question", "1,000 questions")],
)  # fmt: skip
def test_allowance_has_a_unit(limit: int, unit: str, text: str) -> None:
    assert answers.allowance_limit(Allowance(0, limit, unit, is_chat=False)) == text
