r"""Maths for markdown-it: `$..$`, `$$..$$`, `\(..\)`, `\[..\]` and `\begin{..}..\end{..}`.

Dollars are money unless they look like a formula (pandoc's rule, and a digit needs company).
A displayed formula that has not ended yet counts as one, so that a preview does not flicker.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

__all__ = ["RESUMED", "add_formulas", "closer_of"]

RESUMED = "\ue000"
"""Stands alone on a line before the rest of a formula, in a text that says it is resumed."""
MOST = 4000  # characters of a formula inside a paragraph
ENVIRONMENT = re.compile(r"\\begin\{([A-Za-z]+\*?)\}")
DISPLAYED = {"$$": "$$", "\\[": "\\]"}
OPENER = {closer: opener for opener, closer in DISPLAYED.items()}
ENCLOSED = {"\\(": "\\)", "\\[": "\\]"}
DOLLARS = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
DOLLAR = re.compile(r"\$(?!\s)((?:[^$\\]|\\.)+?)(?<!\s)\$(?!\d)", re.DOTALL)
MONEY = re.compile(r"[\d.,]+(?:$|[^\\^_=+*/<>{}]*\s[^\\^_=+*/<>{}]*\Z)")


def add_formulas(grammar: MarkdownIt) -> None:
    grammar.block.ruler.before(
        "fence", "formula", _displayed, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    grammar.inline.ruler.before("escape", "formula_enclosed", _enclosed)
    grammar.inline.ruler.before("escape", "formula_dollars", _dollars)


def closer_of(line: str) -> str | None:
    """What ends the displayed formula that begins with `line`; None: none begins."""
    environment = ENVIRONMENT.match(line)
    return f"\\end{{{environment[1]}}}" if environment else DISPLAYED.get(line[:2])


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _displayed(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    first = _line(state, start)
    if first[:1] not in ("$", "\\", RESUMED):
        return False
    resumed = state.env.get("resumed") if first == RESUMED else None
    if resumed:
        last, tex = _until(state, start + 1, end, resumed, [], resumed=True)
    else:
        closer = closer_of(first)
        if closer is None or start < state.env.get(closer, 0):
            return False
        rest = first if closer.startswith("\\end") else first[2:]
        last, tex = _until(state, start, end, closer, [rest], resumed=False)
    if last == 0:
        return False
    if silent:
        return True
    token = state.push("formula", "math", 0)
    token.content = "\n".join(tex).strip("\n").strip()
    token.map = [start, last]
    state.line = last
    return True


def _until(
    state: StateBlock, line: int, end: int, closer: str, tex: list[str], *, resumed: bool
) -> tuple[int, list[str]]:
    """The line after the formula (0: it is none) and its lines without the closer."""
    whole = closer.startswith("\\end")  # an environment keeps its frame
    if not tex:
        if line >= end:
            return end, tex
        tex = [_line(state, line)]
    while True:
        text = tex[-1]
        if closer in text:
            at = text.index(closer)
            behind = text[at + len(closer) :].strip()
            if behind and not resumed:
                state.env[closer] = line
                return 0, tex
            if not behind:
                tex[-1] = text[: at + len(closer)] if whole else text[:at]
            return line + 1, tex
        line += 1
        if line >= end or state.sCount[line] < state.blkIndent:
            if not whole and not resumed and tex[0].strip():
                # It may yet turn out to be none: show all of it.
                tex[0] = OPENER[closer] + tex[0]
            return line, tex
        text = _line(state, line)
        if not text.strip():
            # No need to look again for the end of those that begin before this line.
            state.env[closer] = line
            return (line if resumed else 0), tex
        tex.append(text)


def _enclosed(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "\\":
        return False
    opener = state.src[state.pos : state.pos + 2]
    closer = ENCLOSED.get(opener)
    if closer is None:
        return False
    end = state.src.find(closer, state.pos + 2, state.pos + MOST)
    return end > state.pos + 2 and _push(state, state.pos + 2, end, end + 2, silent)


def _dollars(state: StateInline, silent: bool) -> bool:
    at = state.pos
    if state.src[at] != "$":
        return False
    double = DOLLARS.match(state.src, at, at + MOST)
    if double and double[1].strip("$ "):
        return _push(state, *double.span(1), double.end(), silent)
    if at and state.src[at - 1].isalnum():
        return False
    single = DOLLAR.match(state.src, at, at + MOST)
    if single is None or MONEY.match(single[1]):
        return False
    return _push(state, *single.span(1), single.end(), silent)


def _push(state: StateInline, start: int, end: int, after: int, silent: bool) -> bool:
    if after > state.posMax:
        return False
    if not silent:
        state.push("formula", "math", 0).content = state.src[start:end].strip()
    state.pos = after
    return True
