"""Does a process that answers for months stay small? Memory, store and time per answer over many turns.

The core, with an adapter in memory and the model stand-in, answers a day's questions at a time. Then every row becomes
a day older, and what the settings no longer keep is deleted. Prints a line for each tenth of the turns.

Run by hand: `python -m tests.benchmarks.bench_endurance [TURNS]`; 100,000 turns take about half an hour.
"""

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import structlog
from sqlalchemy import Connection, text, update

from bots.sandbox.model import ModelStandIn
from core.retention import DAY_SECONDS, batch_deletions
from core.settings import Settings
from core.store.schema import database_now, messages, turns
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

TURNS = 10_000
TURNS_A_DAY = 500
PEOPLE = 50
SETTINGS: dict[str, Any] = {"history_days": 5, "button_days": 3, "usage_days": 7}
QUESTION = "repeat: " + "question " * 20


def age_rows(connection: Connection) -> None:
    """Let a day pass."""
    for table in (turns, messages):
        connection.execute(update(table).values(created_at=table.c.created_at - DAY_SECONDS))
    connection.execute(update(turns).values(finished_at=turns.c.finished_at - DAY_SECONDS))


def used_bytes(connection: Connection) -> int:
    pages, free, size = (
        connection.execute(text(f"PRAGMA {name}")).scalar_one()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


async def answer_questions(chat: FakeAdapter, model: ModelStandIn, count: int) -> None:
    for number in range(count):
        await chat.say(QUESTION, user=f"{number % PEOPLE}")
        if number % PEOPLE == PEOPLE - 1:
            expected = number + 1
            await chat.wait_until(lambda expected=expected: len(chat.messages) >= expected)  # type: ignore[misc]
    # The stand-ins remember everything, which is not the product's memory.
    chat.messages.clear()
    chat.calls.clear()
    chat.keys.clear()
    model.requests.clear()


def delete_old_rows(connection: Connection, settings: Settings) -> None:
    for delete_batch in batch_deletions(settings, database_now(), time.time()):
        while delete_batch(connection):
            pass


async def measure(total: int, folder: Path) -> None:
    model = ModelStandIn(tokens_per_second=100_000)
    await model.start()
    process = psutil.Process()
    async with running_engine(folder, model, is_exclusive=True, turns_at_once=PEOPLE, **SETTINGS) as chat:
        days = max(1, total // TURNS_A_DAY)
        started_at = time.process_time()
        for day in range(1, days + 1):
            await answer_questions(chat, model, TURNS_A_DAY)
            await chat.store.write(age_rows)
            await chat.store.write(delete_old_rows, chat.services.settings)
            if day % max(1, days // 10) == 0:
                gc.collect()
                store_bytes = await chat.store.read(used_bytes)
                milliseconds = (time.process_time() - started_at) / (day * TURNS_A_DAY) * 1e3
                sys.stdout.write(
                    f"{day * TURNS_A_DAY:8,} turns: {process.memory_info().rss / 1e6:6.1f} MB of memory, "
                    f"{store_bytes / 1e6:6.2f} MB of data, {milliseconds:5.1f} ms of processor time per turn\n"
                )
                sys.stdout.flush()
    await model.close()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    total = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(total, Path(folder)))


if __name__ == "__main__":
    main()
