"""Told to end (SIGTERM) while many answers are being written."""

import asyncio
from pathlib import Path

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.report import RunReport
from tests.faults.simulated_users import SimulatedUsers

STREAMING_ANSWERS = 50  # answers in mid-stream, on both platforms together
ROUNDS = 10  # in the long form
MAX_EXIT_SECONDS = 20.0  # seconds
SLOW_FACTOR, FAST_FACTOR = (
    14.0,
    0.5,
)  # times as long as answers take otherwise: 4 to 28 s, 0.1 to 1 s


async def test_sigterm_is_prompt_and_answers_resume(chaos: ChaosOptions, tmp_path: Path) -> None:
    rounds = ROUNDS if chaos.is_long else 1
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            chaos.rng,
            rounds * STREAMING_ANSWERS // 2,
            max_concurrent=STREAMING_ANSWERS,
            questions_per_user=rounds,
            groups=False,
            answer_timeout=120 if chaos.is_long else 40,
        )
        crowd.questions.slowdown = SLOW_FACTOR
        fleet = Fleet(made, tmp_path)
        exits: list[float] = []
        try:
            await fleet.start_all()
            living = asyncio.create_task(crowd.run())
            for _ in range(rounds):
                await crowd.wait_for_streams(STREAMING_ANSWERS if not exits else STREAMING_ANSWERS // 2, 60)
                exits.append(await fleet.terminate())
                await fleet.start_all()
            crowd.questions.slowdown = FAST_FACTOR
            await living
            await crowd.wait_for_answers()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    handed = sum(not r.is_completed for r in made.model.requests)
    verdict.print_summary(
        "Told to end in mid-stream",
        chaos.seed,
        exits=", ".join(f"{seconds:.1f} s" for seconds in exits),
        **{"handed over": handed},
    )
    verdict.assert_sound()
    assert max(exits) < MAX_EXIT_SECONDS
    assert handed > 0
