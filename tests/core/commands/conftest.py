import pytest

from bots.sandbox.model import ModelStandIn

PERSONAL_KEY = "io-key-of-ann-0123456789"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
"""The default model."""


@pytest.fixture
def model(model: ModelStandIn) -> ModelStandIn:
    model.add_account(PERSONAL_KEY)
    return model
