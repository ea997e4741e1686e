"""Adds spoilers, `||hidden||`, and highlighted text, `==marked==`.

A pair encloses whole words, so that `a||b` and `a == b` stay as they are; next to characters of scripts without spaces
it may be anywhere. A run of another length is text.
"""

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

from core.markdown.emphasis import scan_run

TOKEN_TYPES = {"|": "spoiler", "=": "highlight"}


def add_pairs(grammar: MarkdownIt) -> None:
    grammar.inline.add_terminator_char("|")
    grammar.inline.ruler.before("emphasis", "pairs", _pair_rule)
    grammar.inline.ruler2.before("emphasis", "pairs", _build_pairs)


def _pair_rule(state: StateInline, silent: bool) -> bool:
    mark = state.src[state.pos]
    if silent or mark not in TOKEN_TYPES:
        return False
    run = scan_run(state, state.pos)
    token = state.push("text", "", 0)
    token.content = mark * run.length
    state.pos += run.length
    if run.length == 2:
        can_open = run.opens and not run.before.is_spaced_word
        can_close = run.closes and not run.after.is_spaced_word
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
                for delimiter, suffix, nesting in ((opener, "open", 1), (closer, "close", -1)):
                    token = state.tokens[delimiter.token]
                    token.type, token.nesting, token.content = f"{name}_{suffix}", nesting, ""
