"""Lets markdown-it try only those rules of its grammar that can begin with the next character.

Otherwise it calls all rules at each mark and at each line, and nearly all of them answer that something else is there:
for `**bold**`, eight rules before the one for emphasis.
"""

from typing import TypeVar

from markdown_it import MarkdownIt
from markdown_it.parser_block import RuleFuncBlockType
from markdown_it.parser_inline import RuleFuncInlineType
from markdown_it.ruler import Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from core.markdown.formulas import RESUME_MARK

INLINE_STARTS = {
    "newline": "\n",
    "formula_enclosed": "\\",
    "formula_dollars": "$",
    "escape": "\\",
    "backticks": "`",
    "strikethrough": "~",
    "pairs": "|=",
    "emphasis": "*_",
    "footnote": "[",
    "link": "[",
    "image": "!",
    "reference_link": "[!",
    "html": "<",
    "autolink": "<",
    "entity": "&",
}
"""The characters with which each rule can begin. Text begins with those at which it does not end."""
BLOCK_STARTS = {
    "formula": f"$\\{RESUME_MARK}",
    "fence": "`~",
    "details": "<",
    "details_end": "<",
    "blockquote": ">",
    "hr": "*-_",
    "list": "*-+0123456789",
    "heading": "#",
}
"""Tables and paragraphs can begin with any character."""
BLOCK_CHAINS = ("", "paragraph", "reference", "blockquote", "list")

RuleT = TypeVar("RuleT")


def dispatch_by_first_char(grammar: MarkdownIt) -> None:
    """Look at the next character first. Rules that are added to the grammar afterwards have no effect."""
    block_rules = {chain: [_block_rule(grammar.block.ruler, chain)] for chain in BLOCK_CHAINS}
    grammar.block.ruler.getRules = block_rules.__getitem__  # type: ignore[method-assign,assignment]
    inline_rules = [_inline_rule(grammar)]
    grammar.inline.ruler.getRules = lambda *_chain: inline_rules  # type: ignore[method-assign]


def _block_rule(ruler: Ruler[RuleFuncBlockType], chain: str) -> RuleFuncBlockType:
    rules = [(name, rule) for name, rule in _named_rules(ruler) if rule in ruler.getRules(chain)]
    others = tuple(rule for name, rule in rules if name not in BLOCK_STARTS)
    by_char = {
        char: tuple(rule for name, rule in rules if char in BLOCK_STARTS.get(name, char))
        for char in "".join(BLOCK_STARTS.values())
    }

    def try_rules(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        position = state.bMarks[start] + state.tShift[start]
        for rule in by_char.get(state.src[position : position + 1], others):  # noqa: SIM110 - `any` is slower
            if rule(state, start, end, silent):
                return True
        return False

    return try_rules


def _inline_rule(grammar: MarkdownIt) -> RuleFuncInlineType:
    rules = _named_rules(grammar.inline.ruler)
    others = tuple(rule for name, rule in rules if name not in INLINE_STARTS)
    by_char = {
        char: tuple(rule for name, rule in rules if char in INLINE_STARTS.get(name, ""))
        for char in filter(grammar.inline.terminator_re.match, map(chr, range(128)))
    }

    def try_rules(state: StateInline, silent: bool) -> bool:
        for rule in by_char.get(state.src[state.pos], others):  # noqa: SIM110
            if rule(state, silent):
                return True
        return False

    return try_rules


def _named_rules(ruler: Ruler[RuleT]) -> list[tuple[str, RuleT]]:
    """The active rules in their order."""
    return [*zip(ruler.get_active_rules(), ruler.getRules(), strict=True)]
