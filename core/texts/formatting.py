"""How names, numbers, durations and dates appear in messages, as the current language writes them.

Babel knows the other languages. English needs no Babel.
"""

import re
from collections.abc import Iterable
from datetime import date

from core.i18n.translation import ENGLISH, current_language, gettext, gettext_noop, ngettext
from core.scopes import Scope, ScopeKind

SPECIAL_CHARS = "\\`*_]<>#~|$!&=:"
"""Without `[`, `(` and `)`: a backslash before them would make a formula."""
MAX_QUOTE_CHARS = 80
SCOPE_LABELS = {
    ScopeKind.MEMBER: gettext_noop("your messages in this chat"),
    ScopeKind.THREAD: gettext_noop("this thread"),
    ScopeKind.CHAT: gettext_noop("this chat"),
    ScopeKind.PERSON: gettext_noop("all your chats"),
    ScopeKind.SERVER: gettext_noop("this server"),
}
UNITS = {"s": "duration-second", "min": "duration-minute", "h": "duration-hour"}
"""By their symbol, the units as the Unicode CLDR names them."""
DIRECTION_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
SPACELESS_ENDS = ("。", "！", "？")
"""Full-width punctuation, which no space follows."""
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"


def isolate(name: str) -> str:
    """A name within a sentence, so that its direction of writing does not reorder the words around it.

    A name without right-to-left script stays as it is, except for control characters that would turn the rest round.
    """
    name = DIRECTION_CONTROLS.sub("", name)
    return f"{FIRST_STRONG_ISOLATE}{name}{POP_ISOLATE}" if RIGHT_TO_LEFT.search(name) else name


def markdown_name(name: str) -> str:
    """A name within a sentence of Markdown."""
    return isolate(escape_markdown(name))


def escape_markdown(text: str) -> str:
    """`text` so that Markdown shows it as it is."""
    return "".join(f"\\{char}" if char in SPECIAL_CHARS else char for char in text)


def code_block(text: str) -> str:
    """`text` as it is, in a block whose fence is longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def code_span(text: str) -> str:
    """What a stranger chose, such as a name: as code, in which no platform finds links, mentions or formatting, and
    without characters that are invisible or change the direction of what follows. Empty if nothing is left.
    """
    visible = " ".join("".join(char if char.isprintable() and char != "`" else " " for char in text).split())
    return f"`{visible}`" if visible else ""


def quote(text: str) -> str:
    """What a person typed, shortened, in quotation marks, as Markdown."""
    return gettext("“{text}”").format(text=markdown_name(text[:MAX_QUOTE_CHARS]))


def join_sentences(*sentences: str) -> str:
    """The sentences that are not empty, as one text, with a space between them where the language has one."""
    text = ""
    for sentence in filter(None, sentences):
        text += sentence if not text or text.endswith(SPACELESS_ENDS) else f" {sentence}"
    return text


def count(number: int, noun: str) -> str:
    """`1 note`, `1,200 notes`: English, for operators. For people, `ngettext` knows the plurals of all languages."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def count_entries(notes: int, files: int) -> str:
    """`3 notes and 1 file`; "" without any."""
    entries = []
    if notes:
        entries.append(ngettext("{count} note", "{count} notes", notes).format(count=format_number(notes)))
    if files:
        entries.append(ngettext("{count} file", "{count} files", files).format(count=format_number(files)))
    return join_all(entries) if entries else ""


def either(words: Iterable[str]) -> str:
    """`low, medium or high`."""
    return _join(list(words), "or")


def join_all(words: Iterable[str]) -> str:
    """`3 notes and 1 file`; "" for none."""
    return _join(list(words), "and")


def _join(words: list[str], conjunction: str) -> str:
    if not words:
        return ""
    if (language := current_language()) == ENGLISH:
        *first, last = words
        return f"{', '.join(first)} {conjunction} {last}" if first else last
    from babel.lists import format_list

    return format_list(words, style="or" if conjunction == "or" else "standard", locale=language)


def format_number(number: int) -> str:
    """`1,200`."""
    if (language := current_language()) == ENGLISH:
        return f"{number:,}"
    from babel.numbers import format_decimal

    return format_decimal(number, locale=language)


def format_date(day: date) -> str:
    """`2026-11-30`: not in words in English, whose countries write dates in different orders."""
    if (language := current_language()) == ENGLISH:
        return day.isoformat()
    from babel.dates import format_date as format_by_locale

    return format_by_locale(day, "medium", locale=language)


def format_duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h`."""
    if seconds < 90:
        return format_seconds(max(1, round(seconds)))
    return _format_unit(round(seconds / 60), "min") if seconds < 5400 else _format_unit(round(seconds / 3600), "h")


def format_seconds(seconds: int) -> str:
    """`120 s`, for a count that people watch."""
    return _format_unit(seconds, "s")


def _format_unit(number: int, symbol: str) -> str:
    if (language := current_language()) == ENGLISH:
        return f"{number} {symbol}"
    from babel.units import format_unit

    return format_unit(number, UNITS[symbol], length="short", locale=language)


def format_context_window(tokens: int) -> str:
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
    return gettext(SCOPE_LABELS[scope.kind])
