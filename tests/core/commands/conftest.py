from collections.abc import AsyncIterator

import pytest

from bots.sandbox.model import ModelStandIn

PERSONAL_KEY = "io-key-of-ann-0123456789"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
"""The default model."""


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    model = ModelStandIn(tokens_per_second=5000)
    model.add_account(PERSONAL_KEY)
    await model.start()
    yield model
    await model.close()
