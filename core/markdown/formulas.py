r"""Maths for markdown-it: `$..$`, `$$..$$`, `\(..\)`, `\[..\]` and `\begin{..}..\end{..}`.

Dollars are money unless they look like a formula (pandoc's rule, and a digit needs company).
A displayed formula that has not ended yet counts as one, so that a preview does not flicker.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

__all__ = ["RESUME_MARK", "add_formulas", "formula_closer"]

RESUME_MARK = "\ue000"
"""Stands alone on a line before the rest of a formula, in a text that says it is resumed."""
MAX_INLINE_FORMULA_CHARS = 4000  # characters of a formula inside a paragraph
ENVIRONMENT_PATTERN = re.compile(r"\\begin\{([A-Za-z]+\*?)\}")
DISPLAY_DELIMITERS = {"$$": "$$", "\\[": "\\]"}
DISPLAY_OPENERS = {closer: opener for opener, closer in DISPLAY_DELIMITERS.items()}
INLINE_DELIMITERS = {"\\(": "\\)", "\\[": "\\]"}
DOUBLE_DOLLAR_PATTERN = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
SINGLE_DOLLAR_PATTERN = re.compile(r"\$(?!\s)((?:[^$\\]|\\.)+?)(?<!\s)\$(?!\d)", re.DOTALL)
MONEY_PATTERN = re.compile(r"[\d.,]+(?:$|[^\\^_=+*/<>{}]*\s[^\\^_=+*/<>{}]*\Z)")


def add_formulas(parser: MarkdownIt) -> None:
    parser.block.ruler.before(
        "fence", "formula", _display_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "formula_enclosed", _enclosed_rule)
    parser.inline.ruler.before("escape", "formula_dollars", _dollar_rule)


def formula_closer(line: str) -> str | None:
    """What ends the displayed formula that begins with `line`; None: none begins."""
    environment = ENVIRONMENT_PATTERN.match(line)
    return f"\\end{{{environment[1]}}}" if environment else DISPLAY_DELIMITERS.get(line[:2])


def _line_text(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _display_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    first = _line_text(state, start)
    if first[:1] not in ("$", "\\", RESUME_MARK):
        return False
    resumed = state.env.get("resumed") if first == RESUME_MARK else None
    if resumed:
        last, tex = _scan_display_formula(state, start + 1, end, resumed, [], resumed=True)
    else:
        closer = formula_closer(first)
        if closer is None or start < state.env.get(closer, 0):
            return False
        rest = first if closer.startswith("\\end") else first[2:]
        last, tex = _scan_display_formula(state, start, end, closer, [rest], resumed=False)
    if last == 0:
        return False
    if silent:
        return True
    token = state.push("formula", "math", 0)
    token.content = "\n".join(tex).strip("\n").strip()
    token.map = [start, last]
    state.line = last
    return True


def _scan_display_formula(
    state: StateBlock, line: int, end: int, closer: str, tex: list[str], *, resumed: bool
) -> tuple[int, list[str]]:
    """The line after the formula (0: it is none) and its lines without the closer."""
    is_environment = closer.startswith("\\end")  # an environment keeps its frame
    if not tex:
        if line >= end:
            return end, tex
        tex = [_line_text(state, line)]
    while True:
        text = tex[-1]
        if closer in text:
            at = text.index(closer)
            trailing = text[at + len(closer) :].strip()
            if trailing and not resumed:
                state.env[closer] = line
                return 0, tex
            if not trailing:
                tex[-1] = text[: at + len(closer)] if is_environment else text[:at]
            return line + 1, tex
        line += 1
        if line >= end or state.sCount[line] < state.blkIndent:
            if not is_environment and not resumed and tex[0].strip():
                # It may yet turn out to be none: show all of it.
                tex[0] = DISPLAY_OPENERS[closer] + tex[0]
            return line, tex
        text = _line_text(state, line)
        if not text.strip():
            # No need to look again for the end of those that begin before this line.
            state.env[closer] = line
            return (line if resumed else 0), tex
        tex.append(text)


def _enclosed_rule(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "\\":
        return False
    opener = state.src[state.pos : state.pos + 2]
    closer = INLINE_DELIMITERS.get(opener)
    if closer is None:
        return False
    end = state.src.find(closer, state.pos + 2, state.pos + MAX_INLINE_FORMULA_CHARS)
    return end > state.pos + 2 and _push_token(state, state.pos + 2, end, end + 2, silent)


def _dollar_rule(state: StateInline, silent: bool) -> bool:
    at = state.pos
    if state.src[at] != "$":
        return False
    double = DOUBLE_DOLLAR_PATTERN.match(state.src, at, at + MAX_INLINE_FORMULA_CHARS)
    if double and double[1].strip("$ "):
        return _push_token(state, *double.span(1), double.end(), silent)
    if at and state.src[at - 1].isalnum():
        return False
    single = SINGLE_DOLLAR_PATTERN.match(state.src, at, at + MAX_INLINE_FORMULA_CHARS)
    if single is None or MONEY_PATTERN.match(single[1]):
        return False
    return _push_token(state, *single.span(1), single.end(), silent)


def _push_token(state: StateInline, start: int, end: int, after: int, silent: bool) -> bool:
    if after > state.posMax:
        return False
    if not silent:
        state.push("formula", "math", 0).content = state.src[start:end].strip()
    state.pos = after
    return True
