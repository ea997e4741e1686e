from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.harness import Harness, running_harness


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_", "DATABASE_")):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def alive(tmp_path: Path) -> AsyncIterator[Harness]:
    """The bot, started, with quick models and no rate limits."""
    async with running_harness(tmp_path) as made:
        await made.start()
        yield made
