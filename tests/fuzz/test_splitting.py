"""Splitting hostile texts: no exception, bounded work, and parts that fit, are complete and do not depend on the growth.

FUZZ_TEXTS is the number of texts, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import random
import re
from unicodedata import normalize

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from core.delivery.splitter import INITIAL_WORK, WORK_PER_CHAR, Splitter
from core.port import Dialect, Part, RichMode
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.texts import generate_texts

TEXTS = case_count("FUZZ_TEXTS", 300)
MAX_GROWING_CHARS = 5000
DIALECTS: tuple[Dialect, ...] = (
    TelegramDialect(),
    DiscordDialect(),
    TelegramDialect(300),
    DiscordDialect(200),
    RichDialect(RichMode.AUTO),
    RichDialect(RichMode.AUTO, 300),
)
COUNTED = "漢שé"
"""Characters that are always visible: no mark and no number."""
HIDING_MARKS = ("`", "~", "](", "<", "\\begin")
"""Text that they enclose may be a language or an address."""
DEFINITION_PATTERN = re.compile(r"\[[^\]\n]*\]:[ \t]*\n?.*")
"""The address of links that refer to it."""


def max_work(dialect: Dialect, text: str) -> float:
    """The last part with markup, and the last steps of the text, may go beyond the budget."""
    return 2 * (INITIAL_WORK + WORK_PER_CHAR * (1 + 1000 / dialect.limit) * len(text))


def check(dialect: Dialect, text: str, growth: list[int]) -> None:
    splitter = Splitter(dialect)
    parts = splitter.update(text)
    assert splitter.failure is None
    assert splitter.work <= max_work(dialect, text)
    check_sizes(dialect, parts)
    assert bool(parts) == bool(text.strip())
    if not any(mark in text for mark in HIDING_MARKS):
        # In a formula, an accent is combined with its letter, which may be lowered.
        shown, source = (
            normalize("NFKC", whole)
            for whole in ("".join(part.text for part in parts), DEFINITION_PATTERN.sub("", text))
        )
        if "]:" in text or "|" in text:
            # The addresses of links that refer to them are hidden, or repeated by each link. The rows of a wide table
            # repeat its header.
            assert all(shown.count(char) >= source.count(char) for char in COUNTED)
        else:
            assert all(shown.count(char) == source.count(char) for char in COUNTED)
    growing = Splitter(dialect)
    for end in growth:
        grown_parts = growing.update(text[:end], is_growing=True)
        check_sizes(dialect, grown_parts)
        assert grown_parts[:-1] == parts[: len(grown_parts[:-1])], end
    assert not growth or growing.update(text) == parts


def check_sizes(dialect: Dialect, parts: tuple[Part, ...]) -> None:
    assert all(0 < dialect.size(part) <= dialect.limit for part in parts)


@pytest.mark.slow
@pytest.mark.timeout(time_limit(TEXTS))
def test_random_texts() -> None:
    random_source = random.Random(SEED)
    with Run("texts") as run:
        for number, text in enumerate(generate_texts(SEED, TEXTS)):
            steps = 6 if len(text) <= MAX_GROWING_CHARS else 0
            growth = sorted(random_source.choices(range(len(text) + 1), k=steps))
            with run.case(number, text):
                check(DIALECTS[number % len(DIALECTS)], text, growth)
