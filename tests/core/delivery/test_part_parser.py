"""What a part shows and what parsing it costs depend on its text alone, whatever was parsed before."""

import random

import pytest

from core.delivery.part_parser import PartParser
from core.markdown.parser import parse_blocks
from tests.bots.corpus_texts import read_corpus
from tests.core.markdown.samples import ANSWER, MALFORMED
from tests.fuzz.texts import generate_texts

MAX_CHARS = 1200
FAILED_FORMULA = "\\[\n- \\[\nb \\] c\n\nd\n"
"""Up to the second line it is a formula, up to the third a paragraph and a list that contains one."""
FORMULA_IN_QUOTE = "a\n> b\n> $$ c\nd\n> e\n$$ f\n> g $$ h\n"
"""That `$$ f` is no formula is known before the quote is read."""
TABLE_LIKE_FORMULA = "a|\n-|\n$$|\n|-\n```\n$$|"
"""That `$$|` is a row of the table, and begins neither a formula nor another table, is known at the end."""
UNFINISHED_BLANK_LINE = "\\[\n> a\n\u2028b\n"
"""As long as the last line is a line separator alone, it is not yet a blank line, which would end the formula."""
ITEM_LIKE_TABLE = "- a\n- b|c\n-|-\nd\n"
"""Its second item would be a table if the first one did not precede it."""


def check(text: str, ends: list[int]) -> None:
    parser = PartParser(0)
    for end in ends:
        parsed = parser.parse(text, end)
        assert parsed.blocks == tuple(placed.block for placed in parse_blocks(text[:end])), (text, ends, end)
        assert parsed == PartParser(0).parse(text, end), (text, ends, end)


def all_texts() -> list[str]:
    corpus = [answer.text for answer in read_corpus()]
    return [text[:MAX_CHARS] for text in (ANSWER, *MALFORMED, *corpus, *generate_texts(3, 60))]


def test_blocks_are_those_of_the_whole_text() -> None:
    source = random.Random(5)
    for text in all_texts():
        ends = source.choices(range(len(text) + 1), k=4)
        check(text, sorted(ends) if source.random() < 0.5 else ends)


@pytest.mark.parametrize(
    "text", [FAILED_FORMULA, FORMULA_IN_QUOTE, TABLE_LIKE_FORMULA, UNFINISHED_BLANK_LINE, ITEM_LIKE_TABLE, ANSWER[:500]]
)
def test_text_is_parsed_as_if_it_were_the_first(text: str) -> None:
    for end in range(0, len(text), 1 + len(text) // 100):
        check(text, [len(text), end, len(text)])
        check(text, [end, len(text)])


def test_nothing_settled_is_parsed_again() -> None:
    text = ANSWER * 20
    parser = PartParser(0)
    for end in range(0, len(text), 100):
        work = parser.work
        parser.parse(text, end)
        assert parser.work - work < 15_000
