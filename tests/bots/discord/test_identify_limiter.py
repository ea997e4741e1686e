"""IDENTIFYs: one at a time in each bucket, a limited number a day, none without a session."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from bots.discord.identify_limiter import DAY_SECONDS, MAX_IDENTIFIES_PER_DAY, IdentifyLimiter
from bots.discord.timings import DiscordTimings
from core.errors import StoreError, UnavailableError
from core.store.leases import Leases
from tests.clock import FakeClock

TIMINGS = DiscordTimings()
INTERVAL = TIMINGS.identify_interval + TIMINGS.identify_tolerance


class FakeLeases:
    """`results`: of the next attempts to reserve; True after them."""

    def __init__(self, *results: bool | StoreError) -> None:
        self.results = list(results)
        self.reserved: list[tuple[str, float]] = []

    async def try_reserve(self, name: str, seconds: float) -> bool:
        self.reserved.append((name, seconds))
        result = self.results.pop(0) if self.results else True
        if isinstance(result, StoreError):
            raise result
        return result


class Environment:
    def __init__(self, leases: FakeLeases | None = None) -> None:
        self.clock = FakeClock()
        self.session_waits: list[float] = []
        timings = replace(TIMINGS, clock=self.clock)
        self.limiter = IdentifyLimiter("1", self.session_wait, timings, cast("Leases | None", leases))
        self.reserved_at: dict[int, float] = {}

    async def session_wait(self) -> float:
        return self.session_waits.pop(0) if self.session_waits else 0.0

    async def reserve(self, *shards: int) -> dict[int, float]:
        """When each shard has its reservation, after a long time."""

        async def reserve_one(shard: int) -> None:
            await self.limiter.reserve(shard)
            self.reserved_at[shard] = self.clock.now

        async with asyncio.TaskGroup() as group:
            for shard in shards:
                group.create_task(reserve_one(shard))
            await self.clock.advance(100)
        return self.reserved_at


async def test_shards_of_one_bucket_follow_each_other() -> None:
    env = Environment()
    assert await env.reserve(0, 1, 2) == {0: 0, 1: INTERVAL, 2: 2 * INTERVAL}


async def test_shards_of_different_buckets_do_not_wait() -> None:
    env = Environment()
    env.limiter.concurrency = 2
    assert await env.reserve(0, 1, 2) == {0: 0, 1: 0, 2: INTERVAL}


async def test_processes_share_the_buckets() -> None:
    leases = FakeLeases(False, StoreError("The disk is full."), True)
    env = Environment(leases)
    env.limiter.concurrency = 16
    assert await env.reserve(17) == {17: 2 * TIMINGS.identify_retry_interval}
    assert leases.reserved == [("discord:identify:1:1", INTERVAL)] * 3


async def test_identify_without_reservation_uses_the_bucket_of_its_shard() -> None:
    leases = FakeLeases()
    env = Environment(leases)
    env.limiter.concurrency = 16
    await env.limiter.consume(18)
    assert leases.reserved == [("discord:identify:1:2", INTERVAL)]


async def test_shard_waits_for_a_session() -> None:
    env = Environment()
    env.session_waits = [30.0, 19.5, 0.5]
    reserving = asyncio.create_task(env.limiter.reserve(0))
    is_waiting = []
    for seconds in (0.0, 49.0, 0.75, 0.25):
        await env.clock.advance(seconds)
        is_waiting.append(env.limiter.is_waiting_for_sessions)
    await reserving
    assert is_waiting == [True, True, True, False]


async def test_shard_that_is_cancelled_no_longer_waits() -> None:
    env = Environment()
    env.session_waits = [30.0]
    reserving = asyncio.create_task(env.limiter.reserve(0))
    await env.clock.settle()
    assert env.limiter.is_waiting_for_sessions
    reserving.cancel()
    await asyncio.wait({reserving})
    assert not env.limiter.is_waiting_for_sessions


async def test_reservation_is_used_once_and_only_while_it_is_fresh() -> None:
    leases = FakeLeases()
    env = Environment(leases)
    await env.reserve(0)
    await env.limiter.reserve(0)
    await env.clock.advance(TIMINGS.identify_tolerance)
    await env.limiter.consume(0)
    assert len(leases.reserved) == 2, "the reservation was still valid"
    consuming = asyncio.create_task(env.limiter.consume(0))
    await env.clock.advance(INTERVAL)
    await consuming
    assert len(leases.reserved) == 3, "there was none"


async def test_outdated_reservation_is_made_again() -> None:
    leases = FakeLeases()
    env = Environment(leases)
    await env.limiter.reserve(0)
    await env.clock.advance(TIMINGS.identify_tolerance + 0.1)
    consuming = asyncio.create_task(env.limiter.consume(0))
    await env.clock.advance(INTERVAL)
    await consuming
    assert len(leases.reserved) == 2


@pytest.mark.parametrize("wait", [0.0, 0.1])
async def test_no_session_is_used_that_discord_does_not_allow(wait: float) -> None:
    env = Environment()
    env.session_waits = [wait]
    if wait:
        with pytest.raises(UnavailableError):
            await env.limiter.consume(0)
    else:
        await env.limiter.consume(0)


async def test_sessions_of_a_day_are_limited() -> None:
    env = Environment()
    for _ in range(MAX_IDENTIFIES_PER_DAY):
        env.limiter._reserved_at[0] = env.clock.now
        await env.limiter.consume(0)
        await env.clock.advance(1)
    for use in (env.limiter.reserve, env.limiter.consume):
        with pytest.raises(UnavailableError):
            await use(0)
    await env.clock.advance(DAY_SECONDS - MAX_IDENTIFIES_PER_DAY)
    await env.limiter.reserve(0)
    await env.limiter.consume(0)
    with pytest.raises(UnavailableError):
        await env.limiter.reserve(0)
