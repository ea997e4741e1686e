"""Measures how long it takes to compose a request: from the history in the database to the messages that fit a model.

First for conversations of 40 messages each, of which the database holds more and more; then for one conversation that
grows. Each is composed with an empty cache of texts, as after a start. Prints milliseconds: the median and the 99th
percentile of the duration and of the processor time, and what sqlite3 alone takes to read the messages that the
request contains; then the ratio of the medians. On a busy machine only the processor time means something.

Run by hand: `python -m tests.benchmarks.bench_context [MESSAGES]`.
"""

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from core.api.client import ModelApi
from core.conversation import tokens
from core.conversation.composer import Composer
from core.conversation.model_registry import ModelRegistry
from core.conversation.token_estimator import TokenEstimators
from core.settings import Settings
from core.store.database import Store
from tests.core.conversation.test_composer import make_preferences
from tests.core.store.many_rows import insert_rows
from tests.sqlite import sqlite_url

MESSAGES = 1_000_000
HISTORY = 40
REQUESTS = 300
LONG_REQUESTS = 20
MODEL = Settings().default_model
PREFERENCES = make_preferences(system="You are a helpful assistant.")
READ_HISTORY = """SELECT id, role, text FROM messages WHERE conversation_id = ? AND id > 0 AND NOT is_excluded
ORDER BY id DESC LIMIT ?"""


async def measure(composer: Composer, conversations: Iterable[int]) -> tuple[list[float], list[float], int]:
    """The durations and the processor times in seconds, sorted, and the messages in a request."""
    durations, used, length = [], [], 0
    for conversation in conversations:
        tokens._count_features.cache_clear()
        started_at, cpu_at = time.perf_counter(), time.process_time()
        composed = await composer.compose(conversation, 10**6, PREFERENCES, "And how does it go on?", MODEL)
        durations.append(time.perf_counter() - started_at)
        used.append(time.process_time() - cpu_at)
        length = len(composed.prompt.messages) - 2
    return sorted(durations), sorted(used), length


def measure_sqlite(path: Path, conversations: Sequence[int], limit: int) -> float:
    """The processor time of reading so many messages, in seconds."""
    with closing(sqlite3.connect(path)) as database:
        started_at = time.process_time()
        for conversation in conversations:
            database.execute(READ_HISTORY, (conversation, limit)).fetchall()
        return (time.process_time() - started_at) / len(conversations)


async def run(messages: int, per_conversation: int) -> str:
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        url = sqlite_url(Path(folder))
        store, api = Store(url), ModelApi("http://127.0.0.1:1", "key")
        await store.write(insert_rows, messages, per_conversation)
        composer = Composer(store, ModelRegistry(api, store, Settings()), TokenEstimators(store))
        count = messages // per_conversation
        conversations = [
            random.randint(1, count) for _ in range(REQUESTS if per_conversation <= HISTORY else LONG_REQUESTS)
        ]
        await measure(composer, conversations[:3])
        durations, used, length = await measure(composer, conversations)
        alone = measure_sqlite(Path(url.removeprefix("sqlite:///")), conversations, length)
        await api.close()
        await store.close()
    figures = [values[int(len(values) * share)] * 1e3 for values in (durations, used) for share in (0.5, 0.99)]
    return (
        f"{messages:9} {per_conversation:9} {length:10}  {'  '.join(f'{figure:6.2f}' for figure in figures)}  "
        f"{alone * 1e3:13.2f}  {figures[2] / alone / 1e3:5.1f}\n"
    )


async def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    sys.stdout.write(" messages a history in request  median     p99     CPU CPU p99  sqlite3 alone  ratio\n")
    sizes = [size for size in (10, 1000, 100_000, 1_000_000) if size <= most]
    for messages in sizes:
        sys.stdout.write(await run(messages, min(messages, HISTORY)))
    for messages in sizes:
        if messages > HISTORY:
            sys.stdout.write(await run(messages, messages))


if __name__ == "__main__":
    asyncio.run(main())
