"""Splitting hostile texts: no exception, bounded work, and parts that fit and are complete.

FUZZ_TEXTS is the number of texts, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import os
import random

import pytest

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import Splitter
from core.port import Dialect
from tests.fuzz.texts import generate_texts

TEXTS = int(os.environ.get("FUZZ_TEXTS", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randint(1, 10**6)
MAX_WORK = 100_000_000
MAX_WORK_PER_CHAR = 1_000
"""In characters of prose."""
DIALECTS: tuple[Dialect, ...] = (TelegramDialect(), DiscordDialect(), TelegramDialect(300), DiscordDialect(200))


def split(dialect: Dialect, text: str) -> Splitter:
    splitter = Splitter(dialect)
    parts = splitter.update(text)
    assert splitter.failure is None
    assert splitter.work <= MAX_WORK + MAX_WORK_PER_CHAR * len(text)
    assert all(0 < dialect.size(part) <= dialect.limit for part in parts)
    assert bool(parts) == bool(text.replace("\0", "x").strip())
    return splitter


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_random_texts() -> None:
    print(f"FUZZ_SEED={SEED}")  # noqa: T201 - repeats a failed run
    for number, text in enumerate(generate_texts(SEED, TEXTS)):
        try:
            split(DIALECTS[number % len(DIALECTS)], text)
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={SEED}, text {number}: {text[:200]!r}") from error
