"""Long plain texts as collapsed quotes: nothing is lost, every part fits, and nothing counts as markup."""

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.collapsed import INITIAL_FILL_RATIO, render_collapsed
from core.port import Dialect

DIALECTS: list[Dialect] = [DiscordDialect(100), TelegramDialect()]


def texts(dialect: Dialect, text: str) -> list[str]:
    return [part.text for part in render_collapsed(dialect, text)]


def words_of(texts: list[str]) -> list[str]:
    return " ".join(texts).replace("\\", "").replace("> ", "").replace("||", "").split()


@pytest.mark.parametrize("dialect", DIALECTS, ids=["discord", "telegram"])
@pytest.mark.parametrize(
    "text", ["word " * 3000, "line\n" * 3000, "x" * 9000, "*_`" * 3000, "a" * 70 + " " + "b" * 5000]
)
def test_every_part_fits_and_nothing_is_lost(dialect: Dialect, text: str) -> None:
    parts = render_collapsed(dialect, text)
    assert all(0 < dialect.size(part) <= dialect.limit for part in parts)
    assert "".join(words_of([part.text for part in parts])) == "".join(text.split())


def test_text_is_cut_at_the_last_space_or_line_end_of_a_part() -> None:
    size = int(DIALECTS[0].limit * INITIAL_FILL_RATIO)
    dialect = DIALECTS[0]
    for separator in (" ", "\n"):
        first, rest = "a" * (size - 10), "b" * 20
        shown = texts(dialect, f"{first}{separator}{rest}")
        assert [words_of([text]) for text in shown] == [[first], [rest]]
    blank_lines = "\n" * 3 * size
    assert len(texts(dialect, f"{'a' * size}{blank_lines}b")) == 2, "none is empty"
    early = "a" * (size // 2 - 1)
    assert words_of(texts(dialect, f"{early} {'b' * size}")[:1])[-1].startswith("b"), "a part is more than half full"


def test_short_text_is_one_part() -> None:
    size = int(DIALECTS[0].limit * INITIAL_FILL_RATIO)
    longest = ("a " * size)[: size - 1] + "a"
    assert len(texts(DIALECTS[0], f"  {longest}\n")) == 1
    assert len(texts(DIALECTS[0], f"{longest}a")) == 2
    assert render_collapsed(DIALECTS[0], " \n ") == []
