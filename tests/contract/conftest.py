from collections.abc import AsyncIterator

import pytest

from core.port import Adapter
from tests.contract.harness import PlatformHarness
from tests.contract.platforms import PLATFORMS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(ability): an ability without which a platform skips the test")


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[PlatformHarness]:
    """A started platform without a bot."""
    platform: PlatformHarness = request.param()
    for marker in request.node.iter_markers("needs"):
        [ability] = marker.args
        if ability in platform.lacks:
            pytest.skip(f"{platform.name} lacks {ability}: {platform.lacks[ability]}")
    await platform.start()
    yield platform
    await platform.close()


@pytest.fixture
async def adapter(platform: PlatformHarness) -> AsyncIterator[Adapter]:
    """A running, connected adapter of `platform`."""
    adapter = platform.create_adapter()
    async with platform.run(adapter):
        yield adapter
