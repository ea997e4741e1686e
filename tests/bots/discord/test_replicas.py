"""Several processes on one database serve each shard once and share the limit of IDENTIFYs."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bots.discord.adapter import DiscordAdapter
from bots.sandbox.stand_in import ScriptedReply
from core.errors import ConfigurationError
from core.markdown.document import Document, Paragraph, Text
from core.port import ConnectionState, Part
from core.store import leases
from core.store.database import Store
from core.store.leases import Leases
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

GATEWAY_PATH = "/gateway/bot"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


class Replica:
    """An adapter with its own leases, as in a process of its own."""

    def __init__(
        self, harness: AdapterHarness, store: Store, name: str, token: str | None = None, **settings: Any
    ) -> None:
        self.leases = Leases(store, name)
        self.adapter: DiscordAdapter = harness.build(token, leases=self.leases, **settings)
        self.running = harness.run(self.adapter)

    def is_connected(self) -> bool:
        return self.adapter.last_activity is not None


async def test_second_replica_takes_over(store: Store, harness: AdapterHarness) -> None:
    first = Replica(harness, store, "first")
    await harness.wait_for_connections(1)
    second = Replica(harness, store, "second")
    await harness.say("before")
    await harness.inbox.next()
    assert first.is_connected()
    assert not second.is_connected()
    await wait_until(lambda: second.adapter.connection_state is ConnectionState.STANDBY)
    states = [replica.adapter.connection_state for replica in (first, second)]
    assert states == [ConnectionState.CONNECTED, ConnectionState.STANDBY]
    assert len(harness.discord.gateway.identifies) == 1

    first.leases.close()
    await harness.discord.wait_for(lambda: len(harness.discord.gateway.identifies) == 2)
    await harness.wait_for_connections(1)
    assert second.is_connected()
    assert not first.is_connected()
    assert not first.running.done()
    message_id = await first.adapter.send(harness.place(harness.channel), Part("the last word"), key="k")
    assert harness.message(message_id).content == "the last word"
    await harness.say("after")
    assert (await harness.inbox.next()).text == "after"
    assert harness.inbox.events.empty()


async def test_standby_learns_the_ids_of_commands(store: Store, harness: AdapterHarness) -> None:
    """It answers questions that the other replica has stored, but does not log in to Discord."""
    held = asyncio.Event()
    harness.discord.script.add(r"PUT /applications/\d+/commands", ScriptedReply(None, hold_until=held))
    first = Replica(harness, store, "first")
    await harness.wait_for_connections(1)
    second = Replica(harness, store, "second")
    await wait_until(lambda: second.adapter.connection_state is ConnectionState.STANDBY)
    document = Document((Paragraph((Text("/help"),)),))
    assert second.adapter.dialect.render(document).text == "/help"
    held.set()
    await harness.commands_synced()
    mention = first.adapter.dialect.render(document).text
    assert mention.startswith("</help:")
    await wait_until(lambda: second.adapter.dialect.render(document).text == mention)


@pytest.mark.slow
async def test_shards_spread_and_regroup(store: Store, harness: AdapterHarness) -> None:
    gateway = harness.discord.gateway
    gateway.script.shard_count = 4
    timings = replace(FAST_TIMINGS, shard_claim_interval=0.2, extra_interval_per_shard=0.3)
    first, second = (Replica(harness, store, name, gateway_url=None, timings=timings) for name in ("a", "b"))
    await harness.wait_for_connections(4, 15)
    assert sorted(identify["shard"] for identify in gateway.identifies) == [[n, 4] for n in range(4)]
    first.running.cancel()
    await harness.discord.wait_for(lambda: len(gateway.identifies) == 6, 15)
    await harness.wait_for_connections(4, 15)
    assert len(gateway.identifies) == 6, "each replica had two shards"
    assert second.is_connected()


async def test_shards_of_dead_process_are_taken_over(store: Store, harness: AdapterHarness) -> None:
    harness.discord.gateway.script.shard_count = 3
    for shard in (0, 2):
        await store.write(leases.try_acquire, f"discord:shard:{harness.account}:3:{shard}", "dead", 1.5)
    Replica(harness, store, "alive", gateway_url=None)
    await harness.wait_for_connections(1)
    assert harness.discord.gateway.identifies[0]["shard"] == [1, 3]
    await harness.wait_for_connections(3, 15)


async def test_wrong_token_ends_every_process(store: Store, harness: AdapterHarness) -> None:
    replica = Replica(harness, store, "one", "wrong-" + harness.discord.token)
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="DISCORD_BOT_TOKEN"):
            await replica.running


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 2])
async def test_identifies_are_serialised_per_bucket(store: Store, harness: AdapterHarness, concurrency: int) -> None:
    gateway = harness.discord.gateway
    shards = 2 + concurrency
    gateway.script.shard_count, gateway.script.max_concurrency = shards, concurrency
    timings = replace(FAST_TIMINGS, identify_interval=3, identify_tolerance=1, identify_retry_interval=0.05)
    for name in ("a", "b", "c"):
        Replica(harness, store, name, gateway_url=None, timings=timings)
    await harness.wait_for_connections(shards, 40)
    for bucket in range(concurrency):
        times = [identify["at"] for identify in gateway.identifies if identify["shard"][0] % concurrency == bucket]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) == shards // concurrency - 1
        assert min(gaps) > 2, "an interval, less what the first one may be late on a busy machine"
    times = [identify["at"] for identify in gateway.identifies]
    assert max(times) - min(times) < shards // concurrency * 2 * 3, "no slower than necessary"


async def test_dropped_connection_resumes(store: Store, harness: AdapterHarness) -> None:
    timings = replace(FAST_TIMINGS, identify_interval=60, identify_tolerance=1)
    Replica(harness, store, "one", gateway_url=None, timings=timings)
    gateway = harness.discord.gateway
    await harness.wait_for_connections(1)
    lookups = len(harness.discord.calls_to("GET", GATEWAY_PATH))
    for count in (1, 2, 3):
        await harness.discord.gateway.request_reconnect()
        await harness.discord.wait_for(lambda count=count: len(gateway.resumes) >= count)  # type: ignore[misc]
        await harness.wait_for_connections(1)
    assert len(gateway.identifies) == 1
    assert len(harness.discord.calls_to("GET", GATEWAY_PATH)) == lookups


async def test_last_daily_sessions_are_reserved(harness: AdapterHarness) -> None:
    gateway = harness.discord.gateway
    gateway.script.remaining_sessions, gateway.script.session_reset_after = 50, 0.3
    adapter = harness.build(gateway_url=None)
    harness.run(adapter)
    await harness.discord.wait_for(lambda: len(harness.discord.calls_to("GET", GATEWAY_PATH)) == 3)
    await wait_until(lambda: adapter.connection_state is ConnectionState.WAITING)
    lookups = harness.discord.calls_to("GET", GATEWAY_PATH)
    assert not gateway.identifies
    assert lookups[-1].time - lookups[0].time >= 0.6
    gateway.script.remaining_sessions, gateway.script.session_reset_after = 1000, 0
    await harness.wait_for_connections(1)
    await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)


async def test_invalid_session_is_not_replaced_without_daily_sessions(harness: AdapterHarness) -> None:
    gateway = harness.discord.gateway
    await harness.start(gateway_url=None)
    gateway.script.remaining_sessions, gateway.script.session_reset_after = 3, 0.2
    lookups = len(harness.discord.calls_to("GET", GATEWAY_PATH))
    await harness.discord.gateway.invalidate_sessions()
    await harness.discord.wait_for(lambda: len(harness.discord.calls_to("GET", GATEWAY_PATH)) >= lookups + 3, 15)
    assert len(gateway.identifies) == 1
    gateway.script.remaining_sessions = None
    await harness.wait_for_connections(1)
    assert len(gateway.identifies) == 2
