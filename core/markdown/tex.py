r"""Writes TeX formulas as Unicode text, as far as text can show them.

    \frac{n(n+1)}{2}         n(n+1)/2
    \sum_{i=1}^n x_i^2       ∑ᵢ₌₁ⁿ xᵢ²
    e^{-x^2} \geq \sqrt{2}   e^(-x²) ≥ √2

A formula with an unknown macro or an error stays TeX. The time is proportional to the length of the formula, which is
limited, like its depth.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from core.markdown.tex_symbols import (
    ALPHABETS,
    COMBINING_MARKS,
    FUNCTIONS,
    LONG_MARKS,
    PREFIX_SYMBOLS,
    SCRIPT_CHARS,
    SUPERSCRIPTS,
    SYMBOLS,
    is_infix,
    styled_letter,
    to_script,
)

MAX_TEX_CHARS = 2000
"""A longer formula stays TeX."""
MAX_DEPTH = 16
"""A formula with deeper nested groups stays TeX."""
SIZING_PATTERN = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*+\.?")
TOKEN_PATTERN = re.compile(r"\\(?:[A-Za-z]+|.)|\s+|.", re.DOTALL)
LITERALS = {
    **{char: char for char in "%$&#_{}"},
    **dict.fromkeys((",", ";", ":", " ", "quad", "qquad", "enspace", "thinspace"), " "),
    **dict.fromkeys(("!", "displaystyle", "textstyle", "limits", "nolimits", "nonumber", "notag"), ""),
}
TEXT_MACROS = ("text", "textrm", "textbf", "textit", "texttt", "textsf", "textnormal", "mbox", "operatorname")
STYLE_MACROS = (
    "mathrm",
    "mathit",
    "mathsf",
    "mathtt",
    "mathnormal",
    "boldsymbol",
    "bm",
    "pmb",
    "boxed",
    "mathop",
    "mathbin",
    "mathrel",
)
FRACTION_MACROS = ("frac", "dfrac", "tfrac", "cfrac")
LONG_ARROWS = {"xrightarrow": "→", "xleftarrow": "←"}
ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}
LINE_ENVIRONMENTS = frozenset(("align", "aligned", "equation", "gather", "gathered", "split"))
ENCLOSED_ENVIRONMENTS = {
    "matrix": "[]",
    "array": "[]",
    "smallmatrix": "[]",
    "bmatrix": "[]",
    "pmatrix": "()",
    "Bmatrix": "{}",
    "vmatrix": "||",
    "Vmatrix": "‖‖",
    "cases": "{}",
}
SIMPLE_DIVISOR_PATTERN = re.compile(r"[\d.]+|[d∂]?[^\W\d_]|[^\x00-\x7f]+")
"""A number, a letter, a differential, or a word that is not in Latin letters."""
FACTOR_SIGNS = frozenset("(√∛∜∑∏∫∬∭∮∂")
SUM_PATTERN = re.compile(r"[^\w.′(){}\[\]|‖√^]")


class _NotTextError(Exception):
    """The formula cannot be text."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    enclosed: str = ""
    """The form beside another factor, if it differs."""
    is_prefix: bool = False
    """Whether only the factor behind it matters."""


@lru_cache(4096)
def tex_to_unicode(tex: str) -> str | None:
    """The formula as text, with a line for each of its rows; None if it must stay TeX."""
    if len(tex) > MAX_TEX_CHARS:
        return None
    try:
        lines = _Reader(tex).read().split("\n")
    except _NotTextError:
        return None
    text = "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
    return unicodedata.normalize("NFC", text) or None


