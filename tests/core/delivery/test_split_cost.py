"""The work for splitting a text is proportional to its length, whatever the text is."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import INITIAL_WORK, WORK_PER_CHAR, Splitter
from core.markdown.document import Document
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, Part
from tests.core.delivery.test_splitter import LONG
from tests.core.markdown.samples import ANSWER
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
@pytest.mark.parametrize("unit", ["*", "_", "![", "\\(", "[", "](", "~~", "||"])
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
