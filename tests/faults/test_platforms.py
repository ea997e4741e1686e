"""Calls to the platforms that fail at random, and models that do."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.end_to_end.world import world
from tests.faults.conftest import Chaos
from tests.faults.crowd import EACH, Crowd
from tests.faults.fleet import Fleet
from tests.faults.trouble import Trouble
from tests.faults.verdict import Verdict

pytestmark = pytest.mark.skipif(
    "CHAOS_TURNS" not in os.environ, reason="takes minutes on a busy machine: make chaos"
)

STALL = "2"  # seconds after which a model that does not go on is given up
SPOILT = 0.15  # of the requests to the model
MORE = 1.5, 0.5  # times and seconds by which a median may differ by accident


def trouble(chaos: Chaos, dice: random.Random) -> Trouble:
    return Trouble(dice, (1, 40) if chaos.long else (1, 2), 6 if chaos.long else 1.5)


async def test_every_answer_is_whole_or_its_failure_is_told(chaos: Chaos, tmp_path: Path) -> None:
    dice = chaos.dice
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, dice, chaos.sized(20),
            each=EACH if chaos.long else 4, patience=400 if chaos.long else 60,
        )  # fmt: skip
        crowd.questions.spoil = SPOILT
        fleet = Fleet(made, tmp_path, PARLEY_STALL_TIMEOUT=STALL)
        bad = trouble(chaos, dice)
        try:
            await fleet.start_all()
            bad.begin(made)
            await crowd.live()
            await crowd.settle()
            bad.end(made)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    verdict.show(
        "Everything fails at random", chaos.seed,
        **{"failed calls": bad.ordered, "sent inside a retry_after": len(bad.early())},
        **{"median delay": f"{crowd.delay(crowd.askers):.1f} s"},
    )  # fmt: skip
    verdict.sound(told=True)
    assert bad.early() == []


async def test_other_places_do_not_wait_for_those_in_trouble(chaos: Chaos, tmp_path: Path) -> None:
    medians = []
    for failing in (False, True):
        dice = chaos.dice
        folder = tmp_path / str(failing)
        folder.mkdir()
        async with world(folder) as made:
            crowd = Crowd(
                made, dice, chaos.sized(24, 0.25),
                at_once=1000, each=10 if chaos.long else 3, bursts=(1,), groups=False,
                patience=200 if chaos.long else 60,
            )  # fmt: skip
            lucky, unlucky = crowd.askers[::2], crowd.askers[1::2]
            fleet = Fleet(made, folder)
            bad = trouble(chaos, dice)
            bad.chats = {asker.room.chat for asker in unlucky}
            try:
                await fleet.start_all()
                if failing:
                    bad.begin(made)
                await crowd.live()
                await asyncio.gather(*(asker.settle() for asker in crowd.askers))
            finally:
                await fleet.close()
            medians.append(crowd.delay(lucky))
            verdict = Verdict(crowd, fleet)
            verdict.show(
                "Half of the places in trouble" if failing else "Without faults", chaos.seed,
                **{"failed calls": bad.ordered, "sent inside a retry_after": len(bad.early())},
                **{"median delay of the others": f"{medians[-1]:.2f} s"},
                **{"median delay of those in trouble": f"{crowd.delay(unlucky):.2f} s"},
            )  # fmt: skip
            verdict.sound(told=True)
            assert bad.early() == []
    times, seconds = MORE
    assert medians[1] < medians[0] * times + seconds
