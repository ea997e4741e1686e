"""What `/metrics` answers about platforms, the queue, the database and quotas at that moment."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.api.catalogue import Model
from core.errors import ModelError, ModelFailure
from core.health import Health
from core.metrics_report import MetricsReport
from core.port import ConnectionState
from core.prometheus_metrics import PrometheusMetrics
from core.settings.model import DEFAULT_MODEL
from core.store.token_usage import UsageKind
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

pytestmark = pytest.mark.slow

REMAINING = "parley_model_quota_remaining_tokens"


class LivelyAdapter(FakeAdapter):
    """Its connection is what the test says."""

    connection_state = ConnectionState.CONNECTED
    last_activity: float | None = None


class Report:
    def __init__(self, chat: FakeAdapter) -> None:
        services = chat.services
        health = Health([chat], services.store, services.timings)
        self.report = MetricsReport(PrometheusMetrics(), services, [chat], health)

    async def values(self) -> dict[str, float]:
        """By metric with its labels."""
        lines = (await self.report.render()).decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line.startswith("parley_"))
        return {name: float(value) for name, _, value in pairs}


async def test_state_of_platform_and_database(tmp_path: Path, model: ModelStandIn) -> None:
    chat = LivelyAdapter()
    async with running_engine(tmp_path, model, chat, quotas={DEFAULT_MODEL: 1_000}):
        report = Report(chat)
        values = await report.values()
        assert values['parley_platform_connected{platform="fake"}'] == 1
        assert 'parley_platform_activity_age_seconds{platform="fake"}' not in values
        assert values['parley_failovers_total{reason="server error"}'] == 0
        assert values['parley_answer_seconds_count{outcome="failed",platform="fake"}'] == 0
        assert (values["parley_database_up"], values["parley_queue_turns"]) == (1, 0)
        assert values["parley_outbox_turns"] == 0
        assert values["parley_database_size_bytes"] >= 100_000
        assert values[f'{REMAINING}{{model="{DEFAULT_MODEL}"}}'] == 1_000
        chat.last_activity = chat.services.timings.clock.monotonic() - 5
        chat.connection_state = ConnectionState.CONNECTING
        values = await report.values()
        assert values['parley_platform_connected{platform="fake"}'] == 0
        assert 5 <= values['parley_platform_activity_age_seconds{platform="fake"}'] < 60
        chat.last_activity = None
        assert 'parley_platform_activity_age_seconds{platform="fake"}' not in await report.values()


async def test_answer_that_is_not_delivered_waits_in_the_outbox(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as chat:
        chat.close_gate("send")
        await chat.say("repeat: one")
        await chat.started["send"].wait()
        values = await Report(chat).values()
        assert values["parley_outbox_turns"] == 1
        assert values["parley_outbox_age_seconds"] >= 0
        chat.gates["send"].set()
        await chat.wait_for_states("done")
        assert (await Report(chat).values())["parley_outbox_turns"] == 0


async def test_quotas_of_all_models_are_reported(tmp_path: Path, model: ModelStandIn) -> None:
    embedding_model, refused_model = "mixedbread-ai/mxbai-embed-large-v1", "some/model-without-a-quota"
    model.add_model(Model(refused_model, 8_000))
    async with running_engine(tmp_path, model, quotas={embedding_model: 500}) as chat:
        await chat.services.models.refresh()
        report, ledger = Report(chat), chat.services.ledger
        key_id = chat.services.api_keys.bot_key.key_id
        assert ledger.daily_limit(refused_model) is None
        async with ledger.reserve(key_id, embedding_model, 100, kind=UsageKind.EMBEDDINGS) as reservation:
            reservation.reported_tokens = 100
        values = await report.values()
        assert values[f'{REMAINING}{{model="{embedding_model}"}}'] == 400
        assert f'{REMAINING}{{model="{refused_model}"}}' not in values
        refusal = ModelError("Daily quota exceeded", ModelFailure.QUOTA, status=429, retry_after=40_000)
        await ledger.record_refusal(key_id, refused_model, refusal)
        assert (await report.values())[f'{REMAINING}{{model="{refused_model}"}}'] == 0
