"""Discord's gateway reconnects, invalidates sessions, falls silent and sends malformed events."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.population import QUESTIONS_PER_USER, Population
from tests.faults.report import RunReport

MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("MESSAGE_CREATE", {}),
    ("MESSAGE_CREATE", {"id": "no number", "channel_id": "1", "author": None}),
    ("GUILD_CREATE", {"id": "1", "channels": "none"}),
    ("INTERACTION_CREATE", {"id": "1", "type": 2}),
    ("THREAD_UPDATE", {"id": None}),
    ("SOMETHING_NEW", {"of": "tomorrow"}),
)
PAUSE_SECONDS = (0.5, 6.0)  # between two faults in the long form
SILENCE_SECONDS = 100.0  # within which the bot must notice a silent connection
RECONNECT_SECONDS = 60.0


async def test_gateway_faults_are_survived(chaos: ChaosOptions, tmp_path: Path) -> None:
    rng = chaos.rng
    async with running_harness(tmp_path) as harness:
        discord = harness.discord
        population = Population(
            harness,
            rng,
            chaos.turn_count(24),
            platforms=("discord",),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 4,
            answer_timeout=120,
        )
        fleet = Fleet(harness, tmp_path)
        count = 0

        async def reconnect() -> None:
            await discord.gateway.request_reconnect()

        async def invalidate() -> None:
            await discord.gateway.invalidate_sessions(resumable=False)

        async def invalidate_resumable() -> None:
            await discord.gateway.invalidate_sessions(resumable=True)

        async def send_malformed_events() -> None:
            for event, data in MALFORMED:
                await discord.gateway.dispatch(event, data)

        faults = [send_malformed_events, reconnect, invalidate_resumable, send_malformed_events, invalidate]
        try:
            discord.gateway.remaining_refusals = 2
            await fleet.start_all()
            await population.warm_up()
            if not chaos.is_long:
                population.hold_last_answers()
            asking = asyncio.create_task(population.run())
            while not asking.done() and (chaos.is_long or count < len(faults)):
                fault = rng.choice(faults) if chaos.is_long else faults[count]
                if chaos.is_long:
                    await asyncio.wait({asking}, timeout=rng.uniform(*PAUSE_SECONDS))
                else:
                    await population.wait_for_streams(1)
                await fault()
                await discord.wait_until_ready(RECONNECT_SECONDS)
                count += 1
            population.questions.release()
            await asking
            await population.wait_for_answers()
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    identifies, resumes = len(discord.gateway.identifies), len(discord.gateway.resumes)
    report.print_summary("Gateway faults", chaos.seed, faults=count, identifies=identifies, resumes=resumes)
    report.assert_sound()
    assert chaos.is_long or count == len(faults)


@pytest.mark.skipif("CHAOS_TURNS" not in os.environ, reason="discord.py waits for a minute")
async def test_silent_connection_is_replaced(chaos: ChaosOptions, tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        discord = harness.discord
        discord.gateway.heartbeat_interval = 5.0
        population = Population(
            harness,
            chaos.rng,
            chaos.turn_count(6, 0.05),
            platforms=("discord",),
            questions_per_user=2,
            answer_timeout=SILENCE_SECONDS + RECONNECT_SECONDS,
        )
        fleet = Fleet(harness, tmp_path)
        try:
            await fleet.start_all()
            discord.gateway.go_silent()
            await population.run()
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    report.print_summary("Silent gateway", chaos.seed)
    report.assert_sound()


async def test_flood_is_answered_once_each(chaos: ChaosOptions, tmp_path: Path) -> None:
    count, seconds = (1000, 10.0) if chaos.is_long else (50, 0.5)
    async with running_harness(tmp_path) as harness:
        population = Population(
            harness,
            chaos.rng,
            count,
            platforms=("discord",),
            max_concurrent=count,
            questions_per_user=5,
            burst_sizes=(5,),
            groups=False,
            answer_timeout=300 if chaos.is_long else 40,
        )
        fleet = Fleet(harness, tmp_path)
        try:
            await fleet.start_all()
            await population.run(ramp_up_seconds=seconds)
            await fleet.wait_until_idle(population.answer_timeout)
        finally:
            await fleet.close()
        report = RunReport(population, fleet)
    asked_at = [question.asked_at for user in population.users for question in user.asked]
    report.print_summary(
        "Flood of messages",
        chaos.seed,
        **{"all asked within": f"{max(asked_at) - min(asked_at):.1f} s"},
        **{"median delay": f"{population.median_latency(population.users):.1f} s"},
    )
    report.assert_sound()
