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

import unicodedata

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
VARIATION_SELECTORS = tuple(map(chr, range(0xFE00, 0xFE0F)))


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
        marker = self.src[start]
        end = start
        while end < self.posMax and self.src[end] == marker:
            end += 1
        before = _Neighbour(self._char_before(start))
        after = _Neighbour(self.src[end] if end < self.posMax else " ")
        opens = _is_flanking(after, before)
        closes = _is_flanking(before, after)
        can_open = opens and (canSplitWord or not closes or before.is_punctuation)
        can_close = closes and (canSplitWord or not opens or after.is_punctuation)
        if marker == "*" and end - start > 1:
            can_close |= before.is_punctuation and not before.is_opening
        return Scanned(can_open, can_close, end - start)

    def _char_before(self, position: int) -> str:
        if position > 1 and self.src[position - 1] in VARIATION_SELECTORS:
            position -= 1
        return self.src[position - 1] if position else " "


class _Neighbour:
    """The character before or after a run of marks."""

    def __init__(self, char: str) -> None:
        category = unicodedata.category(char)
        self.is_space = char.isspace()
        self.is_punctuation = category[0] in "PS"
        self.is_opening = category in ("Ps", "Pi")
        self.is_unspaced = UNSPACED_PATTERN.match(char) is not None
        self.separates = self.is_punctuation and not self.is_unspaced


def _is_flanking(inner: _Neighbour, outer: _Neighbour) -> bool:
    """Whether marks between `outer` and `inner` can belong to text that begins, or ends, with `inner`."""
    if inner.is_space:
        return False
    return not inner.separates or outer.is_space or outer.separates or outer.is_unspaced


class _Parser(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def relax_emphasis(grammar: MarkdownIt) -> None:
    """Replace the inline parser, with the rules that it has so far."""
    parser = _Parser()
    parser.ruler, parser.ruler2 = grammar.inline.ruler, grammar.inline.ruler2
    grammar.inline = parser
