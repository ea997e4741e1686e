"""Texts of /usage, as Markdown."""

from collections.abc import Iterable, Sequence

from core.conversation.ledger import Allowance, QuotaStatus
from core.texts.formatting import count, format_duration, quota_bar

BAR_CHARS = 12


def personal_usage(rows: Sequence[str], *, on_personal_key: bool) -> list[str]:
    key = " on your own key" if on_personal_key else ""
    if not rows:
        return [f"You have used no tokens{key} today."]
    return [f"Tokens you used today{key}; the bars show what is left of the quotas:", "", _table(rows)]


def usage_row(model: str, tokens: int, answers: int, quota: QuotaStatus, *, is_shared: bool) -> str:
    details = count(answers, "answer")
    if quota.remaining is not None:
        details += f"; {quota.remaining:,} left{', shared by everyone' if is_shared else ''}"
    return f"{quota_bar(quota.remaining_fraction, BAR_CHARS)} {tokens:>9,}  {model} ({details})"


def other_key_usage(tokens: int, *, is_bot_key: bool) -> str:
    """Tokens that a person used today on the key that does not answer now."""
    owner = "the bot's" if is_bot_key else "your own"
    return f"You also used {tokens:,} tokens on {owner} key today."


def allowance(allowance: Allowance) -> str:
    subject = "This chat has used" if allowance.is_chat else "You have used"
    return f"{subject} {allowance.used:,} of {allowance.limit:,} {allowance.unit}s today."


def embedding_usage(tokens: int, remaining_tokens: int | None) -> str:
    """Of a key, which several people may share."""
    left = "" if remaining_tokens is None else f"; {remaining_tokens:,} left"
    return f"Notes and files on this key: {tokens:,} embedding tokens{left}."


def quotas_reset(seconds: float) -> str:
    return f"Quotas reset in {format_duration(seconds)}."


def total_usage(rows: Sequence[str], personal_key_tokens: int) -> list[str]:
    """For the operator."""
    lines = ["", "Everyone, on the bot's key:", "", _table(rows)] if rows else []
    if personal_key_tokens:
        lines += ["", f"Everyone, on their own keys: {personal_key_tokens:,} tokens."]
    return lines


def total_usage_row(model: str, quota: QuotaStatus) -> str:
    of_limit = "" if quota.limit is None else f" of {quota.limit:,}"
    return f"{quota_bar(quota.remaining_fraction, BAR_CHARS)} {quota.usage.tokens:>9,}  {model}{of_limit}"


def _table(rows: Iterable[str]) -> str:
    return "\n".join(["```", *rows, "```"])
