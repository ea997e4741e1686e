"""Trying fewer rules finds the same blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.markdown import parser
from core.markdown.first_char import BLOCK_STARTS, INLINE_STARTS
from core.markdown.formulas import RESUME_MARK
from tests.bots.corpus_texts import CorpusAnswer, read_corpus

PIECES = (
    *"*_~`|[]!\\$&<>{}=+-#@:^%\n\t ()1ax漢",
    *(
        "**",
        "```",
        "~~~py\n",
        "\n\n",
        "> ",
        "- ",
        "1. ",
        "# ",
        "---|---\n",
        "a | b\n",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
    ),
    *(
        "<b>",
        "</b>",
        "<details>",
        "</details>",
        "<summary>",
        "<br>",
        "<a href='u'>",
        "](",
        "https://a.b/c_d_",
        "www.x.y",
    ),
    *(
        "&amp;",
        "==",
        "||",
        "[^1]",
        "[a][b]",
        "words ",
        "---",
        "\\begin{a}",
        "\\end{a}",
        f"{RESUME_MARK}\n",
        "😀",
        "    ",
    ),
)

ALL_RULES = parser.build_grammar()


def check_tokens(text: str, open_formula: str | None = None) -> None:
    assert parser.tokenize(text, open_formula) == ALL_RULES.parse(text, {"open_formula": open_formula})


def test_each_rule_has_its_first_characters() -> None:
    inline, block = ALL_RULES.inline.ruler.get_active_rules(), ALL_RULES.block.ruler.get_active_rules()
    assert set(inline) - INLINE_STARTS.keys() == {"text"}
    assert set(block) - BLOCK_STARTS.keys() == {"table", "paragraph"}


@pytest.mark.parametrize("answer", [*read_corpus()], ids=lambda answer: answer.name)
def test_corpus(answer: CorpusAnswer) -> None:
    check_tokens(answer.text[:10_000])


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.sampled_from([None, "$$", "\\]"]))
def test_any_text(text: str, open_formula: str | None) -> None:
    check_tokens(parser.normalise_text(text), open_formula)