class _Reader:
    """Reads one formula; each method consumes the tokens of what it returns."""

    def __init__(self, tex: str) -> None:
        self._tokens: list[str] = TOKEN_PATTERN.findall(SIZING_PATTERN.sub("", tex))
        self._position = 0
        self._depth = 0

    def read(self) -> str:
        return "\n".join(map(" ".join, self._rows("")))

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise _NotTextError
        self._position += 1
        return token

    def _skip_space(self) -> None:
        if self._peek().isspace():
            self._position += 1

    # Sequences

    def _rows(self, closer: str) -> list[list[str]]:
        """The cells of the rows up to `closer`; "" is the end of the formula."""
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(self._sequence("&", "\\\\", closer))
            if self._peek() == closer:
                self._position += 1
                return rows
            if self._next() == "\\\\":
                rows.append([])

    def _sequence(self, *closers: str) -> str:
        """The text up to one of `closers`, which remains."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NotTextError
        pieces = []
        while self._peek() not in closers:
            pieces.append(self._piece())
        self._depth -= 1
        return _join(pieces).strip()

    def _argument(self) -> str:
        """The text of the next group or token."""
        self._skip_space()
        if self._peek() == "{":
            return self._piece().text
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NotTextError
        text = self._piece().text.strip()
        self._depth -= 1
        return text

    def _raw_argument(self) -> str:
        """The next group as written, without TeX."""
        self._skip_space()
        if self._next() != "{":
            raise _NotTextError
        text = ""
        while (token := self._next()) != "}":
            if token[0] == "\\":
                token = LITERALS.get(token[1:], "$")
            if token in ("{", "$"):
                raise _NotTextError
            text += token
        return text

    # Pieces

    def _piece(self) -> _Piece:
        token = self._next()
        if token[0] == "\\":
            return self._macro(token[1:])
        match token:
            case "{":
                text = self._sequence("}")
                self._position += 1
                return _Piece(text)
            case "^" | "_":
                return _Piece(self._script(token))
            case "'":
                return _Piece("′")
            case "~":
                return _Piece(" ")
            case "}" | "&" | "$" | "#":
                raise _NotTextError
        return _Piece(token)

    def _script(self, mark: str) -> str:
        text = self._argument()
        return "°" if text == "∘" else to_script(text, mark)

    def _macro(self, name: str) -> _Piece:
        if name in LITERALS:
            return _Piece(LITERALS[name])
        if name in SYMBOLS:
            return self._symbol(SYMBOLS[name])
        if name not in MACROS:
            raise _NotTextError
        return MACROS[name](self, name)

    def _symbol(self, symbol: str) -> _Piece:
        if is_infix(symbol):
            return _Piece(f" {symbol} ")
        if len(symbol) == 1 and (symbol.isalpha() or symbol in PREFIX_SYMBOLS):
            self._skip_separator()
        return _Piece(symbol)

    def _skip_separator(self) -> None:
        r"""Skip the space in `\pi r`, which only ends the macro's name."""
        start = self._position
        self._skip_space()
        if not (self._peek().isalpha() or self._peek()[:1] == "\\"):
            self._position = start

    def read_text(self, _name: str) -> _Piece:
        self._skip_star()
        return _Piece(self._raw_argument())

    def _skip_star(self) -> None:
        if self._peek() == "*":
            self._position += 1

    def read_style(self, _name: str) -> _Piece:
        return _Piece(self._argument())

    def read_alphabet(self, name: str) -> _Piece:
        letters = self._argument()
        return _Piece(
            "".join(styled_letter(name, char) if char.isascii() and char.isalnum() else char for char in letters)
        )

    def read_mark(self, name: str) -> _Piece:
        text = self._argument()
        if not text or (len(text) > 1 and name not in LONG_MARKS):
            raise _NotTextError
        marked = "".join(char + COMBINING_MARKS[name] for char in text)
        return _Piece(f" {marked.strip()} " if name == "not" else marked)

    def read_fraction(self, _name: str) -> _Piece:
        numerator, divisor = self._argument(), self._argument()
        if not numerator or not divisor:
            raise _NotTextError
        text = f"{_as_factor(numerator)}/{_as_divisor(divisor)}"
        return _Piece(text, f"({text})")

    def read_root(self, _name: str) -> _Piece:
        self._skip_space()
        degree = ""
        if self._peek() == "[":
            self._position += 1
            degree = self._sequence("]")
            self._position += 1
        radicand = self._argument()
        if not radicand or not SUPERSCRIPTS.keys() >= set(degree):
            raise _NotTextError
        sign = ROOTS.get(degree) or to_script(degree, "^") + "√"
        enclosed = f"{sign}({radicand})"
        is_simple = len(radicand) == 1 or radicand.isdecimal()
        return _Piece(sign + radicand if is_simple else enclosed, enclosed, is_prefix=True)

    def read_binomial(self, _name: str) -> _Piece:
        return _Piece(f"C({self._argument()}, {self._argument()})")

    def read_remainder(self, _name: str) -> _Piece:
        return _Piece(f" (mod {self._argument()})")

    def read_long_arrow(self, name: str) -> _Piece:
        label, arrow = self._argument(), LONG_ARROWS[name]
        return _Piece(f" {arrow}{to_script(label, '^')} " if label else f" {arrow} ")

    def read_tag(self, _name: str) -> _Piece:
        return _Piece(f" ({self._raw_argument()})")

    def read_environment(self, _name: str) -> _Piece:
        name = self._raw_argument()
        if name == "array":
            self._raw_argument()  # how the columns are aligned
        self._depth += 1
        rows = self._rows("\\end")
        self._depth -= 1
        if self._raw_argument() != name:
            raise _NotTextError
        if name.removesuffix("*") in LINE_ENVIRONMENTS:
            return _Piece("\n".join(map(" ".join, rows)))
        if name not in ENCLOSED_ENVIRONMENTS:
            raise _NotTextError
        brackets = ENCLOSED_ENVIRONMENTS[name]
        separator = ", " if name == "cases" else " "
        cells = (separator.join(cell.strip().rstrip(",") for cell in row) for row in rows if any(row))
        return _Piece(brackets[0] + "; ".join(cells) + brackets[1])


