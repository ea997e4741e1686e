"""How names, numbers and durations appear in messages."""

import re
from collections.abc import Iterable

from core.scopes import Scope, ScopeKind

SPECIAL_CHARS = "\\`*_]<>#~|$!&=:"
"""Without `[`, `(` and `)`: a backslash before them would make a formula."""
MAX_QUOTE_CHARS = 80
SCOPE_LABELS = {
    ScopeKind.MEMBER: "your messages in this chat",
    ScopeKind.THREAD: "this thread",
    ScopeKind.CHAT: "this chat",
    ScopeKind.PERSON: "all your chats",
    ScopeKind.SERVER: "this server",
}


def escape_markdown(text: str) -> str:
    """`text` so that Markdown shows it as it is."""
    return "".join(f"\\{char}" if char in SPECIAL_CHARS else char for char in text)


def code_block(text: str) -> str:
    """`text` as it is, in a block whose fence is longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def quote(text: str) -> str:
    """What a person typed, shortened, in quotation marks, as Markdown."""
    return f"“{escape_markdown(text[:MAX_QUOTE_CHARS])}”"


def count(number: int, noun: str) -> str:
    """`1 note`, `1,200 notes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def either(words: Iterable[str]) -> str:
    """`low, medium or high`."""
    *first, last = words
    return f"{', '.join(first)} or {last}"


def format_duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"


def format_context_length(tokens: int) -> str:
    """`128k`, `512`."""
    return f"{tokens // 1000}k" if tokens >= 1000 else str(tokens)


def quota_bar(remaining_fraction: float | None, width: int) -> str:
    """A bar of `width` characters: what is left of a quota. Empty space without a quota.

    Any rest fills at least one character, and any use empties at least one.
    """
    if remaining_fraction is None:
        return " " * width
    most = width - int(remaining_fraction < 1)
    filled = min(most, max(int(remaining_fraction > 0), round(remaining_fraction * width)))
    return "█" * filled + "░" * (width - filled)


def scope_label(scope: Scope) -> str:
    return SCOPE_LABELS[scope.kind]
