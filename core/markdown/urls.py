"""Finds addresses in running text, so that no mark inside them counts as Markdown.

    https://example.com/api/_v1_                    all of it, unless emphasis is open that the last mark closes
    (see https://example.com/Racing_(game).)        without the outer bracket and the full stop

In a paragraph, an address is found before emphasis, and becomes a link whose text is the address.
"""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
from markdown_it.rules_inline import StateInline

from core.markdown.emphasis import UNSPACED_PATTERN

START_PATTERN = re.compile(r"(?<![A-Za-z0-9])(?:file:///|[A-Za-z][A-Za-z0-9]{1,15}://|www\.)(?=[\w\[])")
WWW_PATTERN = re.compile(r"(?<![A-Za-z0-9])www\.(?=\w)")
DOMAIN_PATTERN = re.compile(r"(?<![\w.@/:-])(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[a-z]{2,24}/")
"""The beginning of an address that names no scheme: `example.com/a_b_`. Other marks than `_` end it."""
DOMAIN_CLOSERS = ("*", "~~", "||", "==")
SCHEME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9]{1,15}\Z")
MAX_SCHEME_CHARS = 16
HOST_PATTERN = re.compile(r"[A-Za-z0-9.:@-]+")
SPECIAL_PATTERN = re.compile(
    r"[\s<>\"`|\\()\[\]{}*~=，。、；：？！…—–「」『』（）《》〈〉【】〔〕“”„‘’«»‹›،؛؟۔।"
    r"\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
"""The characters at which an address may end."""
ALLOWED_PATTERN = re.compile(r"\|(?!\|)|\*(?!\*{0,2}[^\x00-\x7f])|[~=]|\\[_*~#&+=-]|[(\[{](?!\^)")
"""What does not end it."""
CLOSING_BRACKETS = {"(": ")", "[": "]", "{": "}"}
SENTENCE_MARKS = "?!.,:;'"
PLAIN_TEXT_CLOSERS = ("**", "~~")
"""In text that is shown as it was written, these marks around an address are no part of it."""
MAX_DELIMITERS = 64
"""How many marks before an address are searched for one that a mark in the address may close."""


def find_urls(text: str) -> Iterator[tuple[int, int]]:
    """Where each address in plain text begins and ends."""
    position = 0
    while match := START_PATTERN.search(text, position):
        position = _find_end(text, match, len(text), PLAIN_TEXT_CLOSERS)
        yield match.start(), position


def _find_end(text: str, match: re.Match[str], limit: int, closers: tuple[str, ...]) -> int:
    """The end of the address whose beginning is `match`, without punctuation that belongs to the sentence.

    `closers`: marks that close emphasis which began before the address.
    """
    start = match.end()
    host = HOST_PATTERN.match(text, start, limit)
    if host and host.end() < limit and UNSPACED_PATTERN.match(text, host.end()):
        end = host.end()
    else:
        end = _scan_address(text, start, limit, closers)
    ignored_marks = SENTENCE_MARKS + ("_" if "_" in closers else "")
    return max(start, start + len(text[start:end].rstrip(ignored_marks)))


def _scan_address(text: str, start: int, limit: int, closers: tuple[str, ...]) -> int:
    """Up to the first character that cannot be in an address, or a bracket that closes none inside it."""
    position = start
    expected: list[str] = []
    while special := SPECIAL_PATTERN.search(text, position, limit):
        char, position = special[0], special.end()
        allowed = ALLOWED_PATTERN.match(text, special.start(), limit)
        if expected and char == expected[-1]:
            expected.pop()
        elif allowed is None or text.startswith(closers, special.start()):
            return special.start()
        else:
            position = allowed.end()
            expected += CLOSING_BRACKETS.get(char, "")
    return limit


def add_urls(grammar: MarkdownIt) -> None:
    grammar.inline.ruler.at("text", _text_rule)


def _text_rule(state: StateInline, silent: bool) -> bool:
    """Read an address, or text up to the next mark or address."""
    stop = state.md.inline.terminator_re.search(state.src, state.pos)
    end = stop.start() if stop else state.posMax
    address = _find_start(state.src, state.pos, end)
    if address and address.start() == state.pos:
        _push_url(state, address, silent)
        return True
    end = address.start() if address else end
    if end == state.pos:
        return False
    if not silent:
        state.append_pending(state.src[state.pos : end])
    state.pos = end
    return True


def _find_start(text: str, start: int, end: int) -> re.Match[str] | None:
    """The beginning of an address in the text without marks from `start` to `end`, where `://` may follow."""
    if www := WWW_PATTERN.search(text, start, end):
        return START_PATTERN.match(text, www.start())
    if not text.startswith("://", end):
        return DOMAIN_PATTERN.search(text, start, end) if "/" in text[start:end] else None
    scheme = SCHEME_PATTERN.search(text, max(start, end - MAX_SCHEME_CHARS), end)
    return START_PATTERN.match(text, scheme.start()) if scheme else None


def _push_url(state: StateInline, address: re.Match[str], silent: bool) -> None:
    closers = _open_marks(state)
    if address.re is DOMAIN_PATTERN:
        closers += DOMAIN_CLOSERS
    end = _find_end(state.src, address, state.posMax, closers)
    url = unescapeAll(state.src[state.pos : end])
    state.pos = end
    if silent:
        return
    if state.linkLevel:
        state.append_pending(url)
        return
    state.push("link_open", "a", 1).attrs = {"href": url}
    state.push("text", "", 0).content = url
    state.push("link_close", "a", -1)


def _open_marks(state: StateInline) -> tuple[str, ...]:
    """The marks that would close what is open; of two or more characters, if the opening run has as many."""
    open_runs: dict[int, list[str]] = {}
    for delimiter in state.delimiters[-MAX_DELIMITERS:]:
        runs = open_runs.setdefault(delimiter.marker, [])
        if delimiter.close and runs:
            runs.pop()
        elif delimiter.open:
            runs.append(chr(delimiter.marker) * min(delimiter.length or 2, 2))
    # `_` closes nothing inside a word.
    return tuple("_" if runs[-1][0] == "_" else runs[-1] for runs in open_runs.values() if runs)
