"""Measures what a process costs before anybody writes to it: its start, its memory and its idle processor time.

`parley run` starts on an empty database, with Telegram, with Discord and with both, against the stand-ins. Each ratio
compares it with a bare process that imports only the libraries which these platforms and the model service require.
Processor time is measured until the bot receives, so that other load on the machine disturbs it little.

Run by hand: `python -m tests.benchmarks.bench_startup [ROUNDS]`.
"""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.end_to_end.harness import Harness, running_harness

TELEGRAM, DISCORD = "TELEGRAM_BOT_TOKEN", "DISCORD_BOT_TOKEN"
LIBRARIES = {TELEGRAM: "telegram", DISCORD: "discord"}
CASES = {"Telegram": (TELEGRAM,), "Discord": (DISCORD,), "both": (TELEGRAM, DISCORD)}
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 10.0
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Cost:
    start_seconds: float
    """Of processor time."""
    memory: float
    """Resident, in megabytes."""
    idle_percent: float = 0.0
    """Of one core."""


def processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


async def measure_bare(tokens: tuple[str, ...]) -> Cost:
    """A process that has imported the platforms' libraries and created a client of the model service."""
    libraries = ", ".join(LIBRARIES[token] for token in tokens)
    code = f"import {libraries}, openai; openai.AsyncOpenAI(api_key='key').chat.completions; print(flush=True); input()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    process = psutil.Process(child.pid)
    cost = Cost(processor_seconds(process), megabytes(process))
    await child.communicate(b"\n")
    return cost


async def measure_bot(harness: Harness, tokens: tuple[str, ...]) -> Cost:
    environment = {**os.environ, **harness.environment(), **{token: "" for token in LIBRARIES if token not in tokens}}
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "bots.cli", "run", env=environment)
    process = psutil.Process(child.pid)
    if TELEGRAM in tokens:
        await harness.telegram.wait_for(lambda: harness.poll_count() > 0, START_SECONDS)
    if DISCORD in tokens:
        await harness.discord.wait_until_ready(START_SECONDS)
    start_seconds = processor_seconds(process)
    await asyncio.sleep(SETTLE_SECONDS)
    idle_from = processor_seconds(process)
    await asyncio.sleep(IDLE_SECONDS)
    idle_percent = 100 * (processor_seconds(process) - idle_from) / IDLE_SECONDS
    cost = Cost(start_seconds, megabytes(process), idle_percent)
    child.terminate()
    await child.wait()
    return cost


async def measure_case(tokens: tuple[str, ...]) -> tuple[Cost, Cost]:
    """The bare process and the bot."""
    bare = await measure_bare(tokens)
    with tempfile.TemporaryDirectory() as folder:
        async with running_harness(Path(folder)) as harness:
            return bare, await measure_bot(harness, tokens)


async def main(rounds: int) -> None:
    sys.stdout.write(f"{'':10} {'start, s of CPU':>24} {'memory, MB':>24} {'idle, % of a core':>18}\n")
    for name, tokens in CASES.items():
        costs = [await measure_case(tokens) for _ in range(rounds)]
        bare_start, start = (median(cost[i].start_seconds for cost in costs) for i in (0, 1))
        bare_memory, memory = (median(cost[i].memory for cost in costs) for i in (0, 1))
        idle = median(bot.idle_percent for _bare, bot in costs)
        sys.stdout.write(
            f"{name:10} {start:6.2f} / {bare_start:5.2f} = {start / bare_start:5.2f}"
            f"   {memory:6.0f} / {bare_memory:5.0f} = {memory / bare_memory:5.2f} {idle:18.2f}\n"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
