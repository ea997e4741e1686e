"""One process on SQLite, killed at any instant and started again at once."""

import asyncio
from pathlib import Path

from tests.end_to_end.world import world
from tests.faults.conftest import Chaos
from tests.faults.crowd import EACH, Crowd
from tests.faults.fleet import Fleet
from tests.faults.verdict import Verdict

KILLS = 3  # in the short form
LIVES = (1.0, 15.0)  # seconds a process gets in the long form
INTERRUPTED = 2  # answers under way at a kill in the short form


async def test_kill_at_any_instant_loses_nothing_and_repeats_nothing(
    chaos: Chaos, tmp_path: Path
) -> None:
    dice = chaos.dice
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, dice, chaos.turns,
            each=EACH if chaos.long else 3, patience=90 if chaos.long else 25,
        )  # fmt: skip
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            await crowd.greet()
            living = asyncio.create_task(crowd.live())
            while not living.done() and (chaos.long or len(fleet.kills) < KILLS):
                if chaos.long:
                    await asyncio.wait({living}, timeout=dice.uniform(*LIVES))
                else:
                    await crowd.written(INTERRUPTED)
                    await asyncio.sleep(dice.uniform(0, 0.6))
                await fleet.kill()
                await fleet.start()
            await living
            await crowd.settle()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    verdict.show("One process killed, SQLite", chaos.seed)
    verdict.sound()
    assert verdict.recoveries
