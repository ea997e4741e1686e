"""Which requests are sent again with less of the conversation, and which settings have no effect."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, UsageReporting, http_error
from core.api.adaptation import MAX_COMPLETION_TOKENS, MAX_TOKENS, TEMPERATURE
from core.errors import StoreError
from core.prometheus_metrics import PrometheusMetrics
from core.store.schema import turns
from core.store.token_usage import TokenUsage, settle_reservation
from core.texts import answers as texts
from core.timings import Timings
from core.turns.answer import AnswerPipeline
from core.turns.model_caller import MAX_SMALLER_REQUESTS
from tests.core.turns.fake_adapter import EDITING, FakeAdapter, running_engine
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


# Booking: the transaction that stores an answer books its tokens


async def booked(chat: FakeAdapter) -> TokenUsage:
    default = chat.services.settings.default_model
    return (await chat.services.ledger.get_quotas(chat.key_id, [default]))[default].usage


def counted_tokens(metrics: PrometheusMetrics) -> float:
    lines = metrics.render().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("parley_model_tokens_total{"))


async def test_tokens_are_booked_with_the_answer(tmp_path: Path, model: ModelStandIn) -> None:
    metrics = PrometheusMetrics()
    async with running_engine(tmp_path, model, metrics=metrics) as chat:
        await chat.ask("repeat: one")
        usage = await booked(chat)
        assert (usage.tokens > 0, usage.reserved, usage.answers) == (True, 0, 1)
        assert counted_tokens(metrics) == usage.tokens
        assert chat.store.writes[settle_reservation.__name__] == 0, "no write of its own"


async def test_tokens_of_a_stopped_answer_are_booked(tmp_path: Path, model: ModelStandIn) -> None:
    model.tokens_per_second, model.answer = 20, lambda _body: "word " * 1000
    async with running_engine(tmp_path, model, FakeAdapter(EDITING)) as chat:
        await chat.ask("hello")
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
        usage = await booked(chat)
        assert (usage.tokens > 0, usage.reserved, usage.answers) == (True, 0, 1)


async def test_answer_that_is_stored_twice_is_booked_once(tmp_path: Path, model: ModelStandIn) -> None:
    metrics = PrometheusMetrics()
    async with running_engine(tmp_path, model, metrics=metrics) as chat:
        stored = AnswerPipeline._store_answer.__name__

        async def lose_result() -> None:
            if chat.store.writes[stored]:
                raise StoreError("The connection was lost")
            chat.store.after_next_write(lose_result)

        chat.store.after_next_write(lose_result)
        await chat.ask("repeat: one")
        assert chat.store.writes[stored] == 2
        usage = await booked(chat)
        assert (usage.reserved, usage.answers) == (0, 1)
        assert counted_tokens(metrics) == usage.tokens


async def test_tokens_of_an_answer_that_cannot_be_stored_are_booked(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(max_store_retry=0)) as chat:
        chat.store.start_outage(AnswerPipeline._store_answer)
        await chat.say("repeat: one")
        await chat.store.wait_for_writes(settle_reservation)
        usage = await booked(chat)
        assert (usage.tokens > 0, usage.reserved, usage.answers) == (True, 0, 1)


async def test_tokens_of_an_answer_of_a_lost_turn_are_booked(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, timings=Timings(heartbeat_interval=60, claim_interval=60)) as chat:

        async def give_to_another_process() -> None:
            if chat.store.writes["reserve"]:
                await chat.store.write(lambda connection: connection.execute(update(turns).values(owner="other")))
            else:
                chat.store.after_next_write(give_to_another_process)

        chat.store.after_next_write(give_to_another_process)
        await chat.say("repeat: one")
        await chat.store.wait_for_writes(settle_reservation)
        usage = await booked(chat)
        assert (usage.tokens > 0, usage.reserved, usage.answers) == (True, 0, 1)


async def test_tokens_are_booked_at_shutdown_before_the_answer_is_stored(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        chat.store.start_outage(AnswerPipeline._store_answer)
        await chat.say("repeat: one")
        await chat.store.wait_for_failures(AnswerPipeline._store_answer)
        await chat.engine.close(0)
        usage = await booked(chat)
        assert (usage.tokens > 0, usage.reserved, usage.answers) == (True, 0, 1)
