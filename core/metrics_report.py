"""What `/metrics` answers: the events counted so far, and gauges that are set at that moment."""

import asyncio
from collections.abc import Sequence

from core.conversation.failover import COMMON_FAILURES
from core.conversation.model_quotas import quotas_by_model
from core.errors import ModelFailure, StoreError
from core.health import Health
from core.port import Adapter, SupportsLiveness
from core.prometheus_metrics import PrometheusMetrics
from core.services import Services
from core.store.load import measure_load


class MetricsReport:
    def __init__(
        self, metrics: PrometheusMetrics, services: Services, adapters: Sequence[Adapter], health: Health
    ) -> None:
        self._metrics = metrics
        self._services = services
        self._adapters = adapters
        self._health = health
        for adapter in adapters:
            metrics.platform(adapter.platform)
        for reason in set(ModelFailure) - COMMON_FAILURES:
            metrics.failovers.labels(reason)  # begins at 0: Prometheus computes no rate from a first value
        self._lock = asyncio.Lock()
        """Who asks often reads the database only once at a time."""

    async def render(self) -> bytes:
        """All metrics in Prometheus' text format. Those of a database that does not answer keep their last values."""
        async with self._lock:
            self._measure_platforms()
            try:
                async with asyncio.timeout(self._services.timings.report_timeout):
                    await self._measure_store()
                    await self._measure_quotas()
            except (StoreError, TimeoutError):
                self._metrics.database_up.set(0)
            else:
                self._metrics.database_up.set(1)
            return self._metrics.render()

    def _measure_platforms(self) -> None:
        now = self._services.timings.clock.monotonic()
        ages = self._metrics.platform_activity_age
        ages.clear()
        for adapter in self._adapters:
            self._metrics.platform_connected.labels(adapter.platform).set(self._health.is_connected(adapter))
            last_activity = adapter.last_activity if isinstance(adapter, SupportsLiveness) else None
            if last_activity is not None:
                ages.labels(adapter.platform).set(now - last_activity)

    async def _measure_store(self) -> None:
        load = await self._services.store.read(measure_load)
        self._metrics.queue_turns.set(load.queue.count)
        self._metrics.queue_age.set(load.queue.oldest_seconds)
        self._metrics.outbox_turns.set(load.outbox.count)
        self._metrics.outbox_age.set(load.outbox.oldest_seconds)
        self._metrics.database_size.set(load.size_bytes)

    async def _measure_quotas(self) -> None:
        services = self._services
        models = [*services.models.chat_models(), *services.models.embedding_models()]
        quotas = await quotas_by_model(services.ledger, services.api_keys.bot_key.key_id, models)
        self._metrics.quota_remaining.clear()
        for model, quota in quotas.items():
            # A model without a known quota has one for today once the service refuses requests because of it.
            if quota.remaining is not None and (label := self._metrics.model_label(model)) == model:
                self._metrics.quota_remaining.labels(label).set(quota.remaining)
