"""Several processes on one database: each shard is served once, and IDENTIFYs are paced for all."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bots.discord.adapter import DiscordAdapter
from core.errors import ConfigurationError
from core.port import Part
from core.store import leases
from core.store.database import Store
from core.store.leases import Leases
from tests.bots.discord.conftest import CHANNEL_PLACE, FAST_TIMING, AdapterHarness
from tests.bots.discord.scripted_discord import BOT, DM, ScriptedDiscord


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    yield store
    await store.close()


class Replica:
    """A process, as far as the database can tell."""

    def __init__(self, world: AdapterHarness, store: Store, name: str, **more: object) -> None:
        self.leases = Leases(store, name)
        self.chat: DiscordAdapter = world.build(leases=self.leases, **more)
        self.running = world.run(self.chat)


def resumed(discord: ScriptedDiscord, times: int) -> bool:
    return len(discord.resumes) >= times


def has_heartbeat(replica: Replica) -> bool:
    return replica.chat.last_activity is not None


async def test_second_replica_takes_over(store: Store, world: AdapterHarness) -> None:
    first = Replica(world, store, "first")
    await world.discord.wait_until(lambda: world.discord.connection_count)
    second = Replica(world, store, "second")
    await world.discord.say("before", channel=DM)
    await world.inbox.next()
    assert has_heartbeat(first)
    assert not has_heartbeat(second), "standing by, not deaf"
    assert len(world.discord.identifies) == 1

    began = time.monotonic()
    first.leases.close()
    await world.discord.wait_until(lambda: len(world.discord.identifies) == 2)
    await world.discord.wait_until(lambda: world.discord.connection_count == 1)
    assert time.monotonic() - began < 4
    assert has_heartbeat(second)
    assert not has_heartbeat(first)
    assert not first.running.done()
    assert await first.chat.send(CHANNEL_PLACE, Part("the last word"), key="k") in world.discord.messages
    await world.discord.say("after", channel=DM)
    assert (await world.inbox.next()).text == "after"
    assert world.inbox.arrived.empty()


async def test_shards_spread_and_regroup(store: Store, world: AdapterHarness) -> None:
    discord = world.discord
    discord.shards = 4
    timing = replace(FAST_TIMING, shard_claim_interval=0.2, extra_interval_per_shard=0.3)
    first, second = (Replica(world, store, name, gateway_url=None, timings=timing) for name in ("a", "b"))
    await discord.wait_until(lambda: discord.connection_count == 4, 15)
    assert sorted(one["shard"] for one in discord.identifies) == [[n, 4] for n in range(4)]
    first.running.cancel()
    await discord.wait_until(lambda: len(discord.identifies) == 6, 15)
    await discord.wait_until(lambda: discord.connection_count == 4, 15)
    assert len(discord.identifies) == 6, "each had two of them"
    assert has_heartbeat(second)


async def test_shards_of_dead_process_are_taken_over(store: Store, world: AdapterHarness) -> None:
    world.discord.shards = 3
    for shard in (0, 2):
        await store.write(leases.try_acquire, f"discord:shard:{BOT}:3:{shard}", "dead", 1.5)
    Replica(world, store, "alive", gateway_url=None)
    await world.discord.wait_until(lambda: world.discord.connection_count == 1)
    assert world.discord.identifies[0]["shard"] == [1, 3]
    await world.discord.wait_until(lambda: world.discord.connection_count == 3, 15)


async def test_wrong_token_ends_every_process(store: Store, world: AdapterHarness) -> None:
    world.discord.token = "another"
    replica = Replica(world, store, "one")
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="DISCORD_BOT_TOKEN"):
            await replica.running


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_identifies_are_serialised_per_bucket(store: Store, world: AdapterHarness, concurrency: int) -> None:
    discord = world.discord
    discord.shards, discord.concurrency = 6, concurrency
    timing = replace(FAST_TIMING, identify_interval=0.4, identify_tolerance=0.15)
    for name in ("a", "b", "c"):
        Replica(world, store, name, gateway_url=None, timings=timing)
    await discord.wait_until(lambda: discord.connection_count == 6, 20)
    for bucket in range(concurrency):
        times = [
            at
            for at, one in zip(discord.identify_times, discord.identifies, strict=True)
            if one["shard"][0] % concurrency == bucket
        ]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) == 6 // concurrency - 1
        assert min(gaps) > 0.38
    took = max(discord.identify_times) - min(discord.identify_times)
    assert took < 6 // concurrency * 1.5, "no slower than it has to be"


async def test_dropped_connection_resumes(store: Store, world: AdapterHarness) -> None:
    timing = replace(FAST_TIMING, identify_interval=60, identify_tolerance=1)
    Replica(world, store, "one", gateway_url=None, timings=timing)
    discord = world.discord
    await discord.wait_until(lambda: discord.connection_count)
    asked = len(discord.requests_to("GET", "/gateway/bot"))
    for times in (1, 2, 3):
        await discord.reconnect()
        await discord.wait_until(partial(resumed, discord, times))
        await discord.wait_until(lambda: discord.connection_count)
    assert len(discord.identifies) == 1
    assert len(discord.requests_to("GET", "/gateway/bot")) == asked


async def test_last_daily_sessions_are_reserved(world: AdapterHarness) -> None:
    discord = world.discord
    discord.sessions_remaining, discord.sessions_reset_after = 50, 0.3
    world.run(world.build(gateway_url=None))
    await discord.wait_until(lambda: discord.requests_to("GET", "/gateway/bot"))
    asked = discord.requests_to("GET", "/gateway/bot")[0].time
    await discord.wait_until(lambda: len(discord.requests_to("GET", "/gateway/bot")) == 3)
    assert not discord.identifies
    assert asyncio.get_running_loop().time() - asked >= 0.6
    discord.sessions_remaining = 1000
    await discord.wait_until(lambda: discord.connection_count)


async def test_invalid_session_is_not_replaced_without_daily_sessions(
    world: AdapterHarness,
) -> None:
    discord = world.discord
    await world.start(gateway_url=None)
    discord.sessions_remaining, discord.sessions_reset_after = 3, 0.2
    asked = len(discord.requests_to("GET", "/gateway/bot"))
    await discord.invalidate()
    await discord.wait_until(lambda: len(discord.requests_to("GET", "/gateway/bot")) >= asked + 3, 15)
    assert len(discord.identifies) == 1
    discord.sessions_remaining = 1000
    await discord.wait_until(lambda: discord.connection_count)
    assert len(discord.identifies) == 2
