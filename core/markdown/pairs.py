"""Adds spoilers, `||hidden||`, and highlighted text, `==marked==`.

A pair encloses whole words, so that `a||b` and `a == b` stay as they are; next to characters of scripts without spaces
it may be anywhere. A run of another length is text. Discord hides whatever is between two `||`, so a spoiler may also
be a part of a word (`sp||oil||er`), begin or end inside one, and have its marks on lines of their own. What is likely
code stays: an operator between spaces, or between operands that are no words (`(x||y) && (z||w)`, `a||b||c`).
"""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

from core.markdown.emphasis import scan_run

WORD_PART_PATTERN = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")
"""What a spoiler between two words may contain."""
MAX_LINE_INDENT = 8
LINE_END_PATTERN = re.compile(r"[ \t]{0,8}(?:\n|\Z)")
TOKEN_TYPES = {"|": "spoiler", "=": "highlight"}


def add_pairs(grammar: MarkdownIt) -> None:
    grammar.inline.add_terminator_char("|")
    grammar.inline.ruler.before("emphasis", "pairs", _pair_rule)
    grammar.inline.ruler2.before("emphasis", "pairs", _build_pairs)


def _pair_rule(state: StateInline, silent: bool) -> bool:
    mark = state.src[state.pos]
    if silent or mark not in TOKEN_TYPES:
        return False
    run = scan_run(state.src, state.pos, state.posMax)
    token = state.push("text", "", 0)
    token.content = mark * run.length
    state.pos += run.length
    if run.length == 2:
        is_spoiler = mark == "|"
        is_line = is_spoiler and _is_line(state, state.pos)
        can_open = is_line or (run.opens and (is_spoiler or not run.before.is_spaced_word))
        can_close = is_line or (run.closes and (is_spoiler or not run.after.is_spaced_word))
        token.meta["is_in_word"] = run.before.is_spaced_word and run.after.is_spaced_word
        # Without a length, the parser compares nothing but the marks.
        state.delimiters.append(Delimiter(ord(mark), 0, len(state.tokens) - 1, -1, can_open, can_close))
    return True


def _build_pairs(state: StateInline) -> None:
    """Turn the marks that the parser has paired into tokens."""
    nested = [meta["delimiters"] for meta in state.tokens_meta if meta and "delimiters" in meta]
    for delimiters in [state.delimiters, *nested]:
        for opener in delimiters:
            name = TOKEN_TYPES.get(chr(opener.marker))
            if name and opener.end != -1:
                closer = delimiters[opener.end]
                if _is_operator_pair(state.tokens[opener.token : closer.token + 1]):
                    continue
                _drop_line_breaks(state.tokens[opener.token + 1], state.tokens[closer.token - 1])
                for delimiter, suffix, nesting in ((opener, "open", 1), (closer, "close", -1)):
                    token = state.tokens[delimiter.token]
                    token.type, token.nesting, token.content = f"{name}_{suffix}", nesting, ""


def _is_line(state: StateInline, end: int) -> bool:
    """Whether the two marks before `end` are alone on their line."""
    line_start = max(0, end - 2 - MAX_LINE_INDENT)
    before = state.src[line_start : end - 2].rstrip(" \t")
    is_first = before.endswith("\n") or not (before or line_start)
    return is_first and LINE_END_PATTERN.match(state.src, end) is not None


def _is_operator_pair(tokens: Sequence[Token]) -> bool:
    """Whether marks with words on both sides are more likely operators than a spoiler inside a word."""
    opener, *inner, closer = tokens
    if not (opener.meta["is_in_word"] and closer.meta["is_in_word"]):
        return False
    return len(inner) != 1 or inner[0].type != "text" or not WORD_PART_PATTERN.fullmatch(inner[0].content)


def _drop_line_breaks(*tokens: Token) -> None:
    """Remove the line breaks at the edges of a spoiler whose marks are on lines of their own."""
    for token in tokens:
        if token.type == "softbreak":
            token.type, token.tag = "text", ""
