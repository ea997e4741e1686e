from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.harness import Harness, running_harness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """The running bot with fast models and no rate limits."""
    async with running_harness(tmp_path) as harness:
        await harness.start()
        yield harness
