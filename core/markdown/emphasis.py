"""Lets emphasis begin and end next to the punctuation of scripts that separate words without spaces.

CommonMark decides by spaces and punctuation whether `**` opens or closes, so that it finds no end of the bold text in

    **「重要」**な点         a closing quote inside, a letter outside
    **"스크립트"**는         a Korean particle outside
    **Note:**text          the same in a script with spaces

Chinese, Japanese and Korean therefore need other rules, which the CommonMark community describes as "CJK-friendly
amendments": their punctuation counts as letters, and other punctuation next to their characters does not prevent
emphasis. Thai and its neighbours have no spaces between words either. In any script, `**` after punctuation may also
close what is open: models write so, and nobody opens bold text in the middle of a bold word.

Arithmetic without spaces has no emphasis:

    3**2 + 4**2, 2*x*y, (a+b)*c*d, width*2 + height*2
    *f*(x), **2**nd            emphasis, because the first mark is before a word
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import regex
from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

UNSPACED_PATTERN = regex.compile(
    r"[[\p{ea=W}\p{ea=F}\p{ea=H}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}"
    r"\U000e0100-\U000e01ef]--\p{Emoji_Presentation}]",
    regex.V1,
)
"""A character of a script without spaces; `ea` is the East Asian width. The selectors vary a Chinese character."""
MARK_PATTERN = re.compile(r"[\n\\$`~|=*_\[!<&]|://|www\.")
"""A text without any of these is text alone: each rule for what is in a paragraph begins with one of them."""
MAX_OPERATOR_CHARS = 2
MAX_NAME_CHARS = 40
OPERATORS = frozenset("+-/^=([")
MARKED_WORD_PATTERN = re.compile(r"[\w'’-]{1,40}\*")
VARIATION_SELECTORS = tuple(map(chr, range(0xFE00, 0xFE0F)))


class Neighbour:
    """The character before or after a run of marks."""

    def __init__(self, char: str) -> None:
        category = unicodedata.category(char)
        is_unspaced = UNSPACED_PATTERN.match(char) is not None
        self.is_space = char.isspace()
        self.is_punctuation = category[0] in "PS"
        self.is_opening = category in ("Ps", "Pi")
        self.is_unspaced = is_unspaced
        self.is_spaced_word = char.isalnum() and not is_unspaced
        self.separates = self.is_punctuation and not is_unspaced

    def may_begin_after(self, outer: "Neighbour") -> bool:
        """Whether marks between `outer` and this character can belong to text that begins, or ends, with it."""
        if self.is_space:
            return False
        return not self.separates or outer.is_space or outer.separates or outer.is_unspaced


@dataclass(frozen=True, slots=True)
class Run:
    """A run of equal marks."""

    length: int
    before: Neighbour
    after: Neighbour
    opens: bool
    """Whether it may open emphasis, apart from the rules of each mark."""
    closes: bool


@lru_cache(4096)
def _neighbour(char: str) -> Neighbour:
    return Neighbour(char)


def scan_run(state: StateInline, start: int) -> Run:
    end = start
    while end < state.posMax and state.src[end] == state.src[start]:
        end += 1
    before = _neighbour(_char_before(state.src, start))
    after = _neighbour(state.src[end] if end < state.posMax else " ")
    return Run(end - start, before, after, after.may_begin_after(before), before.may_begin_after(after))


def _char_before(text: str, position: int) -> str:
    if position > 1 and text[position - 1] in VARIATION_SELECTORS:
        position -= 1
    return text[position - 1] if position else " "


def _is_operand(char: str, brackets: str) -> bool:
    return char != "" and (char in brackets or (char.isascii() and char.isdigit()) or _is_letter(char))


def _is_letter(char: str) -> bool:
    return char.isalpha() and not _neighbour(char).is_unspaced


@dataclass(frozen=True, slots=True)
class _Operator:
    """A run without spaces around it that may be a sign of arithmetic."""

    text: str
    start: int
    end: int

    @property
    def has_operands(self) -> bool:
        return _is_operand(self.text[self.start - 1 : self.start], ")]") and _is_operand(self.text[self.end], "(")

    def is_certain(self) -> bool:
        """Whether the run is an operator if no emphasis is open."""
        before, after = self.text[self.start - 1], self.text[self.end]
        outer, inner = self.text[max(0, self.start - 2) : self.start - 1], self.text[self.end + 1 : self.end + 2]
        if self.end - self.start > 1 and "*" in (outer, inner) and before.isalpha() and after.isalpha():
            return False  # a letter in a word: c**a**t
        is_left = before.isdigit() or before in ")]" or not outer.isalnum() or after.isdigit() or inner in OPERATORS
        return is_left and (not after.isalpha() or not inner.isalpha())

    def follows_number(self) -> bool:
        return self.text[self.start - 1].isdigit() and self.text[self.end].isalpha()

    def is_between_numbers(self) -> bool:
        return self.text[self.start - 1].isdigit() and self.text[self.end].isdigit()

    def may_open(self) -> bool:
        """Whether emphasis may begin here, in a word; with a single mark in ASCII, it also ends there."""
        is_single = self.end - self.start == 1 and self.text[self.start - 1].isascii() and self.text[self.end].isascii()
        return not is_single or MARKED_WORD_PATTERN.match(self.text, self.end) is not None


class _State(StateInline):
    opener_end: int | None = None
    """Where the emphasis begins that only a `*` before a word has opened; None if such a mark was not the last one."""
    operator_end: int | None = None
    """The end of the last operator."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
        scanned = self._scan(start, canSplitWord)
        if self.src[start] != "*" or not (scanned.can_open or scanned.can_close):
            return scanned
        end = start + scanned.length
        can_open, can_close = scanned.can_open, scanned.can_close
        operator = _Operator(self.src, start, end)
        if scanned.length <= MAX_OPERATOR_CHARS and start and end < self.posMax and operator.has_operands:
            is_operator = operator.is_certain() or operator.follows_number() or self._continues_term(start)
            can_open = can_open and not is_operator and operator.may_open()
            can_close = can_close and (not is_operator or self._ends_emphasis(operator))
            if not can_close and not can_open:
                self.operator_end = end
        self.opener_end = end if scanned.can_open and not scanned.can_close else None
        return Scanned(can_open, can_close, scanned.length)

    def _continues_term(self, start: int) -> bool:
        """Whether the run follows an operator and one name or number."""
        if self.operator_end is None or start - self.operator_end > MAX_NAME_CHARS:
            return False
        return self.src[self.operator_end : start].isalnum()

    def _ends_emphasis(self, operator: _Operator) -> bool:
        """Whether a run between operands ends emphasis that is open, rather than being an operator in it."""
        if self.opener_end is None or operator.is_between_numbers():
            return False
        content = self.src[self.opener_end : operator.start]
        return self.src[operator.end] == "(" or not any(map(str.isspace, content))

    def _scan(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N803
        run = scan_run(self, start)
        can_open = run.opens and (canSplitWord or not run.closes or run.before.is_punctuation)
        can_close = run.closes and (canSplitWord or not run.opens or run.after.is_punctuation)
        if self.src[start] == "*" and run.length > 1:
            can_close |= run.before.is_punctuation and not run.before.is_opening
        if self.src[start] == "_" and run.length > 1:  # not within a name such as `__init__`, which has no such marks
            can_open |= run.opens and run.after.is_punctuation and run.after.is_unspaced
            can_close |= run.closes and run.before.is_punctuation and run.before.is_unspaced
        return Scanned(can_open, can_close, run.length)


class _Parser(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        if not MARK_PATTERN.search(src):
            tokens += [Token("text", "", 0, content=src)] if src else []
            return tokens
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        if state.delimiters or any(state.tokens_meta):  # otherwise the second rules find no marks to pair
            for rule in self.ruler2.getRules(""):
                rule(state)
        return state.tokens


def relax_emphasis(grammar: MarkdownIt) -> None:
    """Replace the inline parser, with the rules that it has so far."""
    parser = _Parser()
    parser.ruler, parser.ruler2 = grammar.inline.ruler, grammar.inline.ruler2
    grammar.inline = parser
