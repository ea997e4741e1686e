from collections.abc import AsyncIterator

import pytest

from bots.sandbox.model import ModelStandIn


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    """A model service that answers at once."""
    service = ModelStandIn(tokens_per_second=5000)
    await service.start()
    yield service
    await service.close()
