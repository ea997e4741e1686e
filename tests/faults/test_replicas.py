"""Three processes on PostgreSQL: killed, frozen beyond their leases, without their database."""

import asyncio
import random
from pathlib import Path

from core.turns.engine import LEASE
from tests.balancer import balanced
from tests.databases import postgresql_url, restart_postgresql
from tests.end_to_end.world import world
from tests.faults.conftest import Chaos
from tests.faults.crowd import EACH, LONGEST, Crowd
from tests.faults.fleet import Fleet
from tests.faults.verdict import Verdict
from tests.ports import free_port

REPLICAS = 3
AGAIN = 0.1  # of the messages are delivered twice
CALM = (1.0, 8.0)  # seconds between two faults in the long form
FREEZES = 0.2  # of the faults in the long form
KILLED = 0.5  # of the restarts in the long form
IN_TIME = 20.0  # seconds in which a process that is told to end is gone
RESTARTS = (0.33, 0.66)  # of all turns asked when the database restarts


class Troublemaker:
    def __init__(self, fleet: Fleet, crowd: Crowd, dice: random.Random) -> None:
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
        await asyncio.sleep(self._dice.uniform(LEASE + 1, LEASE + 4))
        self._fleet.thaw(number)

    async def restart(self) -> None:
        self.restarts += 1
        await asyncio.to_thread(restart_postgresql)

    async def briefly(self, living: "asyncio.Task[None]") -> None:
        for fault in (self.kill, self.restart, self.freeze):
            written = asyncio.create_task(self._crowd.written(2, LONGEST))
            await asyncio.wait({written, living}, return_when=asyncio.FIRST_COMPLETED)
            written.cancel()
            await asyncio.sleep(self._dice.uniform(0, 0.6))
            await self._fleet.revive()
            await fault()

    async def while_(self, living: "asyncio.Task[None]", turns: int) -> None:
        while not living.done():
            await asyncio.wait({living}, timeout=self._dice.uniform(*CALM))
            await self._fleet.revive()
            asked = sum(len(asker.asked) for asker in self._crowd.askers)
            if self.restarts < len(RESTARTS) and asked > turns * RESTARTS[self.restarts]:
                await self.restart()
            elif self._dice.random() < FREEZES:
                await self.freeze()
            else:
                await self.kill()


async def test_replicas_lose_nothing_and_repeat_nothing(chaos: Chaos, tmp_path: Path) -> None:
    dice = chaos.dice
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, dice, chaos.sized(18),
            each=EACH if chaos.long else 3, patience=90,
        )  # fmt: skip
        fleet = Fleet(made, tmp_path, REPLICAS, DATABASE_URL=postgresql_url())
        faults = Troublemaker(fleet, crowd, dice)
        try:
            await fleet.start_all()
            await crowd.greet()
            living = asyncio.create_task(crowd.live(again=AGAIN))
            if chaos.long:
                await faults.while_(living, 2 * chaos.turns)
            else:
                await faults.briefly(living)
            await living
            await crowd.settle()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    verdict.show(
        "Three replicas, PostgreSQL", chaos.seed,
        freezes=faults.freezes, **{"restarts of the database": faults.restarts},
    )  # fmt: skip
    verdict.sound()
    assert verdict.recoveries or not chaos.long


async def test_replicas_behind_a_webhook_lose_and_repeat_nothing_in_rolling_restarts(
    chaos: Chaos, tmp_path: Path
) -> None:
    """One process after the other is told to end and started anew, as an upgrade does it; in the
    long form many are killed.
    """
    dice = chaos.dice
    ports = [free_port() for _ in range(REPLICAS)]
    async with world(tmp_path) as made, balanced(ports, "/hook") as url:
        crowd = Crowd(
            made, dice, chaos.sized(12, 0.5),
            each=EACH if chaos.long else 3, patience=90,
        )  # fmt: skip
        fleet = Fleet(
            made, tmp_path, REPLICAS, DATABASE_URL=postgresql_url(), TELEGRAM_WEBHOOK_URL=url,
            each=[{"TELEGRAM_WEBHOOK_LISTEN": f"127.0.0.1:{port}"} for port in ports],
        )  # fmt: skip
        exits: list[float] = []
        try:
            await fleet.start_all()
            await crowd.greet()
            living = asyncio.create_task(crowd.live(again=AGAIN))
            while not exits or (chaos.long and not living.done()):
                for number in range(REPLICAS):
                    if chaos.long and exits and dice.random() < KILLED:
                        await fleet.kill(number)
                    else:
                        exits.append(await fleet.end(number))
                    await fleet.listening(number)
                    await asyncio.wait({living}, timeout=dice.uniform(*CALM))
            await living
            await crowd.settle()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    verdict.show(
        "Three replicas behind a webhook, restarted in turn", chaos.seed,
        exits=len(exits), **{"slowest exit": f"{max(exits):.1f} s"},
    )  # fmt: skip
    verdict.sound()
    assert max(exits) < IN_TIME
