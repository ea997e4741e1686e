"""Texts of /usage, as Markdown."""

from collections.abc import Iterable, Sequence

from core.conversation.ledger import Allowance, QuotaStatus
from core.i18n.translation import gettext, ngettext
from core.texts.formatting import format_duration, format_number, quota_bar

BAR_CHARS = 12


def personal_usage(rows: Sequence[str], *, on_personal_key: bool) -> list[str]:
    if not rows:
        return [
            gettext("You have used no tokens on your own key today.")
            if on_personal_key
            else gettext("You have used no tokens today.")
        ]
    head = (
        gettext("Tokens you used today on your own key; the bars show what is left of the quotas:")
        if on_personal_key
        else gettext("Tokens you used today; the bars show what is left of the quotas:")
    )
    return [head, "", _table(rows)]


def usage_row(model: str, tokens: int, answers: int, quota: QuotaStatus, *, is_shared: bool) -> str:
    details = ngettext("{count} answer", "{count} answers", answers).format(count=format_number(answers))
    if quota.remaining is not None:
        left = gettext("{count} left, shared by everyone") if is_shared else gettext("{count} left")
        details = gettext("{answers}; {remaining}").format(
            answers=details, remaining=left.format(count=format_number(quota.remaining))
        )
    return f"{quota_bar(quota.remaining_fraction, BAR_CHARS)} {format_number(tokens):>9}  {model} ({details})"


def other_key_usage(tokens: int, *, is_bot_key: bool) -> str:
    """Tokens that a person used today on the key that does not answer now."""
    text = (
        ngettext(
            "You also used {tokens} token on the bot's key today.",
            "You also used {tokens} tokens on the bot's key today.",
            tokens,
        )
        if is_bot_key
        else ngettext(
            "You also used {tokens} token on your own key today.",
            "You also used {tokens} tokens on your own key today.",
            tokens,
        )
    )
    return text.format(tokens=format_number(tokens))


def allowance(allowance: Allowance) -> str:
    match allowance.is_chat, allowance.unit:
        case True, "token":
            text = gettext("This chat has used {used} of {limit} tokens today.")
        case True, _:
            text = gettext("This chat has used {used} of {limit} questions today.")
        case False, "token":
            text = gettext("You have used {used} of {limit} tokens today.")
        case _:
            text = gettext("You have used {used} of {limit} questions today.")
    return text.format(used=format_number(allowance.used), limit=format_number(allowance.limit))


def embedding_usage(tokens: int, remaining_tokens: int | None) -> str:
    """The usage of a key, which several people may share."""
    if remaining_tokens is None:
        return ngettext(
            "Notes and files on this key: {tokens} embedding token.",
            "Notes and files on this key: {tokens} embedding tokens.",
            tokens,
        ).format(tokens=format_number(tokens))
    return ngettext(
        "Notes and files on this key: {tokens} embedding token; {remaining} left.",
        "Notes and files on this key: {tokens} embedding tokens; {remaining} left.",
        tokens,
    ).format(tokens=format_number(tokens), remaining=format_number(remaining_tokens))


def quotas_reset(seconds: float) -> str:
    return gettext("Quotas reset in {duration}.").format(duration=format_duration(seconds))


def total_usage(rows: Sequence[str], personal_key_tokens: int) -> list[str]:
    """For the operator."""
    lines = ["", gettext("Everyone, on the bot's key:"), "", _table(rows)] if rows else []
    if personal_key_tokens:
        text = ngettext(
            "Everyone, on their own keys: {tokens} token.",
            "Everyone, on their own keys: {tokens} tokens.",
            personal_key_tokens,
        )
        lines += ["", text.format(tokens=format_number(personal_key_tokens))]
    return lines


def total_usage_row(model: str, quota: QuotaStatus) -> str:
    bar, tokens = quota_bar(quota.remaining_fraction, BAR_CHARS), format_number(quota.usage.tokens)
    if quota.limit is not None:
        model = gettext("{model} of {limit}").format(model=model, limit=format_number(quota.limit))
    return f"{bar} {tokens:>9}  {model}"


def _table(rows: Iterable[str]) -> str:
    return "\n".join(["```", *rows, "```"])
