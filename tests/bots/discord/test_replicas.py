"""Several processes on one database: each shard is served once, and IDENTIFYs are paced for all."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bots.discord.chat import DiscordChat
from core.errors import ConfigurationError
from core.port import Part
from core.store import leases
from core.store.database import Store
from core.store.leases import Leases
from tests.bots.discord.conftest import HERE, QUICK, World
from tests.bots.discord.loopback import BOT, DM, Loopback


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    yield store
    await store.close()


class Replica:
    """A process, as far as the database can tell."""

    def __init__(self, world: World, store: Store, name: str, **more: object) -> None:
        self.leases = Leases(store, name)
        self.chat: DiscordChat = world.build(leases=self.leases, **more)
        self.running = world.run(self.chat)


def resumed(discord: Loopback, times: int) -> bool:
    return len(discord.resumes) >= times


def beats(replica: Replica) -> bool:
    return replica.chat.last_heard is not None


async def test_one_of_two_is_connected_and_the_other_takes_over(store: Store, world: World) -> None:
    first = Replica(world, store, "first")
    await world.discord.until(lambda: world.discord.connected)
    second = Replica(world, store, "second")
    await world.discord.say("before", channel=DM)
    await world.inbox.next()
    assert beats(first)
    assert not beats(second), "standing by, not deaf"
    assert len(world.discord.identifies) == 1

    began = time.monotonic()
    first.leases.close()
    await world.discord.until(lambda: len(world.discord.identifies) == 2)
    await world.discord.until(lambda: world.discord.connected == 1)
    assert time.monotonic() - began < 4
    assert beats(second)
    assert not beats(first)
    assert not first.running.done()
    assert await first.chat.send(HERE, Part("the last word"), key="k") in world.discord.messages
    await world.discord.say("after", channel=DM)
    assert (await world.inbox.next()).text == "after"
    assert world.inbox.arrived.empty()


async def test_shards_spread_over_the_replicas_and_come_together_again(
    store: Store, world: World
) -> None:
    discord = world.discord
    discord.shards = 4
    timing = replace(QUICK, ask_shard=0.2, per_shard=0.3)
    first, second = (
        Replica(world, store, name, gateway_url=None, timing=timing) for name in ("a", "b")
    )
    await discord.until(lambda: discord.connected == 4, 15)
    assert sorted(one["shard"] for one in discord.identifies) == [[n, 4] for n in range(4)]
    first.running.cancel()
    await discord.until(lambda: len(discord.identifies) == 6, 15)
    await discord.until(lambda: discord.connected == 4, 15)
    assert len(discord.identifies) == 6, "each had two of them"
    assert beats(second)


async def test_the_shards_of_a_process_that_died_are_taken_over(store: Store, world: World) -> None:
    world.discord.shards = 3
    for shard in (0, 2):
        await store.write(leases.take, f"discord:shard:{BOT}:3:{shard}", "dead", 1.5)
    Replica(world, store, "alive", gateway_url=None)
    await world.discord.until(lambda: world.discord.connected == 1)
    assert world.discord.identifies[0]["shard"] == [1, 3]
    await world.discord.until(lambda: world.discord.connected == 3, 15)


async def test_a_wrong_token_is_told_by_every_process(store: Store, world: World) -> None:
    world.discord.token = "another"
    replica = Replica(world, store, "one")
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="DISCORD_BOT_TOKEN"):
            await replica.running


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_processes_identify_one_after_the_other_in_each_bucket(
    store: Store, world: World, concurrency: int
) -> None:
    discord = world.discord
    discord.shards, discord.concurrency = 6, concurrency
    timing = replace(QUICK, identify=0.4, identify_late=0.15)
    for name in ("a", "b", "c"):
        Replica(world, store, name, gateway_url=None, timing=timing)
    await discord.until(lambda: discord.connected == 6, 20)
    for bucket in range(concurrency):
        times = [
            at
            for at, one in zip(discord.identified, discord.identifies, strict=True)
            if one["shard"][0] % concurrency == bucket
        ]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) == 6 // concurrency - 1
        assert min(gaps) > 0.38
    took = max(discord.identified) - min(discord.identified)
    assert took < 6 // concurrency * 1.5, "no slower than it has to be"


async def test_a_dropped_connection_resumes_without_an_identify(store: Store, world: World) -> None:
    timing = replace(QUICK, identify=60, identify_late=1)
    Replica(world, store, "one", gateway_url=None, timing=timing)
    discord = world.discord
    await discord.until(lambda: discord.connected)
    asked = len(discord.made("GET", "/gateway/bot"))
    for times in (1, 2, 3):
        await discord.reconnect()
        await discord.until(partial(resumed, discord, times))
        await discord.until(lambda: discord.connected)
    assert len(discord.identifies) == 1
    assert len(discord.made("GET", "/gateway/bot")) == asked


async def test_the_last_sessions_of_the_day_are_not_begun(world: World) -> None:
    discord = world.discord
    discord.starts_left, discord.starts_again = 50, 0.3
    world.run(world.build(gateway_url=None))
    await discord.until(lambda: discord.made("GET", "/gateway/bot"))
    asked = discord.made("GET", "/gateway/bot")[0].at
    await discord.until(lambda: len(discord.made("GET", "/gateway/bot")) == 3)
    assert not discord.identifies
    assert asyncio.get_running_loop().time() - asked >= 0.6
    discord.starts_left = 1000
    await discord.until(lambda: discord.connected)


async def test_an_invalid_session_is_not_replaced_when_the_day_is_used_up(world: World) -> None:
    discord = world.discord
    await world.start(gateway_url=None)
    discord.starts_left, discord.starts_again = 3, 0.2
    asked = len(discord.made("GET", "/gateway/bot"))
    await discord.invalidate()
    await discord.until(lambda: len(discord.made("GET", "/gateway/bot")) >= asked + 3, 15)
    assert len(discord.identifies) == 1
    discord.starts_left = 1000
    await discord.until(lambda: discord.connected)
    assert len(discord.identifies) == 2