MACROS: dict[str, Callable[[_Reader, str], _Piece]] = {
    **dict.fromkeys(TEXT_MACROS, _Reader.read_text),
    **dict.fromkeys(STYLE_MACROS, _Reader.read_style),
    **dict.fromkeys(ALPHABETS, _Reader.read_alphabet),
    **dict.fromkeys(COMBINING_MARKS, _Reader.read_mark),
    **dict.fromkeys(FRACTION_MACROS, _Reader.read_fraction),
    **dict.fromkeys(LONG_ARROWS, _Reader.read_long_arrow),
    "sqrt": _Reader.read_root,
    "binom": _Reader.read_binomial,
    "pmod": _Reader.read_remainder,
    "begin": _Reader.read_environment,
    "tag": _Reader.read_tag,
}


def _join(pieces: list[_Piece]) -> str:
    texts: list[str] = []
    before = ""
    for index, piece in enumerate(pieces):
        after = "".join(following.text for following in pieces[index + 1 : index + 3]).lstrip()[:1]
        is_beside_factor = _begins_factor(after) or (not piece.is_prefix and _ends_factor(before))
        text = piece.enclosed if piece.enclosed and is_beside_factor else piece.text
        if _needs_space(texts[-1] if texts else "", text):
            texts.append(" ")
        if text:
            texts.append(text)
        before = text.rstrip()[-1:] or before
    return "".join(texts)


def _begins_factor(char: str) -> bool:
    return char.isalnum() or char in FACTOR_SIGNS


def _ends_factor(char: str) -> bool:
    return char.isalnum() or char == ")"


def _needs_space(before: str, text: str) -> bool:
    """Whether one of the two is the name of a function, which the other would continue."""
    is_word = text[:1].isalnum() and text[0] not in SCRIPT_CHARS
    return is_word and before[-1:].isalnum() and (before in FUNCTIONS or text in FUNCTIONS)


def _as_factor(text: str) -> str:
    return f"({text})" if SUM_PATTERN.search(_top_level(text)) else text


def _as_divisor(text: str) -> str:
    base = "".join(char for char in text if char not in SCRIPT_CHARS)
    is_simple = SIMPLE_DIVISOR_PATTERN.fullmatch(base) or (text[0] == "(" and _top_level(text) == "()")
    return text if is_simple else f"({text})"


def _top_level(text: str) -> str:
    """`text` without what is inside parentheses."""
    depth, chars = 0, []
    for char in text:
        depth -= char == ")"
        if depth <= 0:
            chars.append(char)
        depth += char == "("
    return "".join(chars)
