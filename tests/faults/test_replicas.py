"""Three processes on PostgreSQL: killed, frozen beyond their leases, without their database."""

import asyncio
import random
from pathlib import Path

from core.turns.engine import LEASE_SECONDS
from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.report import RunReport
from tests.faults.simulated_users import MAX_RUN_SECONDS, QUESTIONS_PER_USER, SimulatedUsers
from tests.load_balancer import load_balancer
from tests.ports import free_port
from tests.postgresql import postgresql_url, restart_postgresql

REPLICAS = 3
REDELIVERY_RATE = 0.1  # of the messages are delivered twice
PAUSE_SECONDS = (1.0, 8.0)  # seconds between two faults in the long form
FREEZE_RATE = 0.2  # of the faults in the long form
KILLED = 0.5  # of the restarts in the long form
IN_TIME = 20.0  # seconds in which a process that is told to end is gone
RESTARTS = (0.33, 0.66)  # of all turns asked when the database restarts


class ReplicaFaults:
    def __init__(self, fleet: Fleet, crowd: SimulatedUsers, dice: random.Random) -> None:
        self._fleet, self._crowd, self._dice = fleet, crowd, dice
        self.freezes = self.restarts = 0

    async def kill(self) -> None:
        number = self._dice.randrange(REPLICAS)
        await self._fleet.kill(number)
        await self._fleet.start(number)

    async def freeze(self) -> None:
        number = self._dice.randrange(REPLICAS)
        self._fleet.freeze(number)
        self.freezes += 1
        await asyncio.sleep(self._dice.uniform(LEASE_SECONDS + 1, LEASE_SECONDS + 4))
        self._fleet.resume(number)

    async def restart(self) -> None:
        self.restarts += 1
        await asyncio.to_thread(restart_postgresql)

    async def run_briefly(self, living: "asyncio.Task[None]") -> None:
        for fault in (self.kill, self.restart, self.freeze):
            written = asyncio.create_task(self._crowd.wait_for_streams(2, MAX_RUN_SECONDS))
            await asyncio.wait({written, living}, return_when=asyncio.FIRST_COMPLETED)
            written.cancel()
            await asyncio.sleep(self._dice.uniform(0, 0.6))
            await self._fleet.restart_unavailable()
            await fault()

    async def run_during(self, living: "asyncio.Task[None]", turns: int) -> None:
        while not living.done():
            await asyncio.wait({living}, timeout=self._dice.uniform(*PAUSE_SECONDS))
            await self._fleet.restart_unavailable()
            asked = sum(len(asker.asked) for asker in self._crowd.users)
            if self.restarts < len(RESTARTS) and asked > turns * RESTARTS[self.restarts]:
                await self.restart()
            elif self._dice.random() < FREEZE_RATE:
                await self.freeze()
            else:
                await self.kill()


async def test_replicas_lose_and_repeat_nothing(chaos: ChaosOptions, tmp_path: Path) -> None:
    dice = chaos.rng
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turn_count(18),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90,
        )
        fleet = Fleet(made, tmp_path, REPLICAS, DATABASE_URL=postgresql_url())
        faults = ReplicaFaults(fleet, crowd, dice)
        try:
            await fleet.start_all()
            await crowd.warm_up()
            living = asyncio.create_task(crowd.run(redelivery_rate=REDELIVERY_RATE))
            if chaos.is_long:
                await faults.run_during(living, 2 * chaos.turns)
            else:
                await faults.run_briefly(living)
            await living
            await crowd.wait_for_answers()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    verdict.print_summary(
        "Three replicas, PostgreSQL",
        chaos.seed,
        freezes=faults.freezes,
        **{"restarts of the database": faults.restarts},
    )
    verdict.assert_sound()
    assert verdict.recovery_times or not chaos.is_long


async def test_webhook_replicas_lose_nothing_in_rolling_restarts(chaos: ChaosOptions, tmp_path: Path) -> None:
    """One process after the other is told to end and started anew, as an upgrade does it; in the
    long form many are killed.
    """
    dice = chaos.rng
    ports = [free_port() for _ in range(REPLICAS)]
    async with running_harness(tmp_path) as made, load_balancer(ports, "/hook") as url:
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turn_count(12, 0.5),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90,
        )
        fleet = Fleet(
            made,
            tmp_path,
            REPLICAS,
            DATABASE_URL=postgresql_url(),
            TELEGRAM_WEBHOOK_URL=url,
            environments=[{"TELEGRAM_WEBHOOK_LISTEN": f"127.0.0.1:{port}"} for port in ports],
        )
        exits: list[float] = []
        try:
            await fleet.start_all()
            await crowd.warm_up()
            living = asyncio.create_task(crowd.run(redelivery_rate=REDELIVERY_RATE))
            while not exits or (chaos.is_long and not living.done()):
                for number in range(REPLICAS):
                    if chaos.is_long and exits and dice.random() < KILLED:
                        await fleet.kill(number)
                    else:
                        exits.append(await fleet.terminate(number))
                    await fleet.start_listening(number)
                    await asyncio.wait({living}, timeout=dice.uniform(*PAUSE_SECONDS))
            await living
            await crowd.wait_for_answers()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    verdict.print_summary(
        "Three replicas behind a webhook, restarted in turn",
        chaos.seed,
        exits=len(exits),
        **{"slowest exit": f"{max(exits):.1f} s"},
    )
    verdict.assert_sound()
    assert max(exits) < IN_TIME
