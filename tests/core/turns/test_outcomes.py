"""How the metrics count what became of a question: an alert is about failures that the operator can do something about."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, http_error, respond_with
from core.errors import DeliveryError, DeliveryFailure
from core.metrics import Outcome
from core.prometheus_metrics import PrometheusMetrics
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.core.turns.test_answer import IMPATIENT

pytestmark = pytest.mark.slow

FILTERED = {"error": {"message": "Filtered by the content management policy.", "code": "content_filter"}}


def outcomes(metrics: PrometheusMetrics) -> dict[str, float]:
    """How many questions ended in each way, where any did."""
    samples = next(iter(metrics.answer_seconds.collect())).samples
    counts = {sample.labels["outcome"]: sample.value for sample in samples if sample.name.endswith("_count")}
    return {outcome: count for outcome, count in counts.items() if count}


async def test_answered_and_stopped_questions(tmp_path: Path, model: ModelStandIn) -> None:
    metrics = PrometheusMetrics()
    async with running_engine(tmp_path, model, metrics=metrics) as chat:
        await chat.ask("repeat: hello")
        await chat.wait_for_states("done")
        await chat.ask("/help")
        await chat.wait_for_states("done", "done")
    assert outcomes(metrics) == {Outcome.DONE: 1}, "a command is no question"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (http_error(503), Outcome.FAILED),
        (http_error(401), Outcome.FAILED),
        (respond_with(400, FILTERED), Outcome.USER_ERROR),
    ],
    ids=["unavailable", "wrong key", "filtered"],
)
async def test_failures_of_models(tmp_path: Path, model: ModelStandIn, fault: Fault, outcome: Outcome) -> None:
    metrics = PrometheusMetrics()
    model.fault_hook = lambda _body: fault
    async with running_engine(tmp_path, model, metrics=metrics, timings=IMPATIENT) as chat:
        await chat.ask("repeat: hello")
        await chat.wait_for_states("failed")
    assert outcomes(metrics) == {outcome: 1}


async def test_question_that_is_too_long_is_the_persons_error(tmp_path: Path, model: ModelStandIn) -> None:
    metrics = PrometheusMetrics()
    async with running_engine(tmp_path, model, metrics=metrics) as chat:
        await chat.ask("/model AceMath")
        assert "has room for" in await chat.ask("many words " * 5_000)
        await chat.wait_for_states("done", "failed")
    assert outcomes(metrics) == {Outcome.USER_ERROR: 1}


async def test_key_that_does_not_work_is_its_owners_error(tmp_path: Path, model: ModelStandIn) -> None:
    metrics, key = PrometheusMetrics(), "io-key-of-ann-0123456789"
    model.add_account(key)
    async with running_engine(tmp_path, model, metrics=metrics, secret_key="a long secret of the operator") as chat:
        await chat.ask(f"/key {key}")
        await chat.wait_for_states("done")
        model.fault_hook = lambda _body: http_error(401)
        await chat.ask("repeat: hello")
        await chat.wait_for_states("done", "failed")
    assert outcomes(metrics) == {Outcome.USER_ERROR: 1}


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (DeliveryFailure.FORBIDDEN, Outcome.USER_ERROR),
        (DeliveryFailure.GONE, Outcome.USER_ERROR),
        (DeliveryFailure.REJECTED, Outcome.FAILED),
    ],
)
async def test_failures_of_delivery(
    tmp_path: Path, model: ModelStandIn, failure: DeliveryFailure, outcome: Outcome
) -> None:
    metrics, chat = PrometheusMetrics(), FakeAdapter()
    chat.errors["send"] = DeliveryError("no", failure)
    async with running_engine(tmp_path, model, chat, metrics=metrics):
        await chat.say("repeat: hello")
        await chat.wait_for_states("failed")
    assert outcomes(metrics) == {outcome: 1}


async def test_question_that_crashes_its_processes_has_failed(tmp_path: Path, model: ModelStandIn) -> None:
    metrics = PrometheusMetrics()
    async with running_engine(tmp_path, model, metrics=metrics, max_attempts=0) as chat:
        await chat.ask("repeat: hello")
        await chat.wait_for_states("failed")
        await chat.ask("/help")
        await chat.wait_for_states("failed", "failed")
    assert outcomes(metrics) == {Outcome.FAILED: 1}, "a command is no question"
