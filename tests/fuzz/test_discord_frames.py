"""Mutated gateway frames over a real socket: the bot may reconnect, but hears whoever writes afterwards.

FUZZ_EVENTS is ten times the number of frames, FUZZ_SEED the seed; `make fuzz` runs the long form.
"""

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest

from bots.sandbox.discord import DiscordStandIn, Limits
from bots.sandbox.discord.gateway import Connection
from bots.sandbox.stand_in import Json
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness
from tests.fuzz.cases import SEED, Run, case_count, time_limit
from tests.fuzz.mutations import JsonMutator, mutate_bytes

FRAMES = max(1, case_count("FUZZ_EVENTS", 100) // 10)
OPCODES = (0, 1, 7, 9, 10, 11, 99)


async def send_raw(connection: Connection, content: bytes, *, is_compressed: bool) -> None:
    """Send `content` as the gateway sends frames, or as it never would."""
    if is_compressed and connection.compressor is not None:
        content = connection.compressor.compress(content) + connection.compressor.flush(2)
    with contextlib.suppress(ConnectionError):  # the bot is just closing it
        await connection.socket.send_bytes(content)


async def wait_until_heard(harness: AdapterHarness, text: str) -> None:
    """Ann writes again and again: what she writes before the bot has a new session is lost without backfill."""
    async with asyncio.timeout(30):
        while True:
            await harness.discord.send_message(harness.ann, harness.dm, text)
            try:
                async with asyncio.timeout(0.3):
                    while (await harness.inbox.events.get()).text != text:
                        pass
                    return
            except TimeoutError:
                continue


@pytest.mark.slow
@pytest.mark.timeout(time_limit(FRAMES))
async def test_bot_hears_people_after_mutated_frames() -> None:
    random_source = random.Random(SEED)
    discord = DiscordStandIn(limits=Limits.off())
    await discord.start()
    harness = AdapterHarness(discord)
    await harness.start(timings=replace(FAST_TIMINGS, resume_timeout=1.0))
    mutator = JsonMutator(random_source, [*OPCODES, "READY", "RESUMED", "MESSAGE_CREATE", 41250])
    try:
        with Run("frames") as run:
            for number in range(1, FRAMES + 1):
                frames: list[Json] = [
                    {
                        "op": op,
                        "t": "MESSAGE_CREATE" if op == 0 else None,
                        "s": None,
                        "d": {"heartbeat_interval": 41250},
                    }
                    for op in OPCODES
                ]
                content = mutator.encode(mutator.mutate(random_source.choice(frames))).encode("utf-8", "replace")
                if random_source.random() < 0.3:
                    content = mutate_bytes(random_source, content)
                is_compressed = random_source.random() < 0.8
                with run.case(number, (is_compressed, content)):
                    for session in discord.gateway.connected_sessions:
                        assert session.connection is not None
                        await send_raw(session.connection, content, is_compressed=is_compressed)
                    await wait_until_heard(harness, str(number))
    finally:
        await harness.stop()
        await discord.close()
