r"""Adds TeX formulas to markdown-it's grammar.

Inline formulas are `$..$` and `\(..\)`; displayed ones are `$$..$$`, `\[..\]` and
`\begin{..}..\end{..}`. A dollar sign is money unless the text looks like a formula. As in pandoc, no
space follows the opening `$` or precedes the closing one, and neither a digit nor the name of a
variable of a shell follows the closing one; besides, a number and words are an amount:

    $x^2$, $5x$ and $42$        three formulas
    It costs $5, not $10        text: a space precedes the second $
    $5 or 5$                    text: a number and words, without an operator
    $HOME/bin:$PATH             text: a letter follows the second $

A displayed formula whose end is missing counts as a formula up to the last line, so that a growing
answer does not flicker while the formula arrives. A blank line ends the attempt: the text before it
was not a formula.
"""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

RESUME_MARK = "\ue000"
"""A line of this private character says that the next line continues a displayed formula."""
MAX_INLINE_FORMULA_CHARS = 4000
ENVIRONMENT_PATTERN = re.compile(r"\\begin\{([A-Za-z]+\*?)\}")
DISPLAY_DELIMITERS = {"$$": "$$", "\\[": "\\]"}
DISPLAY_OPENERS = {closer: opener for opener, closer in DISPLAY_DELIMITERS.items()}
INLINE_DELIMITERS = {"\\(": "\\)", "\\[": "\\]"}
DISPLAY_OPENER_PATTERN = re.compile(r"\$\$|\\\[|\\begin\{")
DOUBLE_DOLLAR_PATTERN = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
SINGLE_DOLLAR_PATTERN = re.compile(r"\$(?!\s)((?:[^$\\]|\\.)+?)(?<!\s)\$(?![\dA-Z_{])", re.DOTALL)
NUMBER_PATTERN = re.compile(r"[\d.,]++")
OPERATOR_PATTERN = re.compile(r"[\\^_=+*/<>{}]")


@dataclass(frozen=True, slots=True)
class _DisplayFormula:
    next_line: int
    """The line after the formula."""
    lines: list[str]
    """Its source without the delimiters; an environment keeps them."""
    is_closed: bool = False


def add_formulas(parser: MarkdownIt) -> None:
    # Before tables: a row after which a formula may begin ends its table, so no other table may begin there instead.
    parser.block.ruler.before(
        "table", "formula", _display_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "formula_enclosed", _enclosed_rule)
    parser.inline.ruler.before("escape", "formula_dollars", _dollar_rule)


def formula_closer(line: str) -> str | None:
    """The delimiter that closes the displayed formula `line` begins; None if it begins none."""
    environment = ENVIRONMENT_PATTERN.match(line)
    return f"\\end{{{environment[1]}}}" if environment else DISPLAY_DELIMITERS.get(line[:2])


def _line_text(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _display_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    first_line = _line_text(state, start)
    if first_line[:1] not in ("$", "\\", RESUME_MARK) or state.is_code_block(start):
        return False
    open_formula = state.env.get("open_formula") if first_line == RESUME_MARK else None
    if open_formula:
        formula = _scan_display_formula(state, start + 1, end, open_formula, [], is_resumed=True)
    else:
        closer = formula_closer(first_line)
        if closer is None or start < state.env.get(_container(state, end, closer), 0):
            return False
        rest = first_line if closer.startswith("\\end") else first_line[2:]
        formula = _scan_display_formula(state, start, end, closer, [rest], is_resumed=False)
    if formula is None:
        return False
    if silent:
        return True
    token = state.push("formula", "math", 0)
    token.content = "\n".join(formula.lines).strip("\n").strip()
    token.meta["is_complete"] = formula.is_closed and not open_formula
    token.map = [start, formula.next_line]
    state.line = formula.next_line
    return True


def _container(state: StateBlock, end: int, closer: str) -> str:
    """Where no formula can end before a line, if one could not; but one in an inner list or quote ends with that."""
    return f"{closer} {end} {state.blkIndent} {state.level}"


def _scan_display_formula(
    state: StateBlock, line: int, end: int, closer: str, lines: list[str], *, is_resumed: bool
) -> _DisplayFormula | None:
    """Read the formula whose first source line is `lines`, or `line` if `lines` is empty."""
    is_environment = closer.startswith("\\end")
    if not lines:
        if line >= end:
            return _DisplayFormula(end, lines)
        lines = [_line_text(state, line)]
    while True:
        text = lines[-1]
        if closer in text:
            position = text.index(closer)
            has_trailing_text = bool(text[position + len(closer) :].strip())
            if has_trailing_text and not is_resumed:
                state.env[_container(state, end, closer)] = line
                return None
            if not has_trailing_text:
                lines[-1] = text[: position + len(closer)] if is_environment else text[:position]
            return _DisplayFormula(line + 1, lines, is_closed=True)
        line += 1
        if line >= end or state.sCount[line] < state.blkIndent:
            if not is_environment and not is_resumed and lines[0].strip():
                # Later text may show that this is not a formula: keep the delimiter visible.
                lines[0] = DISPLAY_OPENERS[closer] + lines[0]
            return _DisplayFormula(line, lines)
        text = _line_text(state, line)
        is_complete = state.eMarks[line] < len(state.src)  # otherwise the line may yet continue
        if is_complete and not text.strip():
            # No formula that begins before this line can end: openers up to here need no new scan.
            state.env[_container(state, end, closer)] = line
            return _DisplayFormula(line, lines) if is_resumed else None
        lines.append(text)


def _enclosed_rule(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "\\":
        return False
    end = _find_closer(state.src, state.pos)
    return end is not None and _push_formula(state, state.pos + 2, end, end + 2, silent)


def _find_closer(text: str, start: int) -> int | None:
    """Where the delimiter begins that closes the one at `start`, if there is one."""
    closer = INLINE_DELIMITERS.get(text[start : start + 2])
    if closer is None:
        return None
    end = text.find(closer, start + 2, start + MAX_INLINE_FORMULA_CHARS)
    return end if end > start + 2 else None


def _dollar_rule(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "$":
        return False
    formula = _match_dollars(state.src, state.pos)
    return formula is not None and _push_formula(state, *formula.span(1), formula.end(), silent)


def _match_dollars(text: str, start: int) -> re.Match[str] | None:
    """The formula that begins with the dollar sign at `start`; its first group is its content."""
    double = DOUBLE_DOLLAR_PATTERN.match(text, start, start + MAX_INLINE_FORMULA_CHARS)
    if double and double[1].strip("$ "):
        return double
    if start and text[start - 1].isalnum():
        return None
    single = SINGLE_DOLLAR_PATTERN.match(text, start, start + MAX_INLINE_FORMULA_CHARS)
    return None if single is None or _is_money(single[1]) else single


def find_formula_end(text: str, start: int) -> int | None:
    """Where the formula ends that begins at `start`, if one does."""
    if text[start] == "$":
        formula = _match_dollars(text, start)
        return None if formula is None else formula.end()
    closer = _find_closer(text, start)
    return None if closer is None else closer + 2


def _is_money(text: str) -> bool:
    """Whether `text` is a number and words without an operator."""
    number = NUMBER_PATTERN.match(text)
    if number is None:
        return False
    words = text[number.end() :]
    return OPERATOR_PATTERN.search(words) is None and any(map(str.isspace, words))


def _push_formula(state: StateInline, start: int, end: int, next_position: int, silent: bool) -> bool:
    if next_position > state.posMax:
        return False
    if not silent:
        state.push("formula", "math", 0).content = state.src[start:end].strip()
    state.pos = next_position
    return True
