"""Replies to /usage."""

import pytest

from core.conversation.ledger import Allowance, QuotaStatus
from core.store.token_usage import TokenUsage
from core.texts import usage

HALF = QuotaStatus(2_000, TokenUsage(tokens=1_000))
NO_QUOTA = QuotaStatus(None, TokenUsage(tokens=1_000))


@pytest.mark.parametrize(
    ("on_personal_key", "text"),
    [(True, "You have used no tokens on your own key today."), (False, "You have used no tokens today.")],
)
def test_no_usage_is_one_sentence(text: str, *, on_personal_key: bool) -> None:
    assert usage.personal_usage([], on_personal_key=on_personal_key) == [text]


@pytest.mark.parametrize(
    ("on_personal_key", "head"),
    [
        (True, "Tokens you used today on your own key; the bars show what is left of the quotas:"),
        (False, "Tokens you used today; the bars show what is left of the quotas:"),
    ],
)
def test_usage_is_a_table(head: str, *, on_personal_key: bool) -> None:
    assert usage.personal_usage(["a", "b"], on_personal_key=on_personal_key) == [head, "", "```\na\nb\n```"]


@pytest.mark.parametrize(
    ("answers", "quota", "is_shared", "text"),
    [
        (1, HALF, True, "██████░░░░░░     1,234  phi-4 (1 answer; 1,000 left, shared by everyone)"),
        (2, HALF, False, "██████░░░░░░     1,234  phi-4 (2 answers; 1,000 left)"),
        (2, NO_QUOTA, True, "                 1,234  phi-4 (2 answers)"),
        (0, QuotaStatus(0, TokenUsage(is_exhausted=True)), False, "░░░░░░░░░░░░     1,234  phi-4 (0 answers; 0 left)"),
    ],
)
def test_row_shows_tokens_answers_and_quota(answers: int, quota: QuotaStatus, text: str, *, is_shared: bool) -> None:
    assert usage.usage_row("phi-4", 1_234, answers, quota, is_shared=is_shared) == text


def test_one_token_is_singular() -> None:
    assert usage.other_key_usage(1, is_bot_key=True) == "You also used 1 token on the bot's key today."
    assert usage.other_key_usage(1, is_bot_key=False) == "You also used 1 token on your own key today."
    assert usage.embedding_usage(1, None) == "Notes and files on this key: 1 embedding token."
    assert usage.embedding_usage(1, 5) == "Notes and files on this key: 1 embedding token; 5 left."


def test_usage_on_the_other_key_is_named() -> None:
    assert usage.other_key_usage(1_500, is_bot_key=True) == "You also used 1,500 tokens on the bot's key today."
    assert usage.other_key_usage(1_500, is_bot_key=False) == "You also used 1,500 tokens on your own key today."


@pytest.mark.parametrize(
    ("unit", "is_chat", "text"),
    [
        ("token", True, "This chat has used 1,200 of 5,000 tokens today."),
        ("question", True, "This chat has used 1,200 of 5,000 questions today."),
        ("token", False, "You have used 1,200 of 5,000 tokens today."),
        ("question", False, "You have used 1,200 of 5,000 questions today."),
    ],
)
def test_allowance_names_whose_it_is_and_its_unit(unit: str, text: str, *, is_chat: bool) -> None:
    assert usage.allowance(Allowance(1_200, 5_000, unit, is_chat)) == text


@pytest.mark.parametrize(
    ("remaining", "text"),
    [
        (None, "Notes and files on this key: 1,200 embedding tokens."),
        (0, "Notes and files on this key: 1,200 embedding tokens; 0 left."),
        (3_000, "Notes and files on this key: 1,200 embedding tokens; 3,000 left."),
    ],
)
def test_embedding_tokens_are_counted(remaining: int | None, text: str) -> None:
    assert usage.embedding_usage(1_200, remaining) == text


def test_reset_is_named() -> None:
    assert usage.quotas_reset(7_200) == "Quotas reset in 2 h."


@pytest.mark.parametrize(
    ("rows", "personal_key_tokens", "lines"),
    [
        ([], 0, []),
        (["a"], 0, ["", "Everyone, on the bot's key:", "", "```\na\n```"]),
        ([], 1_500, ["", "Everyone, on their own keys: 1,500 tokens."]),
        (
            ["a"],
            1,
            ["", "Everyone, on the bot's key:", "", "```\na\n```", "", "Everyone, on their own keys: 1 token."],
        ),
    ],
)
def test_total_has_a_part_for_each_kind_of_key(rows: list[str], personal_key_tokens: int, lines: list[str]) -> None:
    assert usage.total_usage(rows, personal_key_tokens) == lines


@pytest.mark.parametrize(
    ("quota", "row"),
    [(HALF, "██████░░░░░░     1,000  phi-4 of 2,000"), (NO_QUOTA, "                 1,000  phi-4")],
)
def test_total_row_shows_the_limit(quota: QuotaStatus, row: str) -> None:
    assert usage.total_usage_row("phi-4", quota) == row
