"""What a supervisor and Prometheus see of a running bot."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from core.prometheus_metrics import PrometheusMetrics
from core.settings.model import DEFAULT_MODEL
from tests.deploy.monitoring_files import load_dashboard, panels
from tests.end_to_end.dashboard_picture import draw_dashboard
from tests.end_to_end.harness import running_harness
from tests.end_to_end.monitored_bot import WAIT_SECONDS, Scrape, find_values, let_everything_happen, monitored_bot
from tests.end_to_end.monitored_load import Life
from tests.end_to_end.private_chat import PrivateChat
from tests.end_to_end.prometheus_server import running_prometheus
from tests.tools import find_tool
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

IMAGES = Path(__file__).parents[2] / "docs" / "images"


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
        if "platform" in definition.labels:
            for platform in ("telegram", "discord"):
                values = {sum_of(scrape, name, platform=platform) for scrape in bot.scrapes}
                assert max(values) > 0, f"{definition.name} of {platform}"

    tokens = "parley_model_tokens_total"
    remaining = "parley_model_quota_remaining_tokens"
    used = sum_of(last, tokens, model=DEFAULT_MODEL)
    assert used == sum_of(first, remaining, model=DEFAULT_MODEL) - sum_of(last, remaining, model=DEFAULT_MODEL) > 0
    assert sum_of(last, "parley_failovers_total", reason="server error") == 1
    for platform, answers in (("telegram", 4), ("discord", 3)):
        demanded = sum_of(last, "parley_platform_demanded_wait_seconds_total", platform=platform)
        assert demanded == pytest.approx(WAIT_SECONDS, abs=0.5)
        assert sum_of(last, "parley_platform_refusals_total", platform=platform) == 1
        for outcome, count in (("done", answers), ("stopped", 1), ("failed", 1)):
            ended = sum_of(last, "parley_answer_seconds_count", platform=platform, outcome=outcome)
            assert ended == count, f"{outcome} on {platform}"
    assert find_values(last, "parley_platform_connected") == [1, 1]


async def test_dashboard_has_no_empty_panel(tmp_path: Path) -> None:
    prometheus = find_tool("prometheus")
    async with (
        running_harness(tmp_path) as harness,
        monitored_bot(harness) as bot,
        running_prometheus(prometheus, tmp_path, bot.port) as server,
    ):
        start = time.time()
        await let_everything_happen(harness, bot)
        end = time.time()
        empty = {panel["title"]: queries for panel in panels() if (queries := await server.empty_queries(panel))}
        series = {panel["title"]: await server.panel_series(panel, start, end) for panel in panels()}
    assert empty == {}
    picture = ET.fromstring(draw_dashboard(load_dashboard(), series, end - start))
    texts = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= {panel["title"] for panel in load_dashboard()["panels"]}
    assert texts >= {"telegram median", "discord 95 %"}


@pytest.mark.skipif(not os.environ.get("PARLEY_SCREENSHOTS"), reason="PARLEY_SCREENSHOTS=1 draws docs/images anew")
@pytest.mark.timeout(600)
async def test_picture_of_the_dashboard(tmp_path: Path) -> None:
    """Some minutes with people, failures and refusals, as the documentation shows them."""
    prometheus = find_tool("prometheus")
    async with (
        running_harness(tmp_path, tokens_per_second=60, limits=True) as harness,
        monitored_bot(harness, PARLEY_TURNS_AT_ONCE="200") as bot,
        running_prometheus(prometheus, tmp_path, bot.port) as server,
    ):
        start = time.time()
        await Life(harness).run()
        end = time.time()
        series = {panel["title"]: await server.panel_series(panel, start, end) for panel in panels()}
    assert all(series.values()), [title for title, lines in series.items() if not lines]
    (IMAGES / "dashboard.svg").write_text(draw_dashboard(load_dashboard(), series, end - start))


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
