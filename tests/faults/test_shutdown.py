"""SIGTERM while many answers are streaming."""

import asyncio
from pathlib import Path

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.population import Population
from tests.faults.report import RunReport

STREAMING_ANSWERS = 50  # on both platforms together
ROUNDS = 10  # in the long form
MAX_EXIT_SECONDS = 20.0
SLOW_FACTOR, FAST_FACTOR = 28.0, 0.5  # the second half of an answer takes 4 to 28 s, at the end 0.1 to 0.5 s


async def test_sigterm_is_prompt_and_answers_resume(chaos: ChaosOptions, tmp_path: Path) -> None:
    rounds = ROUNDS if chaos.is_long else 1
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            chaos.rng,
            rounds * STREAMING_ANSWERS // 2,
            max_concurrent=STREAMING_ANSWERS,
            questions_per_user=rounds,
            groups=False,
            answer_timeout=120 if chaos.is_long else 90,
        )
        questions = population.questions
        questions.slowdown = SLOW_FACTOR
        fleet = Fleet(harness, tmp_path)
        exits: list[float] = []
        try:
            await fleet.start_all()
            questions.hold(questions.by_id.values())  # or the first answers end before the last ones begin
            asking = asyncio.create_task(population.run())
            for remaining in reversed(range(rounds)):
                await population.wait_for_streams(STREAMING_ANSWERS if not exits else STREAMING_ANSWERS // 2)
                questions.release()
                exits.append(await fleet.terminate())
                if remaining:
                    questions.hold(questions.by_id.values())
                else:
                    questions.slowdown = FAST_FACTOR
                await fleet.start_all()
            await asking
            await population.wait_for_answers()
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    interrupted = sum(not r.is_completed for r in harness.model.requests)
    report.print_summary(
        "SIGTERM while streaming",
        chaos.seed,
        exits=", ".join(f"{seconds:.1f} s" for seconds in exits),
        **{"handed over": interrupted},
    )
    report.assert_sound()
    assert max(exits) < MAX_EXIT_SECONDS
    assert interrupted > 0
