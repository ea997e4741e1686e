"""Discord's gateway on its bad days."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.harness import running_harness
from tests.faults.conftest import ChaosOptions
from tests.faults.fleet import Fleet
from tests.faults.report import RunReport
from tests.faults.simulated_users import QUESTIONS_PER_USER, SimulatedUsers

MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("MESSAGE_CREATE", {}),
    ("MESSAGE_CREATE", {"id": "no number", "channel_id": "1", "author": None}),
    ("GUILD_CREATE", {"id": "1", "channels": "none"}),
    ("INTERACTION_CREATE", {"id": "1", "type": 2}),
    ("THREAD_UPDATE", {"id": None}),
    ("SOMETHING_NEW", {"of": "tomorrow"}),
)
PAUSE_SECONDS = (0.5, 6.0)  # seconds between two faults in the long form
SILENCE_SECONDS = 100.0  # seconds within which the bot must have noticed a silent death
RECONNECT_SECONDS = 60.0  # seconds within which it must be connected again


async def test_gateway_faults_are_survived(chaos: ChaosOptions, tmp_path: Path) -> None:
    dice = chaos.rng
    async with running_harness(tmp_path) as made:
        discord = made.discord
        crowd = SimulatedUsers(
            made,
            dice,
            chaos.turn_count(24),
            platforms=("discord",),
            questions_per_user=QUESTIONS_PER_USER if chaos.is_long else 4,
            answer_timeout=120 if chaos.is_long else 40,
        )
        fleet = Fleet(made, tmp_path)
        count = 0

        async def reconnect() -> None:
            await discord.force_reconnect()

        async def invalidate() -> None:
            await discord.invalidate_session(resumable=False)

        async def invalidate_softly() -> None:
            await discord.invalidate_session(resumable=True)

        async def babble() -> None:
            for event, data in MALFORMED:
                await discord.dispatch_raw(event, data)

        faults = [babble, reconnect, invalidate_softly, babble, invalidate]
        try:
            discord.refuse_connections(2, 503)
            await fleet.start_all()
            await crowd.warm_up()
            living = asyncio.create_task(crowd.run())
            while not living.done() and (chaos.is_long or count < len(faults)):
                fault = dice.choice(faults) if chaos.is_long else faults[count]
                if chaos.is_long:
                    await asyncio.wait({living}, timeout=dice.uniform(*PAUSE_SECONDS))
                else:
                    await crowd.wait_for_streams(1)
                await fault()
                await discord.wait_until_ready(RECONNECT_SECONDS)
                count += 1
            await living
            await crowd.wait_for_answers()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    identifies, resumes = len(discord.gateway.identifies), len(discord.gateway.resumes)
    verdict.print_summary("Faults of the gateway", chaos.seed, faults=count, identifies=identifies, resumes=resumes)
    verdict.assert_sound()


@pytest.mark.skipif("CHAOS_TURNS" not in os.environ, reason="discord.py waits for a minute")
async def test_silent_connection_is_replaced(chaos: ChaosOptions, tmp_path: Path) -> None:
    async with running_harness(tmp_path) as made:
        discord = made.discord
        discord.gateway.heartbeat_interval = 5.0
        crowd = SimulatedUsers(
            made,
            chaos.rng,
            chaos.turn_count(6, 0.05),
            platforms=("discord",),
            questions_per_user=2,
            answer_timeout=SILENCE_SECONDS + RECONNECT_SECONDS,
        )
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            discord.go_silent()
            await crowd.run()
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    verdict.print_summary("Silent death of the gateway", chaos.seed)
    verdict.assert_sound()


async def test_flood_is_answered_once_each(chaos: ChaosOptions, tmp_path: Path) -> None:
    count, seconds = (1000, 10.0) if chaos.is_long else (50, 0.5)
    async with running_harness(tmp_path) as made:
        crowd = SimulatedUsers(
            made,
            chaos.rng,
            count,
            platforms=("discord",),
            max_concurrent=count,
            questions_per_user=5,
            burst_sizes=(5,),
            groups=False,
            answer_timeout=300 if chaos.is_long else 40,
        )
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            await crowd.run(ramp_up_seconds=seconds)
            await fleet.wait_until_idle(crowd.answer_timeout)
        finally:
            await fleet.close()
        verdict = RunReport(crowd, fleet)
    asked = [question.asked_at for asker in crowd.users for question in asker.asked]
    verdict.print_summary(
        "A flood",
        chaos.seed,
        **{"all asked within": f"{max(asked) - min(asked):.1f} s"},
        **{"median delay": f"{crowd.median_latency(crowd.users):.1f} s"},
    )
    verdict.assert_sound()
