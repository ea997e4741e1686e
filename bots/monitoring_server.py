"""The HTTP listener for supervisors and monitoring: `/healthz`, `/readyz` and `/metrics`.

It runs in the bot's own event loop, so that it is silent when that is blocked. It has no password: its address should
be reachable for the machine, or for a private network, only.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol, TypeAlias

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from bots.workers import WORKER_VARIABLE
from core.errors import UnavailableError
from core.health import Health
from core.metrics_report import MetricsReport
from core.port import Adapter
from core.prometheus_metrics import PrometheusMetrics
from core.services import Services

log = structlog.get_logger(__name__)

RenderMetrics: TypeAlias = Callable[[], Awaitable[bytes | None]]
"""None: nothing can be measured yet."""
STARTING = ["starting"]
SHUTDOWN_SECONDS = 1.0
"""For answers in progress when the listener closes."""


class ReportsHealth(Protocol):
    """See `core.health.Health`."""

    def liveness_problems(self) -> list[str]: ...

    def readiness_problems(self) -> list[str]: ...


class MonitoringServer:
    """Listens at `address` (HOST:PORT) and has the metrics that it reports.

    Until `watch`, the process is alive and not ready: a migration of the database may take long.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.metrics = PrometheusMetrics()
        self._health: Health | None = None
        self._report: MetricsReport | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer until the block ends. Raises `UnavailableError` if the address cannot be used."""
        async with serving_monitoring(self._address, self, self._render_metrics):
            yield

    @contextmanager
    def watching(self, services: Services, adapters: Sequence[Adapter], health: Health) -> Iterator[None]:
        """Until the block ends, measure these. `health` decides from now on whether the process is ready and alive."""
        self._health = health
        self._report = MetricsReport(self.metrics, services, adapters, health)
        try:
            yield
        finally:
            self._report = None

    def liveness_problems(self) -> list[str]:
        return self._health.liveness_problems() if self._health is not None else []

    def readiness_problems(self) -> list[str]:
        return self._health.readiness_problems() if self._health is not None else STARTING

    async def _render_metrics(self) -> bytes | None:
        return await self._report.render() if self._report is not None else None


@asynccontextmanager
async def serving_monitoring(address: str, health: ReportsHealth, render_metrics: RenderMetrics) -> AsyncIterator[None]:
    """Listen until the block ends. Of several workers, each has a port of its own. Raises `UnavailableError`."""
    host, _, first_port = address.rpartition(":")
    port = _worker_port(int(first_port))
    runner = web.AppRunner(_create_app(health, render_metrics), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]") or None, port).start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnavailableError(f"PARLEY_MONITORING_LISTEN {host}:{port}: {reason}") from error
        log.info("monitoring.listening", address=f"{host}:{port}")
        yield
    finally:
        await runner.cleanup()


def _worker_port(port: int) -> int:
    """The port of this process: that of the setting for the first worker, the next one for the second."""
    return port + int(os.environ.get(WORKER_VARIABLE, "1")) - 1


def _create_app(health: ReportsHealth, render_metrics: RenderMetrics) -> web.Application:
    async def answer_liveness(_request: web.Request) -> web.Response:
        return _answer(health.liveness_problems())

    async def answer_readiness(_request: web.Request) -> web.Response:
        return _answer(health.readiness_problems())

    async def answer_metrics(_request: web.Request) -> web.Response:
        metrics = await render_metrics()
        if metrics is None:
            return _answer(["nothing to measure: the process starts or stops"])
        return web.Response(body=metrics, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.router.add_get("/healthz", answer_liveness)
    app.router.add_get("/readyz", answer_readiness)
    app.router.add_get("/metrics", answer_metrics)
    return app


def _answer(problems: list[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)
