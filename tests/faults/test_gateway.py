"""Discord's gateway on its bad days."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.world import world
from tests.faults.conftest import Chaos
from tests.faults.crowd import EACH, Crowd
from tests.faults.fleet import Fleet
from tests.faults.verdict import Verdict

MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("MESSAGE_CREATE", {}),
    ("MESSAGE_CREATE", {"id": "no number", "channel_id": "1", "author": None}),
    ("GUILD_CREATE", {"id": "1", "channels": "none"}),
    ("INTERACTION_CREATE", {"id": "1", "type": 2}),
    ("THREAD_UPDATE", {"id": None}),
    ("SOMETHING_NEW", {"of": "tomorrow"}),
)
CALM = (0.5, 6.0)  # seconds between two faults in the long form
LIFE_SIGN = 100.0  # seconds within which the bot must have noticed a silent death
BACK = 60.0  # seconds within which it must be connected again


async def test_every_fault_of_the_gateway_is_survived(chaos: Chaos, tmp_path: Path) -> None:
    dice = chaos.dice
    async with world(tmp_path) as made:
        discord = made.discord
        crowd = Crowd(
            made, dice, chaos.sized(24), platforms=("discord",),
            each=EACH if chaos.long else 4, patience=120 if chaos.long else 40,
        )  # fmt: skip
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
                await discord.send_raw(event, data)

        faults = [babble, reconnect, invalidate_softly, babble, invalidate]
        try:
            discord.refuse_connections(2, 503)
            await fleet.start_all()
            await crowd.greet()
            living = asyncio.create_task(crowd.live())
            while not living.done() and (chaos.long or count < len(faults)):
                fault = dice.choice(faults) if chaos.long else faults[count]
                if chaos.long:
                    await asyncio.wait({living}, timeout=dice.uniform(*CALM))
                else:
                    await crowd.written(1)
                await fault()
                await discord.ready(BACK)
                count += 1
            await living
            await crowd.settle()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    identifies, resumes = len(discord.gateway.identifies), len(discord.gateway.resumes)
    verdict.show(
        "Faults of the gateway", chaos.seed, faults=count, identifies=identifies, resumes=resumes
    )
    verdict.sound()


@pytest.mark.skipif("CHAOS_TURNS" not in os.environ, reason="discord.py waits for a minute")
async def test_a_connection_that_died_in_silence_is_replaced(chaos: Chaos, tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        discord = made.discord
        discord.gateway.heartbeat = 5.0
        crowd = Crowd(
            made, chaos.dice, chaos.sized(6, 0.05), platforms=("discord",),
            each=2, patience=LIFE_SIGN + BACK,
        )  # fmt: skip
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            discord.go_silent()
            await crowd.live()
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    verdict.show("Silent death of the gateway", chaos.seed)
    verdict.sound()


async def test_a_flood_of_messages_is_answered_once_each(chaos: Chaos, tmp_path: Path) -> None:
    count, seconds = (1000, 10.0) if chaos.long else (50, 0.5)
    async with world(tmp_path) as made:
        crowd = Crowd(
            made, chaos.dice, count, platforms=("discord",),
            at_once=count, each=5, bursts=(5,), groups=False, patience=300 if chaos.long else 40,
        )  # fmt: skip
        fleet = Fleet(made, tmp_path)
        try:
            await fleet.start_all()
            await crowd.live(within=seconds)
            await fleet.idle(crowd.patience)
        finally:
            await fleet.close()
        verdict = Verdict(crowd, fleet)
    asked = [question.asked_at for asker in crowd.askers for question in asker.asked]
    verdict.show(
        "A flood", chaos.seed, **{"all asked within": f"{max(asked) - min(asked):.1f} s"},
        **{"median delay": f"{crowd.delay(crowd.askers):.1f} s"},
    )  # fmt: skip
    verdict.sound()
