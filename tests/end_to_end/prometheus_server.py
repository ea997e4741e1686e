"""A real Prometheus that scrapes the bot once a second."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.deploy.monitoring_files import ALERTS, panel_queries
from tests.end_to_end.dashboard_picture import Series, legend_of
from tests.ports import free_port
from tests.waiting import wait_until

CONFIGURATION = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: parley
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: "127.0.0.1:9464"}}}}]
"""
PICTURE_STEP_SECONDS = 3
PICTURE_RATE_INTERVAL = "20s"


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    session: aiohttp.ClientSession
    address: str

    async def query(self, expression: str) -> list[float]:
        """The values of the result that are numbers."""
        async with self.session.get(f"{self.address}/api/v1/query", params={"query": expression}) as response:
            answer: dict[str, Any] = await response.json()
        assert answer["status"] == "success", answer
        values = [float(series["value"][1]) for series in answer["data"]["result"]]
        return [value for value in values if not math.isnan(value)]

    async def panel_series(self, panel: dict[str, Any], start: float, end: float) -> list[Series]:
        """What the panel shows of a time, given in seconds since 1970."""
        series: list[Series] = []
        for target in panel["targets"]:
            query = _fill_variables(target["expr"], PICTURE_RATE_INTERVAL)
            parameters = {"query": query, "start": str(start), "end": str(end), "step": str(PICTURE_STEP_SECONDS)}
            async with self.session.get(f"{self.address}/api/v1/query_range", params=parameters) as response:
                answer: dict[str, Any] = await response.json()
            assert answer["status"] == "success", answer
            for result in answer["data"]["result"]:
                points = [(float(time) - start, float(value)) for time, value in result["values"]]
                series.append(Series(legend_of(target, result["metric"]), points))
        return series

    async def is_scraping(self) -> bool:
        with suppress(aiohttp.ClientError):
            return bool(await self.query("parley_database_up"))
        return False

    async def empty_queries(self, panel: dict[str, Any]) -> list[str]:
        """The panel's queries that have no result."""
        queries = [_fill_variables(query, "5m") for query in panel_queries(panel)]
        return [query for query in queries if not await self.query(query)]


def _fill_variables(query: str, rate_interval: str) -> str:
    """Grafana's variables."""
    return query.replace("$__rate_interval", rate_interval).replace("$instance", ".*")


@asynccontextmanager
async def running_prometheus(command: str, folder: Path, port: int) -> AsyncIterator[PrometheusServer]:
    """`port` is the bot's."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=ALERTS, port=port))
    listen = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        command,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={listen}",
        "--log.level=error",
    )
    try:
        async with aiohttp.ClientSession() as session:
            server = PrometheusServer(session, f"http://{listen}")
            await wait_until(server.is_scraping, 30)
            yield server
    finally:
        process.terminate()
        await process.wait()
