from collections.abc import AsyncIterator

import pytest

from core.port import Adapter
from tests.contract.harness import PlatformHarness
from tests.contract.platforms import PLATFORMS


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[PlatformHarness]:
    """A started platform without a bot."""
    platform: PlatformHarness = request.param()
    await platform.start()
    yield platform
    await platform.close()


@pytest.fixture
async def adapter(platform: PlatformHarness) -> AsyncIterator[Adapter]:
    """A running, connected adapter of `platform`."""
    adapter = platform.create_adapter()
    async with platform.run(adapter):
        yield adapter
