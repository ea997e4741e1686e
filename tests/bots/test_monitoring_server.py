"""The listener for supervisors and Prometheus, without a bot behind it."""

import socket
from typing import cast

import aiohttp
import pytest

from bots.monitoring_server import MonitoringServer, serving_monitoring
from bots.workers import WORKER_VARIABLE
from core.errors import UnavailableError
from core.health import Health
from tests.bots.test_service_notifier import SwitchedHealth


async def render_metrics() -> bytes:
    return b"parley_queue_turns 3.0\n"


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_problems_are_answered_in_plain_text(unused_tcp_port: int) -> None:
    health = SwitchedHealth()
    async with serving_monitoring(f"127.0.0.1:{unused_tcp_port}", cast("Health", health), render_metrics):
        assert await get(unused_tcp_port, "/healthz") == (200, "ok\n")
        health.liveness = ["no platform has been connected for 601 s", "the event loop was blocked for 31 s"]
        assert await get(unused_tcp_port, "/healthz") == (503, "\n".join([*health.liveness, ""]))
        assert await get(unused_tcp_port, "/metrics") == (200, "parley_queue_turns 3.0\n")
        assert (await get(unused_tcp_port, "/"))[0] == 404


async def test_process_that_starts_is_alive_and_not_ready(unused_tcp_port: int) -> None:
    async with MonitoringServer(f"127.0.0.1:{unused_tcp_port}").running():
        assert await get(unused_tcp_port, "/healthz") == (200, "ok\n")
        assert await get(unused_tcp_port, "/readyz") == (503, "starting\n")
        assert (await get(unused_tcp_port, "/metrics"))[0] == 503


async def test_each_worker_has_its_own_port(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER_VARIABLE, "3")
    address = f"127.0.0.1:{unused_tcp_port - 2}"
    async with serving_monitoring(address, cast("Health", SwitchedHealth()), render_metrics):
        assert await get(unused_tcp_port, "/healthz") == (200, "ok\n")


async def test_used_port_is_reported_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=rf"PARLEY_MONITORING_LISTEN {address}: .*in use"):
            async with serving_monitoring(address, cast("Health", SwitchedHealth()), render_metrics):
                raise AssertionError("it listens")
