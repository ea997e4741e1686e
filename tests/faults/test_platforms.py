"""Calls to the platforms that fail at random, and models that do."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fault_injection import FaultInjector
from tests.faults.fleet import Fleet
from tests.faults.outcomes import Outcome
from tests.faults.report import RunReport
from tests.faults.simulated_users import QUESTIONS_PER_USER, SimulatedUsers

STALL = "2"  # seconds after which a model that does not go on is given up
SPOILT = 0.15  # of the requests to the model
MORE = 1.5, 0.5  # times and seconds by which a median may differ by accident

FOR_EVER = 600.0, 600.0  # seconds: longer than a test
BUSY = 1.0  # seconds in which a call may be under way on a machine that has other things to do


def random_faults(chaos: ChaosOptions, rng: random.Random) -> FaultInjector:
    if chaos.is_long:
        return FaultInjector(rng, (1, 40), 6)
    return FaultInjector(rng, (2, 3), 1.5, in_flight_seconds=BUSY)


async def test_answers_are_complete_or_failures_reported(chaos: ChaosOptions, tmp_path: Path) -> None:
    dice = chaos.rng
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turn_count(12),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=400 if chaos.is_long else 90,
        )
        crowd.questions.fault_rate = SPOILT
        fleet = Fleet(made, tmp_path, PARLEY_STALL_TIMEOUT=STALL)
        bad = random_faults(chaos, dice)
        try:
            await fleet.start_all()
            bad.start(made)
            await crowd.run()
            await crowd.wait_for_answers()
            bad.stop(made)
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    verdict.print_summary(
        "Everything fails at random",
        chaos.seed,
        **{"failed calls": bad.injected_count, "sent inside a retry_after": len(bad.early_sends())},
        **{"median delay": f"{crowd.median_latency(crowd.users):.1f} s"},
    )
    verdict.assert_sound(allow_notices=True)
    assert bad.early_sends() == []


async def test_rate_limited_chats_delay_no_other(chaos: ChaosOptions, tmp_path: Path) -> None:
    """Half of them are told to wait for longer than anybody does here."""
    dice = chaos.rng
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turn_count(8, 0.05),
            questions_per_user=2,
            groups=False,
            answer_timeout=90,
        )
        lucky, unlucky = crowd.users[::2], crowd.users[1::2]
        chats = {asker.client.chat for asker in unlucky}
        bad = FaultInjector(
            dice,
            FOR_EVER,
            0,
            chats=chats,
            kinds=("429",),
            share_per_kind=1.0,
            in_flight_seconds=BUSY,
        )
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            bad.start(made)
            waiting = [asyncio.create_task(asker.run(dice, 0.0, 1)) for asker in unlucky]
            async with asyncio.timeout(90):
                while bad.limited_chats() < chats:
                    await asyncio.sleep(0.05)
            await crowd.run(users=lucky)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        finally:
            await fleet.close()
        left = {fate for asker in unlucky for fate in asker.outcomes().by_question.values()}
        crowd.users = lucky
        verdict = RunReport(crowd, fleet)
    verdict.print_summary("Half of the places told to wait", chaos.seed, refusals=bad.injected_count)
    verdict.assert_sound()
    assert left == {Outcome.LOST}, "nothing could be sent there"
    assert bad.early_sends() == []


@pytest.mark.skipif("CHAOS_TURNS" not in os.environ, reason="compares delays: the test above does not")
async def test_faulty_chats_delay_no_other(chaos: ChaosOptions, tmp_path: Path) -> None:
    medians = []
    for failing in (False, True):
        dice = chaos.rng
        folder = tmp_path / str(failing)
        folder.mkdir()
        async with running_harness(folder) as made:
            crowd = SimulatedUsers(
                made,
                dice,
                chaos.turn_count(24, 0.25),
                max_concurrent=1000,
                questions_per_user=10,
                burst_sizes=(1,),
                groups=False,
                answer_timeout=200,
            )
            lucky, unlucky = crowd.users[::2], crowd.users[1::2]
            fleet = Fleet(made, folder)
            bad = random_faults(chaos, dice)
            bad.chats = {asker.client.chat for asker in unlucky}
            try:
                await fleet.start_all()
                if failing:
                    bad.start(made)
                await crowd.run()
                await crowd.wait_for_answers()
                bad.stop(made)
                await fleet.wait_until_idle(crowd.answer_timeout)
            finally:
                await fleet.close()
            medians.append(crowd.median_latency(lucky))
            verdict = RunReport(crowd, fleet)
            verdict.print_summary(
                "Half of the places in trouble" if failing else "Without faults",
                chaos.seed,
                **{
                    "failed calls": bad.injected_count,
                    "sent inside a retry_after": len(bad.early_sends()),
                },
                **{"median delay of the others": f"{medians[-1]:.2f} s"},
                **{"median delay of those in trouble": f"{crowd.median_latency(unlucky):.2f} s"},
            )
            verdict.assert_sound(allow_notices=True)
            assert bad.early_sends() == []
    times, seconds = MORE
    assert medians[1] < medians[0] * times + seconds
