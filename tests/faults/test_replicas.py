"""Three processes on PostgreSQL: killed, frozen beyond their leases, cut off from the database."""

import asyncio
import random
from pathlib import Path

from core.timings import Timings
from tests.end_to_end.harness import READY_SECONDS, running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.population import QUESTIONS_PER_USER, Population
from tests.faults.report import RunReport
from tests.load_balancer import load_balancer
from tests.ports import free_port
from tests.postgresql import empty_postgresql_url, restart_postgresql
from tests.waiting import wait_until

REPLICAS = 3
REDELIVERY_RATE = 0.1
PAUSE_SECONDS = (1.0, 8.0)  # between two faults in the long form
FREEZE_RATE = 0.2  # share of the faults in the long form
KILL_RATE = 0.5  # share of the restarts in the long form
MAX_EXIT_SECONDS = 20.0
RESTART_POINTS = (0.33, 0.66)  # shares of the turns after which the database restarts


class ReplicaFaults:
    def __init__(self, fleet: Fleet, population: Population, rng: random.Random) -> None:
        self._fleet, self._population, self._rng = fleet, population, rng
        self.freezes = self.restarts = 0

    async def kill(self) -> None:
        number = await self._running_process()
        await self._fleet.kill(number)
        await self._fleet.start(number)

    async def freeze(self) -> None:
        number = await self._running_process()
        self._fleet.freeze(number)
        self.freezes += 1
        await asyncio.sleep(Timings().lease_duration + self._rng.uniform(1, 4))
        self._fleet.resume(number)

    async def restart(self) -> None:
        self.restarts += 1
        await asyncio.to_thread(restart_postgresql)

    async def _running_process(self) -> int:
        """One of those that run; after a restart of the database, it may take a moment until there is one."""
        await wait_until(lambda: bool(self._fleet.running()), READY_SECONDS)
        return self._rng.choice(self._fleet.running())

    async def run_briefly(self) -> None:
        for fault in (self.kill, self.restart, self.freeze):
            await self._population.wait_for_streams(2)
            await asyncio.sleep(self._rng.uniform(0, 0.6))
            await fault()

    async def run_during(self, asking: "asyncio.Task[None]", turns: int) -> None:
        while not asking.done():
            await asyncio.wait({asking}, timeout=self._rng.uniform(*PAUSE_SECONDS))
            asked = sum(len(user.asked) for user in self._population.users)
            if self.restarts < len(RESTART_POINTS) and asked > turns * RESTART_POINTS[self.restarts]:
                await self.restart()
            elif self._rng.random() < FREEZE_RATE:
                await self.freeze()
            else:
                await self.kill()


async def test_replicas_lose_and_repeat_nothing(chaos: ChaosOptions, tmp_path: Path) -> None:
    rng = chaos.rng
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            rng,
            chaos.turn_count(18),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90,
        )
        fleet = Fleet(harness, tmp_path, REPLICAS, restarts_unavailable=True, DATABASE_URL=empty_postgresql_url())
        faults = ReplicaFaults(fleet, population, rng)
        try:
            await fleet.start_all()
            await population.warm_up()
            if not chaos.is_long:
                population.hold_last_answers()
            asking = asyncio.create_task(population.run(redelivery_rate=REDELIVERY_RATE))
            if chaos.is_long:
                await faults.run_during(asking, 2 * chaos.turns)
            else:
                await faults.run_briefly()
            population.questions.release()
            await asking
            await population.wait_for_answers()
            await fleet.wait_until_idle(population.answer_timeout)
            await fleet.wait_until_running()
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    report.print_summary(
        "Three replicas, PostgreSQL",
        chaos.seed,
        freezes=faults.freezes,
        **{"database restarts": faults.restarts},
    )
    report.assert_sound()
    assert report.recovery_times or not chaos.is_long


async def test_webhook_replicas_lose_nothing_in_rolling_restarts(chaos: ChaosOptions, tmp_path: Path) -> None:
    """Processes are restarted one after the other, as in an update; in the long form, half of them are killed."""
    rng = chaos.rng
    ports = [free_port() for _ in range(REPLICAS)]
    async with running_harness(tmp_path) as harness, load_balancer(ports, "/hook") as url:
        population = Population(
            harness,
            rng,
            chaos.turn_count(12, 0.5),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90,
        )
        fleet = Fleet(
            harness,
            tmp_path,
            REPLICAS,
            DATABASE_URL=empty_postgresql_url(),
            TELEGRAM_WEBHOOK_URL=url,
            environments=[{"TELEGRAM_WEBHOOK_LISTEN": f"127.0.0.1:{port}"} for port in ports],
        )
        exits: list[float] = []
        try:
            await fleet.start_all()
            await population.warm_up()
            asking = asyncio.create_task(population.run(redelivery_rate=REDELIVERY_RATE))
            while not exits or (chaos.is_long and not asking.done()):
                for number in range(REPLICAS):
                    if chaos.is_long and exits and rng.random() < KILL_RATE:
                        await fleet.kill(number)
                    else:
                        exits.append(await fleet.terminate(number))
                    await fleet.start_listening(number)
                    await asyncio.wait({asking}, timeout=rng.uniform(*PAUSE_SECONDS))
            await asking
            await population.wait_for_answers()
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    report.print_summary(
        "Three replicas behind a webhook, rolling restarts",
        chaos.seed,
        exits=len(exits),
        **{"slowest exit": f"{max(exits):.1f} s"},
    )
    report.assert_sound()
    assert max(exits) < MAX_EXIT_SECONDS
