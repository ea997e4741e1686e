"""The symbols, alphabets, marks and scripts with which TeX formulas become text; most come from `pylatexenc`."""

import unicodedata
from functools import lru_cache

from pylatexenc.latex2text import LatexNodes2Text, get_default_latex_context_db

LIBRARY_CATEGORIES = ("latex-base", "advanced-symbols")
"""pylatexenc's macros that are symbols and names of functions."""
MORE_SYMBOLS = {
    "land": "∧",
    "lor": "∨",
    "neg": "¬",
    "lnot": "¬",
    "iff": "⇔",
    "implies": "⇒",
    "impliedby": "⇐",
    "gets": "←",
    "longmapsto": "⟼",
    "Longrightarrow": "⟹",
    "Longleftarrow": "⟸",
    "Longleftrightarrow": "⟺",
    "longleftrightarrow": "⟷",
    "prime": "′",
    "bot": "⊥",
    "ne": "≠",
    "div": "÷",
    "cdot": "·",
    "star": "⋆",
    "models": "⊨",
    "vDash": "⊨",
    "degree": "°",
    "circ": "∘",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
    "lbrace": "{",
    "rbrace": "}",
    "lbrack": "[",
    "rbrack": "]",
    "|": "‖",
    "Vert": "‖",
    "lVert": "‖",
    "rVert": "‖",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "colon": ":",
    "Re": "ℜ",
    "Im": "ℑ",
    "square": "□",
    "Box": "□",
    "triangle": "△",
    "diamond": "⋄",
    "checkmark": "✓",
    "bigcup": "⋃",
    "bigcap": "⋂",
    "bigvee": "⋁",
    "bigwedge": "⋀",
    "ddagger": "‡",
    "hslash": "ℏ",
    "imath": "ı",
    "jmath": "ȷ",
    "lt": "<",
    "gt": ">",
    "mod": "mod",
    "bmod": "mod",
}
FUNCTION_NAMES = (
    "arg",
    "argmax",
    "argmin",
    "cot",
    "coth",
    "csc",
    "deg",
    "det",
    "dim",
    "gcd",
    "hom",
    "ker",
    "lcm",
    "Pr",
    "sec",
)
ALPHABETS = frozenset(("mathbb", "mathbf", "mathcal", "mathscr", "mathfrak"))
COMBINING_MARKS = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "tilde": "\u0303",
    "widetilde": "\u0303",
    "bar": "\u0304",
    "dot": "\u0307",
    "ddot": "\u0308",
    "check": "\u030c",
    "breve": "\u0306",
    "vec": "\u20d7",
    "overrightarrow": "\u20d7",
    "overline": "\u0305",
    "underline": "\u0332",
    "cancel": "\u0336",
    "not": "\u0338",
}
LONG_MARKS = frozenset(("overline", "underline", "cancel", "overrightarrow", "vec"))
"""They may be above or below several characters."""
SCRIPT_RANGES = ((0xB2, 0xBA), (0x2B0, 0x2B9), (0x1D2C, 0x1D6B), (0x1D9C, 0x1DC0), (0x2070, 0x209D), (0x2C7C, 0x2C7E))
RAISED_CHARS = frozenset("*†‡′″°")
"""They look like superscripts as they are."""
PREFIX_SYMBOLS = frozenset("∂∇∀∃∄¬∠∁")
"""They belong to what follows."""
OTHER_SYMBOLS = frozenset("∑∏∐∫∬∭∮√∛∜∞⋃⋂⋁⋀⊤⊥∡∢⌊⌋⌈⌉‖|△□■")
"""Other mathematical symbols that do not stand between two operands."""

INFIX_SYMBOLS = frozenset(("mod", "·", "∣", "∥", "⇒", "⇔", "⇐", "⟹", "⟸", "⟺", "↦", "⟼", "⟶", "⟵", "↔", "⊥"))


def is_infix(symbol: str) -> bool:
    is_mathematical = unicodedata.category(symbol[0]) == "Sm" and symbol not in PREFIX_SYMBOLS | OTHER_SYMBOLS
    return is_mathematical or symbol in INFIX_SYMBOLS


def to_script(text: str, mark: str) -> str:
    """`text` as a superscript (`mark` is "^") or a subscript ("_"); behind the mark if it has no such characters."""
    compact = "".join(text.split())
    scripts = SUPERSCRIPTS if mark == "^" else SUBSCRIPTS
    if all(char in scripts for char in compact):
        return "".join(map(scripts.__getitem__, compact))
    if mark == "^" and RAISED_CHARS.issuperset(compact):
        return compact
    return f"{mark}{text}" if len(text) == 1 else f"{mark}({text})"


@lru_cache(1024)
def styled_letter(alphabet: str, letter: str) -> str:
    return str(LatexNodes2Text().latex_to_text(f"\\{alphabet}{{{letter}}}"))


def _load_symbols() -> dict[str, str]:
    symbols = {}
    for spec in get_default_latex_context_db().iter_macro_specs(LIBRARY_CATEGORIES):
        text = spec.simplify_repl
        if isinstance(text, str) and (len(text) == 1 or text.replace(" ", "") == spec.macroname):
            symbols[spec.macroname] = text
    return symbols | MORE_SYMBOLS | {name: name for name in FUNCTION_NAMES}


def _load_scripts(kind: str) -> dict[str, str]:
    """The characters that Unicode derives from others as `<super>` or `<sub>`."""
    scripts: dict[str, str] = {}
    for code in (code for first, end in SCRIPT_RANGES for code in range(first, end)):
        tag, _, original = unicodedata.decomposition(chr(code)).partition(" ")
        if tag == kind and " " not in original:
            scripts.setdefault(chr(int(original, 16)), chr(code))
    return scripts | {"-": scripts["−"]}


SYMBOLS = _load_symbols()
SUPERSCRIPTS = _load_scripts("<super>")
SUBSCRIPTS = _load_scripts("<sub>")
SCRIPT_CHARS = frozenset((*SUPERSCRIPTS.values(), *SUBSCRIPTS.values()))
FUNCTIONS = frozenset(symbol for symbol in SYMBOLS.values() if len(symbol) > 1)
