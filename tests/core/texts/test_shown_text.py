"""Code, quotations, counts and scopes, as people and operators read them."""

import pytest

from core.scopes import Scope, ScopeKind
from core.texts import formatting


@pytest.mark.parametrize(
    ("text", "fence"), [("a", "```"), ("a ``b``", "```"), ("a ```b", "````"), ("````` `", "``````")]
)
def test_fence_is_longer_than_any_in_the_code(text: str, fence: str) -> None:
    assert formatting.code_block(text) == f"{fence}\n{text}\n{fence}"


@pytest.mark.parametrize(
    ("text", "span"),
    [("Ann", "`Ann`"), ("  A\u202e `n`\n n ", "`A n n`"), ("", ""), ("`\u200b", "")],
)
def test_name_of_a_stranger_is_code(text: str, span: str) -> None:
    assert formatting.code_span(text) == span


@pytest.mark.parametrize(("text", "shown"), [("x" * 80, "x" * 80), ("x" * 81, "x" * 80), ("a*b", "a\\*b")])
def test_quotation_has_at_most_80_characters(text: str, shown: str) -> None:
    assert formatting.quote(text) == f"“{shown}”"


@pytest.mark.parametrize(("number", "text"), [(0, "0 notes"), (1, "1 note"), (1_200, "1,200 notes")])
def test_count_for_operators(number: int, text: str) -> None:
    assert formatting.count(number, "note") == text


@pytest.mark.parametrize(
    ("notes", "files", "text"),
    [
        (0, 0, ""),
        (1, 0, "1 note"),
        (0, 2, "2 files"),
        (1_200, 1, "1,200 notes and 1 file"),
    ],
)
def test_entries_are_counted(notes: int, files: int, text: str) -> None:
    assert formatting.count_entries(notes, files) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (1.6, "2 s"), (3_570, "60 min"), (9_100, "3 h")])
def test_duration(seconds: float, text: str) -> None:
    assert formatting.format_duration(seconds) == text


@pytest.mark.parametrize(("tokens", "text"), [(999, "999"), (1_000, "1k"), (131_072, "131k")])
def test_context_window_is_in_whole_thousands(tokens: int, text: str) -> None:
    assert formatting.format_context_window(tokens) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ScopeKind.MEMBER, "your messages in this chat"),
        (ScopeKind.THREAD, "this thread"),
        (ScopeKind.CHAT, "this chat"),
        (ScopeKind.PERSON, "all your chats"),
        (ScopeKind.SERVER, "this server"),
    ],
)
def test_scope_has_a_name(kind: ScopeKind, text: str) -> None:
    assert formatting.scope_label(Scope(kind, "7")) == text
