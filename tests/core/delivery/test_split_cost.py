"""The work for splitting a text is proportional to its length, whatever the text is."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.capped_splitter import CappedSplitter
from core.delivery.splitter import INITIAL_WORK, WORK_PER_CHAR, Splitter
from core.markdown.document import Document
from core.markdown.parser import parse_blocks
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, Part
from tests.core.delivery.test_splitter import LONG
from tests.core.markdown.samples import ANSWER
from tests.counting import count_calls
from tests.fuzz.texts import UNITS, generate_texts, repeat

pytestmark = pytest.mark.timeout(900)

DIALECTS: tuple[Dialect, ...] = (TelegramDialect(), DiscordDialect())
PROSE = "The quick brown fox jumps over it. "
WORST_UNITS = (
    "*",
    "_",
    "![",
    "\\(",
    "[a](b",
    "*a_b",
    "*_",
    "- a\n",
    "|a|b|\n|-|-|\n",
    "> ",
    "<details>\n",
    "<details><summary>a\n",
    "</details>\n",
)

HOSTILE_UNITS = {
    "TeX, inline": "$\\frac{x",
    "TeX, groups": "\\({{{{\\sqrt[",
    "TeX, displayed": "\\[\\begin{matrix}a&b\\\\\n",
    "TeX, closed": "$\\frac{a^{2}}{b_1}$ ",
    "HTML, open": "<b><sub>",
    "HTML, closed": "<b>a</b><sup>2</sup><br>",
    "HTML, closers": "</sub></b>",
    "HTML, links": '<a href="x">',
    "HTML, lists": "<ul><li>",
    "HTML, details": "<details>\n<summary>",
    "table": "|a|b|\n|-|-|\n|c|\n",
    "table, columns": "|a" * 64 + "\n" + "|-" * 64 + "\n",
    "table, code and formulas": "|`a|b`|$c|d$|$$|\\(|`\n|-|-|\n",
    "table, dollars": "|$$|$a|$ |\\(" * 40 + "\n|-|-|\n",
    "table, below items": "- a\n|a|b|\n|-|-|\n",
    "table, below quotes": "> a\n|a|b|\n|-|-|\n",
    "fences, behind text": "a ```b\nc\n",
    "fences, on one line": "``` a ```b\nc",
    "fences, runs": "a ``` b ````\n",
    "fences, many runs": "`a``b```c" * 50 + "````\n",
    "emphasis, signs": "2*x**3***a*b ",
    "emphasis, signs in bold text": "**x*y**2 ",
    "table, too many columns": "|a" * 65 + "\n" + "|-" * 65 + "\n",
}


def max_work(text: str) -> int:
    """The last part with markup, and the last steps of the text, may go beyond the budget."""
    return 2 * (INITIAL_WORK + 2 * WORK_PER_CHAR * len(text))


def check_cost(dialect: Dialect, text: str) -> tuple[Part, ...]:
    splitter = Splitter(dialect)
    parts = splitter.update(text)
    assert splitter.failure is None
    assert splitter.work < max_work(text)
    assert all(dialect.size(part) <= dialect.limit for part in parts)
    return parts


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
@pytest.mark.parametrize("unit", ["*", "_", "![", "![[", "\\(", "[", "](", "~~", "||"])
def test_repeated_mark_is_cheap(dialect: Dialect, unit: str) -> None:
    text = repeat(unit, 4000)
    splitter = Splitter(dialect)
    splitter.update(text)
    assert splitter.work < 5000 * len(text)  # without a bound: 20,000 for the first of them


@pytest.mark.slow
def test_rows_of_many_empty_cells_are_cheap() -> None:
    columns = 30
    splitter = Splitter(DiscordDialect())
    splitter.update("|a" * columns + "\n" + "|-" * columns + "\n" + "|\n" * 300)
    assert splitter.work < INITIAL_WORK  # 1.5 times as much if each part begins with a step of 500 characters


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_work_for_1000_repeated_characters_is_bounded(unit: str) -> None:
    check_cost(DIALECTS[UNITS.index(unit) % 2], repeat(unit, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("unit", WORST_UNITS)
def test_work_for_10000_repeated_characters_is_bounded(unit: str) -> None:
    check_cost(DIALECTS[WORST_UNITS.index(unit) % 2], repeat(unit, 10_000))


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: type(dialect).__name__)
@pytest.mark.parametrize("unit", ["_", "![["])
def test_work_for_20000_repeated_characters_is_bounded(dialect: Dialect, unit: str) -> None:
    check_cost(dialect, repeat(unit, 20_000))


@pytest.mark.slow
def test_work_for_100000_repeated_characters_is_bounded() -> None:
    check_cost(TelegramDialect(), repeat("![", 100_000))


@pytest.mark.slow
def test_work_for_100000_random_characters_is_bounded() -> None:
    check_cost(TelegramDialect(), repeat("".join(generate_texts(1, 300)), 100_000))


@pytest.mark.slow
@pytest.mark.parametrize("unit", [PROSE, "*"])
def test_work_for_400000_repeated_characters_is_bounded(unit: str) -> None:
    check_cost(DiscordDialect(), repeat(unit, 400_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HOSTILE_UNITS if not name.startswith("table")])
def test_hostile_tex_and_html_are_parsed_in_linear_time(name: str) -> None:
    unit = HOSTILE_UNITS[name]
    calls = count_calls(parse_blocks, repeat(unit, 10_000))
    assert count_calls(parse_blocks, repeat(unit, 100_000)) < 10.5 * calls


@pytest.mark.slow
def test_table_is_parsed_in_linear_time() -> None:
    calls = count_calls(parse_blocks, repeat(HOSTILE_UNITS["table"], 2_000))
    assert count_calls(parse_blocks, repeat(HOSTILE_UNITS["table"], 20_000)) < 10.5 * calls


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE_UNITS)
def test_work_for_10000_characters_of_tex_html_and_tables_is_bounded(name: str) -> None:
    check_cost(DIALECTS[len(name) % 2], repeat(HOSTILE_UNITS[name], 10_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TeX, closed", "HTML, closed", "table, columns"])
async def test_capped_answer_costs_no_more_the_longer_it_is(name: str) -> None:
    works = []
    for chars in (40_000, 100_000, 400_000):
        capped = CappedSplitter(DiscordDialect(), 2)
        first = await capped.update_async(repeat(HOSTILE_UNITS[name], chars))
        assert len(first.parts) == 2
        works.append(capped.splitter.work)
    assert works[0] == works[1] == works[2] < max_work("")


@pytest.mark.slow
def test_ordinary_text_is_never_plain() -> None:
    for number, text in enumerate((ANSWER * 20, *LONG.values())):
        splitter = Splitter(DIALECTS[number % 2])
        splitter.update(text)
        assert not splitter.has_plain_part


def test_growing_text_costs_little_more_than_whole() -> None:
    text = ANSWER * 6
    whole, growing = Splitter(DiscordDialect()), Splitter(DiscordDialect())
    whole.update(text)
    updates = range(0, len(text), 50)
    for end in updates:
        growing.update(text[:end], is_growing=True)
    assert growing.work < 3 * whole.work


@pytest.mark.slow
def test_costly_text_is_plain_and_complete() -> None:
    text = "".join(f"*_{number}**~~`[{number}](" for number in range(4_000))
    for dialect in DIALECTS[:1]:
        splitter = Splitter(dialect)
        parts = splitter.update(text)
        assert splitter.has_plain_part
        digits = [char for part in parts for char in part.text if char.isdecimal()]
        assert digits == [char for char in text if char.isdecimal()]


class DefectiveDialect(TelegramDialect):
    """Cannot render bold text."""

    def render(self, document: Document) -> Part:
        if "Strong" in repr(document):
            raise ZeroDivisionError(to_plain_text(document))
        return super().render(document)


def test_part_that_cannot_be_rendered_is_plain() -> None:
    splitter = Splitter(DefectiveDialect(100))
    parts = splitter.update(f"{'word ' * 18}\n\n**bold** text\n\n{'*word* ' * 30}")
    assert isinstance(splitter.failure, ZeroDivisionError)
    assert splitter.has_plain_part
    assert "**bold** text" in "\n".join(part.text for part in parts)
