"""The HTTP listener for supervisors and monitoring: `/healthz` and `/readyz`.

It runs in the bot's own event loop, so that it is silent when that is blocked. It has no password: its address should
be reachable for the machine, or for a private network, only.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from bots.workers import WORKER_VARIABLE
from core.errors import UnavailableError
from core.health import Health

log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 1.0
"""For answers in progress when the listener closes."""


@asynccontextmanager
async def serving_monitoring(address: str, health: Health) -> AsyncIterator[None]:
    """Listen at `address` (HOST:PORT) until the block ends. Of several workers, each has a port of its own.

    Raises `UnavailableError` if the address cannot be used.
    """

    async def answer_liveness(_request: web.Request) -> web.Response:
        return _report(health.liveness_problems())

    async def answer_readiness(_request: web.Request) -> web.Response:
        return _report(health.readiness_problems())

    app = web.Application()
    app.router.add_get("/healthz", answer_liveness)
    app.router.add_get("/readyz", answer_readiness)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(runner, host.strip("[]") or None, _worker_port(int(port))).start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnavailableError(f"PARLEY_MONITORING_LISTEN {address}: {reason}") from error
        log.info("monitoring.listening", address=f"{host}:{_worker_port(int(port))}")
        yield
    finally:
        await runner.cleanup()


def _worker_port(port: int) -> int:
    """The port of this process: that of the setting for the first worker, the next one for the second."""
    return port + int(os.environ.get(WORKER_VARIABLE, "1")) - 1


def _report(problems: list[str]) -> web.Response:
    return web.Response(text="\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200)
