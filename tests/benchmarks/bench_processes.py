"""How do answers spread over several processes on one machine? `parley run --workers` with PostgreSQL.

The processor time of the workers and of the database is counted apart. PostgreSQL runs without fsync, which costs time,
but no processor time. Telegram accepts about 30 calls a second of a bot, however many processes it has.

    python -m tests.benchmarks.bench_processes [PEOPLE]    # 100 by default; takes about two minutes
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.benchmarks.answers.bot_process import cpu_seconds
from tests.benchmarks.answers.measurement import SETTLE_SECONDS, Load, running_bots
from tests.postgresql import empty_postgresql_url, server_pid

WORKER_COUNTS = (1, 2, 4)
COLUMNS = (
    "platform",
    "workers",
    "whole",
    "answers/s",
    "request p50",
    "request p95",
    "full p95",
    "ms/answer",
    "database ms/answer",
    "cores",
    "late ms",
)


async def measure(platform: str, workers: int, load: Load, folder: Path) -> list[str]:
    """A row of the table."""
    database = psutil.Process(server_pid())
    url = empty_postgresql_url()
    async with running_bots(
        platform, ["parley"], folder / str(workers), "--workers", str(workers), database_url=url
    ) as (bot,):
        await bot.warm_up(load)
        database_before, started_at = cpu_seconds(database), time.monotonic()
        figures = await bot.measure(load)
        seconds = time.monotonic() - started_at - SETTLE_SECONDS
        database_cpu = cpu_seconds(database) - database_before
    cpu = figures.cpu_per_answer * figures.asked
    return [
        platform,
        str(workers),
        f"{figures.whole}/{figures.asked}",
        f"{figures.whole / seconds:.1f}",
        *(f"{value or 0:.2f}" for value in (figures.question_to_request.p50, figures.question_to_request.p95)),
        f"{figures.last_to_full.p95 or 0:.2f}",
        f"{figures.cpu_per_answer * 1e3:.1f}",
        f"{database_cpu / figures.asked * 1e3:.1f}",
        f"{cpu / seconds:.2f}",
        f"{figures.model_lateness * 1e3:.0f}",
    ]


async def main(people: int) -> None:
    load = Load(people=people)
    table = Table(*COLUMNS, title=f"{people} people, {load.questions} questions each, {load.tokens} tokens")
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        for platform in ("telegram", "discord"):
            for workers in WORKER_COUNTS:
                table.add_row(*await measure(platform, workers, load, Path(folder) / platform))
    Console(width=140).print(table)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
