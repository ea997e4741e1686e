"""One process on SQLite, killed at random moments and restarted at once."""

import asyncio
from pathlib import Path

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.population import QUESTIONS_PER_USER, Population
from tests.faults.report import RunReport

KILLS = 3  # in the short form
UPTIME_SECONDS = (1.0, 15.0)  # in the long form
STREAMING_ANSWERS = 2  # at each kill in the short form


async def test_kill_loses_and_repeats_nothing(chaos: ChaosOptions, tmp_path: Path) -> None:
    rng = chaos.rng
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            rng,
            chaos.turns,
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=90,
        )
        fleet = Fleet(harness, tmp_path)
        try:
            await fleet.start_all()
            await population.warm_up()
            if not chaos.is_long:
                population.hold_last_answers()
            asking = asyncio.create_task(population.run())
            while not asking.done() and (chaos.is_long or len(fleet.kill_times) < KILLS):
                if chaos.is_long:
                    await asyncio.wait({asking}, timeout=rng.uniform(*UPTIME_SECONDS))
                else:
                    await population.wait_for_streams(STREAMING_ANSWERS)
                    await asyncio.sleep(rng.uniform(0, 0.6))
                await fleet.kill()
                await fleet.start()
            population.questions.release()
            await asking
            await population.wait_for_answers()
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    report.print_summary("One process killed, SQLite", chaos.seed)
    report.assert_sound()
    assert chaos.is_long or report.kill_count == KILLS
    assert report.recovery_times
