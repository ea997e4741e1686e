from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.store.database import Store
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = sqlite_url(tmp_path) if request.param == "sqlite" else postgresql_url()
    store = Store(url)
    await store.open()
    yield store
    await store.close()
