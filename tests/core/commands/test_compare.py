"""What /compare understands, and why there is nothing to compare."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.catalogue import Model
from core.api.client import ModelApi
from core.commands.compare import Comparison, parse_comparison
from core.conversation.model_registry import ModelRegistry
from core.settings import Settings
from core.store.database import Store
from tests.sqlite import sqlite_url

PHI, LLAMA, QWEN = Model("microsoft/phi-4"), Model("meta-llama/Llama-3.3"), Model("Qwen/Qwen3")
USAGE = (
    "Name two models and a question: `/compare MODEL MODEL QUESTION`. Without a question, they answer your last one."
)

SEVERAL = "Several models match “qwen”. Send one of these instead:\n\n"


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[ModelRegistry]:
    store, api = Store(sqlite_url(tmp_path)), ModelApi("http://127.0.0.1:9/v1", "")
    registry = ModelRegistry(api, store, Settings())
    registry.set_models((PHI, LLAMA, QWEN, Model("Qwen/Qwen4")))
    yield registry
    await store.close()
    await api.close()


@pytest.mark.parametrize(
    ("argument", "first", "second", "question"),
    [
        ("phi-4 llama-3.3", PHI, LLAMA, ""),
        ("phi-4  llama-3.3   Why is  it so? ", PHI, LLAMA, "Why is  it so?"),
        ("qwen3 microsoft/phi-4 Why?\nSay it.", QWEN, PHI, "Why?\nSay it."),
    ],
)
async def test_two_models_get_a_question(
    models: ModelRegistry, argument: str, first: Model, second: Model, question: str
) -> None:
    comparison = parse_comparison(models, argument)
    assert isinstance(comparison, Comparison)
    assert (comparison.first.id, comparison.second.id, comparison.question) == (first.id, second.id, question)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", USAGE),
        ("phi-4", USAGE),
        ("phi-4 phi-4 Why?", "Both names mean **phi-4**. Name another model to compare it with."),
        (
            "qwen phi-4 Why is {it} so?",
            f"{SEVERAL}- `/compare Qwen/Qwen3 phi-4 Why is {{it}} so?`\n- `/compare Qwen/Qwen4 phi-4 Why is {{it}} so?`",
        ),
        ("phi-4 qwen", f"{SEVERAL}- `/compare phi-4 Qwen/Qwen3`\n- `/compare phi-4 Qwen/Qwen4`"),
        ("phi-4 qwen a\nb", f"{SEVERAL}- `/compare phi-4 Qwen/Qwen3 …`\n- `/compare phi-4 Qwen/Qwen4 …`"),
        ("phi-4 claude Why?", "No model matches “claude”. See /models."),
        ("phi-5 llama-3.3", "No model matches “phi-5”. Did you mean `microsoft/phi-4`?"),
    ],
)
async def test_nothing_to_compare(models: ModelRegistry, argument: str, reason: str) -> None:
    assert parse_comparison(models, argument) == reason
