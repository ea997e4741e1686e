"""`CHAOS_TURNS` (questions per platform) selects the long form; `CHAOS_SEED` repeats a schedule of faults."""

import os
import random
import secrets
import sys
from dataclasses import dataclass

import pytest

SHORT_RUN_TURNS = 15  # per platform
LONG_RUN_TIMEOUT = 1800  # seconds
SHORT_RUN_TIMEOUT = 300  # seconds; a test takes about half a minute on an idle machine


@dataclass(frozen=True, slots=True)
class ChaosOptions:
    turns: int
    seed: int
    is_long: bool

    @property
    def rng(self) -> random.Random:
        return random.Random(self.seed)

    def turn_count(self, short: int, share: float = 1.0) -> int:
        """The number of turns for one run: `short`, or in the long form a share of all turns."""
        return round(self.turns * share) if self.is_long else short


@pytest.fixture
def chaos() -> ChaosOptions:
    turns = int(os.environ.get("CHAOS_TURNS", "0"))
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    sys.stdout.write(f"\nCHAOS_SEED={seed}\n")
    return ChaosOptions(turns or SHORT_RUN_TURNS, seed, bool(turns))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seconds = LONG_RUN_TIMEOUT if os.environ.get("CHAOS_TURNS") else SHORT_RUN_TIMEOUT
    for item in items:
        if "tests/faults/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(seconds))
