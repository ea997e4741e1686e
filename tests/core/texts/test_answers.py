"""Every failure has a text, and texts with numbers read well."""

import pytest

from core.conversation.ledger import QuotaWarning
from core.errors import DocumentError, DocumentFailure, ModelError, ModelFailure
from core.store.memories import RecallMode
from core.texts import answers, memory
from core.texts.formatting import count, either, format_duration

LASTING_FAILURES = {
    ModelFailure.AUTHENTICATION,
    ModelFailure.CREDIT,
    ModelFailure.PAYMENT,
    ModelFailure.REGION,
    ModelFailure.BLOCKED,
    ModelFailure.WRONG_ADDRESS,
    ModelFailure.NO_STREAMING,
    ModelFailure.UNKNOWN_MODEL,
    ModelFailure.OVERFLOW,
    ModelFailure.REFUSED,
    ModelFailure.FILTERED,
}
"""A delay that comes with these says nothing to people."""


@pytest.mark.parametrize("failure", ModelFailure)
@pytest.mark.parametrize("is_personal_key", [False, True])
def test_model_failure_has_text(failure: ModelFailure, *, is_personal_key: bool) -> None:
    error = ModelError("secret detail", failure, retry_after=7200)
    text = answers.model_failed(error, 17, is_personal_key=is_personal_key)
    assert text.endswith(". [17]")
    assert "secret detail" not in text
    assert ("2 h" in text) == (failure not in LASTING_FAILURES)
    substitution = answers.fallback_note(error, "phi-4", "Llama")
    assert substitution.endswith(". Answered by Llama.")
    assert ("(back in 2 h)" in substitution) == (failure not in LASTING_FAILURES)


@pytest.mark.parametrize("failure", DocumentFailure)
def test_document_failure_has_text(failure: DocumentFailure) -> None:
    assert memory.document_failed("a.pdf", DocumentError("", failure)).startswith("a.pdf ")


@pytest.mark.parametrize("mode", RecallMode)
def test_recall_mode_has_texts(mode: RecallMode) -> None:
    assert memory.RECALL_STATUS[mode]
    assert memory.RECALL_CHANGED[mode]


def test_allowance_names_limit_and_reset() -> None:
    person = answers.allowance_used_up(count(1, "question"), 4 * 3600, is_chat=False)
    assert person == "You've reached today's limit of 1 question. It resets in 4 h."
    chat = answers.allowance_used_up(count(50_000, "token"), 600, is_chat=True)
    assert chat == "This chat has reached today's limit of 50,000 tokens. It resets in 10 min."


def test_quota_warning_names_model_and_reset() -> None:
    assert answers.quota_warning(QuotaWarning("phi-4", 0.83, 3600)) == (
        "phi-4: 83% of today's quota used. It resets in 60 min."
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "2 h"), (86_400, "24 h")]
)
def test_duration_is_rounded(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_alternatives_are_joined() -> None:
    assert either(["on", "off"]) == "on or off"
    assert either(["low", "medium", "high"]) == "low, medium or high"
