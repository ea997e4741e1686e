"""When the adapter ends, what it has begun is finished, and nothing begins."""

import asyncio

import pytest

from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from bots.sandbox.stand_in import Fault, FaultKind
from core.errors import DeliveryError, DeliveryFailure
from tests.bots.discord.conftest import AdapterHarness
from tests.waiting import wait_until


async def test_closed_client_makes_no_request_before_it_is_opened(harness: AdapterHarness) -> None:
    discord = harness.discord
    http = HttpClient(discord.token, discord.api_base, DiscordTimings())
    await http.get_list(f"/channels/{harness.channel.id}/messages")
    await http.close()
    with pytest.raises(DeliveryError) as caught:
        await http.call("GET", "/gateway/bot")
    assert caught.value.failure is DeliveryFailure.TRANSIENT
    with pytest.raises(DeliveryError):
        await http.download(f"{discord.api_base}/attachments/1/a.txt", 100)
    assert [call.path for call in discord.calls] == [f"/channels/{harness.channel.id}/messages"]
    http.open()
    assert await http.call("GET", "/gateway/bot")
    await http.close()


async def test_request_under_way_is_not_repeated_after_the_end(harness: AdapterHarness) -> None:
    discord = harness.discord
    http = HttpClient(discord.token, discord.api_base, DiscordTimings())
    discord.fault_hook = lambda call: Fault(FaultKind.DELAY, 60)
    request = asyncio.create_task(http.call("GET", "/gateway/bot"))
    await discord.wait_for(lambda: len(discord.calls) == 1)
    await http.close()
    with pytest.raises(DeliveryError):
        await request
    assert len(discord.calls) == 1


async def test_interaction_is_acknowledged_before_the_end(harness: AdapterHarness) -> None:
    discord = harness.discord
    adapter = harness.build()
    run_task = harness.run(adapter)
    await discord.wait_until_ready()
    discord.fault_hook = lambda call: Fault(FaultKind.DELAY, 0.3) if call.path.endswith("/callback") else None
    interaction = await discord.use_command(harness.ann, harness.channel, "ask", prompt="why?")
    await harness.inbox.next()
    run_task.cancel()
    await asyncio.wait({run_task})
    assert (await harness.acknowledgement(interaction))["type"] == 4
    await wait_until(lambda: discord.connection_count == 0)
