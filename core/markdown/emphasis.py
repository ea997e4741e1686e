"""Lets emphasis begin and end next to the punctuation of scripts that separate words without spaces.

CommonMark decides by spaces and punctuation whether `**` opens or closes, so that it finds no end of the bold text in

    **「重要」**な点         a closing quote inside, a letter outside
    **"스크립트"**는         a Korean particle outside
    **Note:**text          the same in a script with spaces

Chinese, Japanese and Korean therefore need other rules, which the CommonMark community describes as "CJK-friendly
amendments": their punctuation counts as letters, and other punctuation next to their characters does not prevent
emphasis. Thai and its neighbours have no spaces between words either. In any script, `**` after punctuation may also
close what is open: models write so, and nobody opens bold text in the middle of a bold word.

Arithmetic without spaces has no emphasis. A mark between operands is a sign unless its partner shows that it is none:

    3**2 + 4**2, 2*x*y, (a+b)*c*d, width*2 + height*2
    1**st** place, CO**2**     emphasis, because the next mark is after a word
    *f*(x), **Q1**2024         emphasis, because the first mark is before a word
    **Note: 3**2 + 4**2**      emphasis that contains signs, because the last mark is after a word
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property, lru_cache

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
MARKED_NUMBER_PATTERN = re.compile(r"[^\W\d]\*\*\d{1,9}\*\*[^\W\d]")
"""A number within a word: H**2**O."""
CLAUSE_PATTERN = re.compile(r"[.,;:!?)=]\s")
"""What ends a clause, so that a number behind it is no name such as "Top 10"."""
MAX_CLAUSE_CHARS = 200
SOLID_PATTERN = re.compile(r"[^\s`]*+")
STARS_PATTERN = re.compile(r"\\.|\*+", re.DOTALL)
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


def scan_run(text: str, start: int, end: int) -> Run:
    """The run at `start` in a text that ends before `end`."""
    run_end = start
    while run_end < end and text[run_end] == text[start]:
        run_end += 1
    before = _neighbour(_char_before(text, start))
    after = _neighbour(text[run_end] if run_end < end else " ")
    return Run(run_end - start, before, after, after.may_begin_after(before), before.may_begin_after(after))


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

    def reaches(self, end: int) -> bool:
        """Whether neither white space nor code is between the run and `end`."""
        match = SOLID_PATTERN.match(self.text, self.end)
        return match is not None and match.end() >= end

    def follows_clause(self, start: int) -> bool:
        """Whether a clause that began after `start` ends shortly before the run."""
        return bool(CLAUSE_PATTERN.search(self.text, max(start, self.start - MAX_CLAUSE_CHARS), self.start))

    def begins_word(self) -> bool:
        """Whether emphasis may begin here, in a word; with a single mark in ASCII, it also ends there."""
        is_single = self.end - self.start == 1 and self.text[self.start - 1].isascii() and self.text[self.end].isascii()
        return not is_single or MARKED_WORD_PATTERN.match(self.text, self.end) is not None

    def begins_number(self) -> bool:
        return MARKED_NUMBER_PATTERN.match(self.text, self.start - 1) is not None


class _Kind(Enum):
    OPENER = auto()
    CLOSER = auto()
    EITHER = auto()
    OPERATOR = auto()
    """Perhaps a sign of arithmetic."""


@dataclass(frozen=True, slots=True)
class _Stars:
    """A run of asterisks that is an opener, a closer or a sign."""

    start: int
    length: int
    kind: _Kind


@dataclass(frozen=True, slots=True)
class _Following:
    """The runs of the same length behind a run."""

    stars: _Stars | None
    """The next one."""
    mark: _Stars | None
    """The next one that is no sign."""


class _State(StateInline):
    operator_end: int | None = None
    """The end of the last operator."""

    def __init__(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> None:
        super().__init__(src, md, env, tokens)
        self._open_starts: dict[int, int] = {}
        """Where the runs of asterisks begin that are open, by their lengths."""
        self._partner_starts: set[int] = set()
        """Where the runs begin that close emphasis in a word."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
        scanned = self._scan(start, canSplitWord, self.posMax)
        if self.src[start] != "*" or not (scanned.can_open or scanned.can_close):
            return scanned
        operator = self._find_operator(start, scanned.length, self.posMax)
        if operator and start in self._following:
            can_open, can_close = self._read_operator(operator, self._following[start])
            if not can_open and not can_close:
                self.operator_end = operator.end
            scanned = Scanned(can_open and scanned.can_open, can_close and scanned.can_close, scanned.length)
        for length in _pair_lengths(scanned.length):
            if scanned.can_close and length in self._open_starts:
                del self._open_starts[length]
            elif scanned.can_open:
                self._open_starts[length] = start
        return scanned

    def _find_operator(self, start: int, length: int, end: int) -> _Operator | None:
        if length > MAX_OPERATOR_CHARS or not start or start + length >= end:
            return None
        operator = _Operator(self.src, start, start + length)
        return operator if operator.has_operands else None

    def _read_operator(self, operator: _Operator, following: _Following) -> tuple[bool, bool]:
        """Whether a run between operands opens emphasis, and whether it closes it. An operator does neither."""
        length = operator.end - operator.start
        continues_term = self._continues_term(operator.start)
        is_operator = continues_term or operator.is_certain() or operator.follows_number()
        if operator.start in self._partner_starts:
            return False, True
        if length in self._open_starts:
            is_inside = following.mark is not None and following.mark.kind is _Kind.CLOSER
            is_power = operator.is_between_numbers() and operator.follows_clause(self._open_starts[length])
            return not is_operator and operator.begins_word(), not (is_operator and (is_inside or is_power))
        if following.stars is None or following.stars.kind is _Kind.OPENER:
            return False, False
        if following.stars.kind is not _Kind.OPERATOR:
            is_far = operator.is_certain() and not operator.reaches(following.stars.start)
            return not (continues_term or is_far), False
        opens = operator.begins_number() or (not is_operator and operator.begins_word())
        if opens:
            self._partner_starts.add(following.stars.start)
        return opens, False

    def _continues_term(self, start: int) -> bool:
        """Whether the run follows an operator and one name or number."""
        if self.operator_end is None or start - self.operator_end > MAX_NAME_CHARS:
            return False
        return self.src[self.operator_end : start].isalnum()

    @cached_property
    def _following(self) -> dict[int, _Following]:
        """What follows each run of asterisks, by where it begins. Runs in code are not told apart."""
        following: dict[int, _Following] = {}
        next_stars: dict[int, _Stars] = {}
        next_marks: dict[int, _Stars] = {}
        for stars in reversed(list(self._all_stars())):
            following[stars.start] = _Following(next_stars.get(stars.length), next_marks.get(stars.length))
            for length in _pair_lengths(stars.length):
                next_stars[length] = stars
                if stars.kind is not _Kind.OPERATOR:
                    next_marks[length] = stars
        return following

    def _all_stars(self) -> Iterator[_Stars]:
        for match in STARS_PATTERN.finditer(self.src):
            if match[0][0] != "*":
                continue
            scanned = self._scan(match.start(), True, len(self.src))
            if self._find_operator(match.start(), scanned.length, len(self.src)):
                yield _Stars(match.start(), scanned.length, _Kind.OPERATOR)
            elif scanned.can_open or scanned.can_close:
                kind = _Kind.EITHER if scanned.can_close else _Kind.OPENER
                yield _Stars(match.start(), scanned.length, kind if scanned.can_open else _Kind.CLOSER)

    def _scan(self, start: int, canSplitWord: bool, end: int) -> Scanned:  # noqa: N803
        run = scan_run(self.src, start, end)
        can_open = run.opens and (canSplitWord or not run.closes or run.before.is_punctuation)
        can_close = run.closes and (canSplitWord or not run.opens or run.after.is_punctuation)
        if self.src[start] == "*" and run.length > 1:
            can_close |= run.before.is_punctuation and not run.before.is_opening
        if self.src[start] == "_" and run.length > 1:  # not within a name such as `__init__`, which has no such marks
            can_open |= run.opens and run.after.is_punctuation and run.after.is_unspaced
            can_close |= run.closes and run.before.is_punctuation and run.before.is_unspaced
        return Scanned(can_open, can_close, run.length)


def _pair_lengths(length: int) -> tuple[int, ...]:
    """The lengths of the marks that a run opens or closes: `***` is `*` and `**`."""
    return (length,) if length <= MAX_OPERATOR_CHARS else (1, 2)


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
