"""Which requests are sent again with less of the conversation."""

from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, http_error
from core.turns.model_caller import MAX_SMALLER_REQUESTS
from tests.core.turns.fake_adapter import running_engine

OVERFLOW = "Your input exceeds the context window of this model"


@pytest.mark.parametrize(
    ("detail", "requests"), [("Invalid request", 1), (OVERFLOW, 1 + MAX_SMALLER_REQUESTS)], ids=["refused", "overflow"]
)
async def test_only_an_overflow_is_asked_again_with_less(
    tmp_path: Path, model: ModelStandIn, detail: str, requests: int
) -> None:
    async with running_engine(tmp_path, model, fallbacks=("microsoft/phi-4",)) as chat:
        for number in range(6):
            await chat.ask(f"repeat: {number} {'word ' * 50}")
        sizes: list[int] = []

        def fault_hook(body: dict[str, Any]) -> Fault | None:
            if body["model"] == "microsoft/phi-4":
                return None
            sizes.append(len(str(body["messages"])))
            return http_error(400, detail)

        model.fault_hook = fault_hook
        await chat.ask("and now?")
    assert len(sizes) == requests
    assert sizes == sorted(set(sizes), reverse=True), "each is smaller"
