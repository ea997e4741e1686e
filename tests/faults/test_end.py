"""Told to end (SIGTERM) while many answers are being written."""

import asyncio
from pathlib import Path

from tests.end_to_end.world import world
from tests.faults.conftest import Chaos
from tests.faults.crowd import Crowd
from tests.faults.fleet import Fleet
from tests.faults.verdict import Verdict

RUNNING = 50  # answers in mid-stream, on both platforms together
ROUNDS = 10  # in the long form
IN_TIME = 20.0  # seconds
SLOW, QUICK = 14.0, 0.5  # times as long as answers take otherwise: 4 to 28 s, 0.1 to 1 s


async def test_the_end_comes_in_time_and_every_answer_after_it(
    chaos: Chaos, tmp_path: Path
) -> None:
    rounds = ROUNDS if chaos.long else 1
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, chaos.dice, rounds * RUNNING // 2,
            at_once=RUNNING, each=rounds, groups=False, patience=120 if chaos.long else 40,
        )  # fmt: skip
        crowd.questions.pace = SLOW
        fleet = Fleet(made, tmp_path)
        exits: list[float] = []
        try:
            await fleet.start_all()
            living = asyncio.create_task(crowd.live())
            for _ in range(rounds):
                await crowd.written(RUNNING if not exits else RUNNING // 2, 60)
                exits.append(await fleet.end())
                await fleet.start_all()
            crowd.questions.pace = QUICK
            await living
            await crowd.settle()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    handed = sum(not r.completed for r in made.model.requests)
    verdict.show(
        "Told to end in mid-stream", chaos.seed,
        exits=", ".join(f"{seconds:.1f} s" for seconds in exits), **{"handed over": handed},
    )  # fmt: skip
    verdict.sound()
    assert max(exits) < IN_TIME
    assert handed > 0
