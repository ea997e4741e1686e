"""Processes on one database keep a platform's rate limits together."""

import asyncio
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.port import AccountKey, Capabilities, PreviewMode, RateLimit, RateWindow
from core.timings import Timings
from core.turns.shared_rate_limits import SharedRateLimits
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.postgresql import postgresql_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

TIMINGS = Timings(process_count_interval=0.05)
TWO_MESSAGES: RateLimit = (RateWindow(2, 1000.0),)


class LimitedAdapter(FakeAdapter):
    account_rate_limit = TWO_MESSAGES


async def wait_for_counts(*adapters: FakeAdapter) -> None:
    """Wait until each process has counted the others."""
    await asyncio.gather(*(adapter.store.wait_for_writes(SharedRateLimits._count_processes, 3) for adapter in adapters))


def waits_for_chat(adapter: FakeAdapter) -> bool:
    limiter = adapter.engine._rate_limits.limiter(AccountKey(adapter.platform, adapter.account))
    return any(queue.waiters for chat in limiter._chats.values() for queue in chat.queues.values())


async def test_limit_of_group_holds_for_all_processes(tmp_path: Path, model: ModelStandIn) -> None:
    capabilities = Capabilities(TWO_MESSAGES, preview_mode=PreviewMode.OFF, deduplicates_sends=True)
    first, second, url = FakeAdapter(capabilities), FakeAdapter(capabilities, first_number=1000), postgresql_url()
    async with (
        running_engine(tmp_path, model, first, timings=TIMINGS, database_url=url),
        running_engine(tmp_path, model, second, timings=TIMINGS, database_url=url),
    ):
        await wait_for_counts(first, second)
        for adapter, other in ((first, second), (second, first)):
            adapter.engine._is_closing, other.engine._is_closing = False, True  # who claims the turns
            for user in ("5", "6"):
                await adapter.say("/help", user=user, group="9")
            await wait_until(lambda adapter=adapter: waits_for_chat(adapter))
        assert len(first.messages) + len(second.messages) == TWO_MESSAGES[0].count
        first.engine._is_closing = second.engine._is_closing = True
        await asyncio.gather(first.engine.close(0), second.engine.close(0))


async def test_processes_of_other_accounts_do_not_count(tmp_path: Path, model: ModelStandIn) -> None:
    first, second, url = LimitedAdapter(), LimitedAdapter(), postgresql_url()
    second.account = "2"
    async with (
        running_engine(tmp_path, model, first, timings=TIMINGS, database_url=url),
        running_engine(tmp_path, model, second, timings=TIMINGS, database_url=url),
    ):
        await wait_for_counts(first, second)
        for user in ("5", "6"):
            await first.say("/help", user=user)
        await first.wait_until(lambda: len(first.messages) == TWO_MESSAGES[0].count)
