"""What a supervisor and Prometheus see of a running bot."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from core.prometheus_metrics import PrometheusMetrics
from core.settings.model import DEFAULT_MODEL
from tests.deploy.monitoring_files import panels
from tests.end_to_end.harness import running_harness
from tests.end_to_end.monitored_bot import Scrape, find_values, let_everything_happen, monitored_bot
from tests.end_to_end.private_chat import PrivateChat
from tests.end_to_end.prometheus_server import running_prometheus
from tests.tools import find_tool
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


async def test_running_bot_is_healthy_and_ready(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness, monitored_bot(harness) as bot:
        assert await bot.get("/healthz") == (200, "ok\n")
        assert await bot.get("/readyz") == (200, "ok\n")


def sum_of(scrape: Scrape, name: str, **labels: str) -> float:
    return sum(find_values(scrape, name, **labels))


async def test_every_metric_moves(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness, monitored_bot(harness) as bot:
        await let_everything_happen(harness, bot)
    first, last = bot.scrapes[0], bot.scrapes[-1]
    for definition in PrometheusMetrics().definitions:
        name = f"{definition.name}_count" if definition.type == "histogram" else definition.name
        seen = {sum_of(scrape, name) for scrape in bot.scrapes}
        assert max(seen) > 0, definition.name
        assert len(seen) > 1 or name.endswith(("_up", "_connected")), f"{definition.name} does not move"

    tokens = "parley_model_tokens_total"
    remaining = "parley_model_quota_remaining_tokens"
    used = sum_of(last, tokens, model=DEFAULT_MODEL)
    assert used == sum_of(first, remaining, model=DEFAULT_MODEL) - sum_of(last, remaining, model=DEFAULT_MODEL) > 0
    assert sum_of(last, "parley_failovers_total", reason="server error") == 1
    assert sum_of(last, "parley_platform_refusals_total", platform="telegram") == 1
    assert sum_of(last, "parley_platform_demanded_wait_seconds_total", platform="telegram") == pytest.approx(4, abs=0.5)
    assert sum_of(last, "parley_answer_seconds_count", platform="telegram", outcome="done") == 4
    assert sum_of(last, "parley_answer_seconds_count", platform="discord", outcome="done") == 2
    assert sum_of(last, "parley_first_text_seconds_count", platform="telegram") == 4
    assert find_values(last, "parley_platform_connected") == [1, 1]


async def test_dashboard_has_no_empty_panel(tmp_path: Path) -> None:
    prometheus = find_tool("prometheus")
    async with (
        running_harness(tmp_path) as harness,
        monitored_bot(harness) as bot,
        running_prometheus(prometheus, tmp_path, bot.port) as server,
    ):
        await let_everything_happen(harness, bot)
        empty = {panel["title"]: queries for panel in panels() if (queries := await server.empty_queries(panel))}
    assert empty == {}


async def test_healthy_bot_leaves_no_panel_unexplained(tmp_path: Path) -> None:
    """A panel of what has not happened shows 0, or says why it is empty."""
    prometheus = find_tool("prometheus")
    async with (
        running_harness(tmp_path) as harness,
        monitored_bot(harness) as bot,
        running_prometheus(prometheus, tmp_path, bot.port) as server,
    ):
        telegram, discord = PrivateChat(harness, "telegram"), PrivateChat(harness, "discord")
        unexplained = [panel for panel in panels() if "noValue" not in panel["fieldConfig"]["defaults"]]
        empty = [panel["title"] for panel in unexplained]

        async def is_scraped() -> bool:
            return len(await server.query("parley_first_text_seconds_count > 0")) == 2

        async def has_values() -> bool:
            empty[:] = [panel["title"] for panel in unexplained if await server.empty_queries(panel)]
            return not empty

        await asyncio.gather(telegram.ask("repeat: one", "one"), discord.ask("repeat: one", "one"))
        await wait_until(is_scraped, 30)
        await asyncio.gather(telegram.ask("repeat: two", "two"), discord.ask("repeat: two", "two"))
        with suppress(TimeoutError):
            await wait_until(has_values, 30)
    assert empty == []


async def test_metrics_name_nobody(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness, monitored_bot(harness) as bot:
        await let_everything_happen(harness, bot)
        _, text = await bot.get("/metrics")
    people = {str(user.id) for user in harness.telegram.users.values()}
    people |= {str(user.id) for user in harness.discord.users.values()}
    labels = {value for (_, own) in bot.scrapes[-1] for _, value in own}
    assert people
    assert not labels & people
    assert "repeat" not in text
