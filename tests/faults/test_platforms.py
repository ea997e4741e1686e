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
from tests.faults.judge import Fate
from tests.faults.trouble import Trouble
from tests.faults.verdict import Verdict

STALL = "2"  # seconds after which a model that does not go on is given up
SPOILT = 0.15  # of the requests to the model
MORE = 1.5, 0.5  # times and seconds by which a median may differ by accident

FOR_EVER = 600.0, 600.0  # seconds: longer than a test
BUSY = 1.0  # seconds in which a call may be under way on a machine that has other things to do


def trouble(chaos: Chaos, dice: random.Random) -> Trouble:
    if chaos.long:
        return Trouble(dice, (1, 40), 6)
    return Trouble(dice, (2, 3), 1.5, in_flight=BUSY)


async def test_every_answer_is_whole_or_its_failure_is_told(chaos: Chaos, tmp_path: Path) -> None:
    dice = chaos.dice
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, dice, chaos.sized(12),
            each=EACH if chaos.long else 3, patience=400 if chaos.long else 90,
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
            await fleet.idle(crowd.patience)
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


async def test_places_that_must_wait_hold_up_no_other(chaos: Chaos, tmp_path: Path) -> None:
    """Half of them are told to wait for longer than anybody does here."""
    dice = chaos.dice
    async with world(tmp_path) as made:
        crowd = Crowd(made, dice, chaos.sized(8, 0.05), each=2, groups=False, patience=90)
        lucky, unlucky = crowd.askers[::2], crowd.askers[1::2]
        chats = {asker.room.chat for asker in unlucky}
        bad = Trouble(dice, FOR_EVER, 0, chats=chats, kinds=("429",), each=1.0, in_flight=BUSY)
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            bad.begin(made)
            waiting = [asyncio.create_task(asker.live(dice, 0.0, 1)) for asker in unlucky]
            async with asyncio.timeout(90):
                while bad.told() < chats:
                    await asyncio.sleep(0.05)
            await crowd.live(askers=lucky)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        finally:
            await fleet.close()
        left = {fate for asker in unlucky for fate in asker.judged().fates.values()}
        crowd.askers = lucky
        verdict = Verdict(crowd, fleet)
    verdict.show("Half of the places told to wait", chaos.seed, refusals=bad.ordered)
    verdict.sound()
    assert left == {Fate.LOST}, "nothing could be sent there"
    assert bad.early() == []


@pytest.mark.skipif(
    "CHAOS_TURNS" not in os.environ, reason="compares delays: the test above does not"
)
async def test_other_places_do_not_wait_for_those_in_trouble(chaos: Chaos, tmp_path: Path) -> None:
    medians = []
    for failing in (False, True):
        dice = chaos.dice
        folder = tmp_path / str(failing)
        folder.mkdir()
        async with world(folder) as made:
            crowd = Crowd(
                made, dice, chaos.sized(24, 0.25),
                at_once=1000, each=10, bursts=(1,), groups=False, patience=200,
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
                await crowd.settle()
                bad.end(made)
                await fleet.idle(crowd.patience)
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
