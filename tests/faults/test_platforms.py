"""Platform calls and model requests that fail at random."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from bots.sandbox.stand_in import FaultKind
from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fault_injection import FaultInjector
from tests.faults.fleet import Fleet
from tests.faults.outcomes import Outcome
from tests.faults.population import QUESTIONS_PER_USER, Population
from tests.faults.report import RunReport
from tests.waiting import wait_until

STALL_TIMEOUT = "2"  # PARLEY_STALL_TIMEOUT
MODEL_FAULT_RATE = 0.15
ALLOWED_FACTOR, ALLOWED_SECONDS = 1.5, 0.5  # by which two medians may differ by chance

LONG_RETRY_AFTER = 600.0, 600.0  # longer than a test


def random_faults(chaos: ChaosOptions, rng: random.Random) -> FaultInjector:
    if chaos.is_long:
        return FaultInjector(rng, (1, 40), 6)
    return FaultInjector(rng, (5, 6), 1.5)


async def test_answers_are_complete_or_failures_reported(chaos: ChaosOptions, tmp_path: Path) -> None:
    rng = chaos.rng
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            rng,
            chaos.turn_count(12),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 3,
            answer_timeout=400 if chaos.is_long else 90,
        )
        population.questions.fault_rate = MODEL_FAULT_RATE
        fleet = Fleet(harness, tmp_path, PARLEY_STALL_TIMEOUT=STALL_TIMEOUT)
        injector = random_faults(chaos, rng)
        try:
            await fleet.start_all()
            injector.start(harness)
            await population.run()
            await population.wait_for_answers()
            injector.stop(harness)
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    report.print_summary(
        "Everything fails at random",
        chaos.seed,
        **{"failed calls": injector.injected_count, "sent inside a retry_after": len(injector.early_sends())},
        **{"median delay": f"{population.median_latency(population.users):.1f} s"},
    )
    report.assert_sound(allow_notices=True)
    assert injector.early_sends() == []


async def test_rate_limited_chats_delay_no_other(chaos: ChaosOptions, tmp_path: Path) -> None:
    """Half of the chats get a `retry_after` that outlasts the test."""
    rng = chaos.rng
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            rng,
            chaos.turn_count(8, 0.05),
            questions_per_user=2,
            groups=False,
            answer_timeout=90,
        )
        unaffected, affected = population.users[::2], population.users[1::2]
        chats = {user.client.chat for user in affected}
        injector = FaultInjector(
            rng,
            LONG_RETRY_AFTER,
            0,
            chats=chats,
            kinds=(FaultKind.RATE_LIMITED,),
            share_per_kind=1.0,
        )
        fleet = Fleet(harness, tmp_path)
        try:
            await fleet.start_all()
            injector.start(harness)
            waiting = [asyncio.create_task(user.run(rng, 0.0, 1)) for user in affected]
            await wait_until(lambda: injector.limited_chats() >= chats, 90)
            await population.run(users=unaffected)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        finally:
            await fleet.close()
        outcomes = {outcome for user in affected for outcome in user.outcomes().by_question.values()}
        population.users = unaffected
        report = RunReport(population, fleet)
    report.print_summary("Half of the chats rate limited", chaos.seed, refusals=injector.injected_count)
    report.assert_sound()
    assert outcomes == {Outcome.LOST}, "nothing can be sent to these chats"
    assert injector.early_sends() == []


@pytest.mark.skipif("CHAOS_TURNS" not in os.environ, reason="comparing delays needs many turns")
async def test_faulty_chats_delay_no_other(chaos: ChaosOptions, tmp_path: Path) -> None:
    medians = []
    for failing in (False, True):
        rng = chaos.rng
        folder = tmp_path / str(failing)
        folder.mkdir()
        async with running_harness(folder) as harness:
            population = Population(
                harness,
                rng,
                chaos.turn_count(24, 0.25),
                max_concurrent=1000,
                questions_per_user=10,
                burst_sizes=(1,),
                groups=False,
                answer_timeout=200,
            )
            unaffected, affected = population.users[::2], population.users[1::2]
            fleet = Fleet(harness, folder)
            injector = random_faults(chaos, rng)
            injector.chats = {user.client.chat for user in affected}
            try:
                await fleet.start_all()
                if failing:
                    injector.start(harness)
                await population.run()
                await population.wait_for_answers()
                injector.stop(harness)
                await fleet.wait_until_idle(population.answer_timeout)
            finally:
                await fleet.close()
            medians.append(population.median_latency(unaffected))
            report = RunReport(population, fleet)
            report.print_summary(
                "Faults in half of the chats" if failing else "Without faults",
                chaos.seed,
                **{
                    "failed calls": injector.injected_count,
                    "sent inside a retry_after": len(injector.early_sends()),
                },
                **{"median delay, unaffected": f"{medians[-1]:.2f} s"},
                **{"median delay, affected": f"{population.median_latency(affected):.2f} s"},
            )
            report.assert_sound(allow_notices=True)
            assert injector.early_sends() == []
    assert medians[1] < medians[0] * ALLOWED_FACTOR + ALLOWED_SECONDS
