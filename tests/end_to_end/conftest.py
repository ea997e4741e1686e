from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.harness import Harness, running_harness


@pytest.fixture(autouse=True)
def _clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("PARLEY_", "TELEGRAM_", "DISCORD_", "IOINTELLIGENCE_", "DATABASE_")):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """The running bot with fast models and no rate limits."""
    async with running_harness(tmp_path) as harness:
        await harness.start()
        yield harness
