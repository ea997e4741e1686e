"""Lets emphasis begin and end next to the punctuation of scripts that separate words without spaces.

CommonMark decides by spaces and punctuation whether `**` opens or closes, so that it finds no end of the bold text in

    **「重要」**な点         a closing quote inside, a letter outside
    **"스크립트"**는         a Korean particle outside
    **Note:**text          the same in a script with spaces

Chinese, Japanese and Korean therefore need other rules, which the CommonMark community describes as "CJK-friendly
amendments": their punctuation counts as letters, and other punctuation next to their characters does not prevent
emphasis. Thai and its neighbours have no spaces between words either. In any script, `**` after punctuation may also
close what is open: models write so, and nobody opens bold text in the middle of a bold word.
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


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
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
