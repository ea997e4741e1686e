"""`CHAOS_TURNS` (turns on each platform) makes the runs long; `CHAOS_SEED` repeats a schedule."""

import os
import random
import secrets
import sys
from dataclasses import dataclass

import pytest

SHORT = 15  # turns on each platform
LONGEST_RUN = 1800  # seconds a test may take in the long form
LONGEST_SHORT_RUN = 300  # on a machine that is busy; half a minute on one that is not


@dataclass(frozen=True, slots=True)
class Chaos:
    turns: int
    seed: int
    long: bool

    @property
    def dice(self) -> random.Random:
        return random.Random(self.seed)

    def sized(self, short: int, share: float = 1.0) -> int:
        """Turns for one run: `short` of them, or in the long form a share of all."""
        return round(self.turns * share) if self.long else short


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_", "DATABASE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def chaos() -> Chaos:
    turns = int(os.environ.get("CHAOS_TURNS", "0"))
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
    sys.stdout.write(f"\nCHAOS_SEED={seed}\n")
    return Chaos(turns or SHORT, seed, bool(turns))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seconds = LONGEST_RUN if os.environ.get("CHAOS_TURNS") else LONGEST_SHORT_RUN
    for item in items:
        if "tests/faults/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(seconds))
