"""Which requests are sent again with less of the conversation, and which settings have no effect."""

from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, UsageReporting, http_error
from core.api.adaptation import MAX_COMPLETION_TOKENS, MAX_TOKENS, TEMPERATURE
from core.texts import answers as texts
from core.turns.model_caller import MAX_SMALLER_REQUESTS
from tests.core.turns.fake_adapter import running_engine
from tests.waiting import wait_until

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


async def test_setting_that_a_model_does_not_accept_is_told_once(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, max_answer_tokens=500) as chat:
        default = chat.services.settings.default_model
        for part in (f"{TEMPERATURE}=0.2", MAX_COMPLETION_TOKENS, MAX_TOKENS):
            await chat.services.facts.learn_rejected_parts(default, [part])
        note = texts.settings_ignored(chat.models.display_name(default), ["temperature 0.2"])
        assert await chat.ask("repeat: one") == "one", "the length is the operator's default"
        await chat.ask("/settings temperature 0.2")
        answers = [(await chat.ask("repeat: two")).replace("\\", "").replace("*", "") for _ in range(2)]
    assert answers == [f"two\n\n{note}", "two"]


async def test_answer_without_reported_usage_counts_by_its_length(tmp_path: Path, model: ModelStandIn) -> None:
    model.fault_hook = lambda _body: Fault(usage_reporting=UsageReporting.NONE)
    async with running_engine(tmp_path, model) as chat:
        default = chat.services.settings.default_model

        async def is_settled() -> bool:
            (quota,) = (await chat.services.ledger.get_quotas(chat.key_id, [default])).values()
            return quota.usage.reserved == 0 and 1500 < quota.usage.tokens < 4000

        await chat.ask(f"repeat: {'word ' * 1000}")
        await wait_until(is_settled)
