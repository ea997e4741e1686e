"""Each process claims shards the more slowly, the more it has."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from bots.discord.shard_allocator import MAX_DELAYING_SHARDS, Shard, ShardAllocator
from bots.discord.timings import DiscordTimings
from core.errors import StoreError
from core.port import Place
from core.store.leases import Leases
from tests.clock import FakeClock

TIMINGS = DiscordTimings()
FIRST, MORE = TIMINGS.shard_claim_interval, TIMINGS.extra_interval_per_shard


@pytest.mark.parametrize(
    ("place", "count", "number"),
    [
        (Place("discord", "1", "5", is_private=True), 3, 0),
        (Place("discord", "1", "5"), 3, None),
        (Place("discord", "1", "5", server=str(4 << 22)), 3, 1),
        (Place("discord", "1", "5", server=str((5 << 22) + 4_194_303)), 3, 2),
        (Place("discord", "1", "5", server=str(5 << 22)), 4, 1),
        (Place("discord", "1", "5", server=str(5 << 22)), 1, 0),
    ],
)
def test_place_belongs_to_one_shard(place: Place, count: int, number: int | None) -> None:
    serving = [shard for shard in range(count) if Shard(shard, count).serves(place)]
    assert serving == ([] if number is None else [number])


class FakeLeases:
    """`taken`: leases of other processes. `is_failing`: the database is away."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.taken: set[str] = set()
        self.is_failing = False
        self.attempts = 0
        self.claimed_at: dict[str, float] = {}

    async def try_acquire(self, name: str, seconds: float) -> bool:
        assert seconds == TIMINGS.shard_claim_lease
        self.attempts += 1
        if self.is_failing:
            raise StoreError("The disk is full.")
        if name in self.taken:
            return False
        assert name not in self.claimed_at, "a shard is claimed once"
        self.claimed_at[name] = self.clock.now
        return True

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        assert name in self.claimed_at
        await work()


class Environment:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = FakeLeases(self.clock)
        self.served: list[Shard] = []
        self.standby_count = 0

    async def serve_shard(self, shard: Shard) -> None:
        self.served.append(shard)
        await asyncio.Event().wait()

    def on_standby(self) -> None:
        self.standby_count += 1

    @asynccontextmanager
    async def running(self, shard_count: int) -> AsyncIterator[None]:
        allocator = ShardAllocator(
            cast("Leases", self.leases), "1", self.serve_shard, self.on_standby, replace(TIMINGS, clock=self.clock)
        )
        task = asyncio.create_task(allocator.run(shard_count))
        await self.clock.settle()
        yield
        task.cancel()
        await asyncio.wait({task})


async def test_claims_become_slower_up_to_a_limit() -> None:
    env = Environment()
    count = MAX_DELAYING_SHARDS + 3
    async with env.running(count):
        await env.clock.advance(100)
    times = list(env.leases.claimed_at.values())
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    delaying = [*range(1, MAX_DELAYING_SHARDS + 1), MAX_DELAYING_SHARDS, MAX_DELAYING_SHARDS]
    assert times[0] == 0
    assert intervals == [FIRST + MORE * shards for shards in delaying]
    assert {(shard.number, shard.count) for shard in env.served} == {(number, count) for number in range(count)}
    assert set(env.leases.claimed_at) == {f"discord:shard:1:{count}:{number}" for number in range(count)}
    assert env.standby_count == 0


async def test_process_without_shards_stands_by_until_one_is_free() -> None:
    env = Environment()
    env.leases.taken = {"discord:shard:1:2:0", "discord:shard:1:2:1"}
    async with env.running(2):
        await env.clock.advance(3 * FIRST)
        assert (env.standby_count, env.served) == (1, [])
        assert env.leases.attempts == 2 * 4, "both, each second"
        env.leases.taken = {"discord:shard:1:2:0"}
        await env.clock.advance(FIRST)
        assert env.served == [Shard(1, 2)]
        env.leases.taken = set()
        await env.clock.advance(FIRST + MORE)
        assert env.served == [Shard(1, 2), Shard(0, 2)]
        attempts = env.leases.attempts
        await env.clock.advance(100)
        assert env.leases.attempts == attempts, "nothing is left to claim"
    assert env.standby_count == 1


async def test_process_that_has_a_shard_does_not_stand_by() -> None:
    env = Environment()
    env.leases.taken = {"discord:shard:1:2:0"}
    async with env.running(2):
        await env.clock.advance(10)
    assert (env.served, env.standby_count) == ([Shard(1, 2)], 0)


async def test_claims_go_on_when_the_database_is_back() -> None:
    env = Environment()
    env.leases.is_failing = True
    async with env.running(2):
        assert env.leases.attempts == 1, "the other shard would fail, too"
        env.leases.is_failing = False
        await env.clock.advance(FIRST)
        assert len(env.served) == 1
