"""One process on SQLite, killed at any instant and started again at once."""

import asyncio
from pathlib import Path

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.report import RunReport
from tests.faults.simulated_users import QUESTIONS_PER_USER, SimulatedUsers

KILLS = 3  # in the short form
LIVES = (1.0, 15.0)  # seconds a process gets in the long form
INTERRUPTED = 2  # answers under way at a kill in the short form


async def test_kill_loses_and_repeats_nothing(chaos: ChaosOptions, tmp_path: Path) -> None:
    dice = chaos.rng
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turns,
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90 if chaos.is_long else 25,
        )
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            await crowd.warm_up()
            living = asyncio.create_task(crowd.run())
            while not living.done() and (chaos.is_long or len(fleet.kill_times) < KILLS):
                if chaos.is_long:
                    await asyncio.wait({living}, timeout=dice.uniform(*LIVES))
                else:
                    await crowd.wait_for_streams(INTERRUPTED)
                    await asyncio.sleep(dice.uniform(0, 0.6))
                await fleet.kill()
                await fleet.start()
            await living
            await crowd.wait_for_answers()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    verdict.print_summary("One process killed, SQLite", chaos.seed)
    verdict.assert_sound()
    assert verdict.recovery_times
