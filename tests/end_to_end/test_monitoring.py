"""What a supervisor and Prometheus see of a running bot."""

from pathlib import Path

import aiohttp

from tests.end_to_end.harness import running_harness
from tests.ports import free_port
from tests.waiting import wait_until


async def fetch(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_running_bot_is_healthy_and_ready(tmp_path: Path) -> None:
    port = free_port()
    async with (
        running_harness(tmp_path) as harness,
        harness.run_process(PARLEY_MONITORING_LISTEN=f"{port}"),
    ):
        assert await fetch(port, "/healthz") == (200, "ok\n")

        async def is_ready() -> bool:
            return await fetch(port, "/readyz") == (200, "ok\n")

        await wait_until(is_ready)
