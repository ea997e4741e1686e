"""Measures the processor time that the store takes for one answer, relative to sqlite3 executing the same statements.

Conversations take turns, one or many at a time, each with the transactions of a question and its answer: accept,
claim, what the request is composed of, reservation, answer, the records around the message, finish. Then sqlite3 alone
executes the recorded statements and transactions on a copy of the database. Prints the processor time per answer in
milliseconds (all threads), the ratio, how many transactions and statements an answer takes, and by how much the
database grows.

Run by hand: `python -m tests.benchmarks.bench_store [ANSWERS]`.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, event

from core.api.events import UsageReport
from core.conversation.preferences import load_preferences
from core.port import AccountKey, EventKind, Incoming, Place, Sender
from core.settings import Settings
from core.store.answer_parts import PartState, SentPart, finish_delivery, save_part
from core.store.answers import store_answer
from core.store.claims import ClaimFilter, claim_turns, heartbeat
from core.store.database import Store
from core.store.history import load_history
from core.store.inbound import InboundLimits, accept_event
from core.store.rate_limits import load_platform_waits
from core.store.token_usage import UsageKey, UsageKind, add_daily_usage, reserve, settle_reservation
from core.store.turns import Turn, TurnState
from core.turns.turn_start import load_start
from tests.sqlite import sqlite_url

P = ParamSpec("P")
T = TypeVar("T")

ANSWERS = 1000
SIMULTANEOUS = (1, 20, 100)
ACCOUNT = AccountKey("telegram", "1")
SETTINGS = Settings()
LIMITS = InboundLimits(SETTINGS.queue_length, SETTINGS.open_turns, 100 * ANSWERS)
MODEL = UsageKey("key", SETTINGS.default_model, UsageKind.CHAT, "2026-11-29")
QUESTION = "How do I prove that there are infinitely many primes? Explain it as to a child of ten years. "
ANSWER = "Suppose there were only so many, multiply them all and add one. " * 12


@dataclass(slots=True)
class Recording:
    """The statements of a run, by transaction, in the order of their execution."""

    transactions: list[list[tuple[str, Any, bool]]] = field(default_factory=list)
    _current: dict[Connection, list[tuple[str, Any, bool]]] = field(default_factory=dict)

    def start_transaction(
        self, function: Callable[Concatenate[Connection, P], T]
    ) -> Callable[Concatenate[Connection, P], T]:
        def recorded(connection: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self._current[connection] = []
            self.transactions.append(self._current[connection])
            return function(connection, *args, **kwargs)

        return recorded

    def add(
        self, connection: Connection, _cursor: object, sql: str, parameters: Any, _context: object, many: bool
    ) -> None:
        if connection in self._current and not sql.startswith("BEGIN"):
            self._current[connection].append((sql, parameters, many))


@dataclass(frozen=True, slots=True)
class Chat:
    """A private chat, which asks one question after another."""

    store: Store
    number: int
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function

    async def write(self, function: Callable[..., Any], *args: Any, priority: bool = False, **kwargs: Any) -> Any:
        write = self.store.write_with_priority if priority else self.store.write
        return await write(self.wrap(function), *args, **kwargs)

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self.store.read(self.wrap(function), *args)

    def question(self, key: str) -> Incoming:
        person = str(1_000_000 + self.number)
        place, sender = Place("telegram", "1", person, is_private=True), Sender("telegram", person, f"Ann {person}")
        return Incoming(EventKind.PROMPT, f"{self.number}-{key}", place, sender, QUESTION, message_id=key)

    async def accept(self, key: str) -> None:
        await self.write(accept, self.question(key), priority=True)

    async def answer(self, turn: Turn) -> None:
        subjects = (f"person:telegram:{self.number}",)
        await self.read(load_start, turn, SETTINGS)
        await self.read(load_history, turn.conversation_id, turn.seq, 2000)
        reservation = await self.write(reserve, MODEL, 2000, 500_000_000)
        await self.write(settle_reservation, reservation, 1500)
        await self.write(store, turn, subjects)
        await self.write(save_part, turn, 0, SentPart(PartState.SENDING, None, "d" * 32), priority=True)
        sent = SentPart(PartState.SENT, f"{turn.id}", "d" * 32)
        await self.write(finish_delivery, turn, TurnState.DONE, {0: sent})


def accept(connection: Connection, incoming: Incoming) -> None:
    load_preferences(connection, incoming, SETTINGS)
    chat = incoming.place.chat
    accept_event(
        connection,
        incoming,
        conversation_key=f"telegram:1:{chat}::",
        person_key=f"telegram:{chat}",
        ordered=True,
        limits=LIMITS,
    )


def claim(connection: Connection, running: list[int]) -> list[Turn]:
    claimed: list[Turn] = []
    for claim_filter, limit in ((ClaimFilter.SUSPECT, 1), (ClaimFilter.NORMAL, 50)):
        claimed += claim_turns(
            connection, "me", [ACCOUNT], lease_seconds=6, limit=limit, exclude=running, claim_filter=claim_filter
        )
    if claimed:
        load_platform_waits(connection, [ACCOUNT])
    return claimed


def store(connection: Connection, turn: Turn, subjects: tuple[str, ...]) -> None:
    store_answer(
        connection,
        turn,
        prompt=QUESTION,
        answer=ANSWER,
        note="",
        model=MODEL.model,
        usage=UsageReport(1000, 500),
        buttons_json="[]",
    )
    add_daily_usage(connection, subjects, MODEL.day, 1500, 1)


async def answer_questions(chats: list[Chat], rounds: Iterable[int]) -> None:
    """In each round all chats ask at the same time. As in the engine, claims and heartbeats go beside."""
    first = chats[0]
    for number in rounds:
        await asyncio.gather(*(chat.accept(f"{number}") for chat in chats))
        turns: list[Turn] = []
        while claimed := await first.write(claim, [turn.id for turn in turns]):
            turns += claimed
        ids = [turn.id for turn in turns]
        await first.write(heartbeat, "me", ids, lease_seconds=6, priority=True)
        by_chat = {turn.incoming.place.chat: turn for turn in turns}
        await asyncio.gather(*(chat.answer(by_chat[str(1_000_000 + chat.number)]) for chat in chats))
        await first.write(claim, [])


def replay(path: Path, recording: Recording) -> float:
    """The processor time that sqlite3 needs for the same transactions, in seconds."""
    with closing(sqlite3.connect(path, isolation_level=None, cached_statements=1000)) as database:
        database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
        started_at = time.process_time()
        for statements in recording.transactions:
            database.execute("BEGIN IMMEDIATE")
            for sql, parameters, many in statements:
                if many:
                    database.executemany(sql, parameters)
                else:
                    database.execute(sql, parameters).fetchall()
            database.execute("COMMIT")
        return time.process_time() - started_at


async def run(url: str, simultaneous: int, answers: int, recording: Recording | None = None) -> tuple[float, float]:
    """The processor time and the duration of a run, in seconds."""
    database = Store(url)
    await database.open()
    chats = [Chat(database, number) for number in range(simultaneous)]
    if recording:
        event.listen(Engine, "before_cursor_execute", recording.add)
        chats = [Chat(database, number, recording.start_transaction) for number in range(simultaneous)]
    else:
        await answer_questions(chats, [-1])  # fills caches
    started_at, cpu_at = time.perf_counter(), time.process_time()
    await answer_questions(chats, range(answers // simultaneous))
    used = time.process_time() - cpu_at, time.perf_counter() - started_at
    if recording:
        event.remove(Engine, "before_cursor_execute", recording.add)
    await database.close()
    return used


def main() -> None:
    answers = int(sys.argv[1]) if len(sys.argv) > 1 else ANSWERS
    sys.stdout.write("at once  ms an answer  sqlite3 alone  ratio  wall  transactions  statements  bytes\n")
    for simultaneous in SIMULTANEOUS:
        count = answers // simultaneous * simultaneous
        recording = Recording()
        with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
            for name in ("measured", "recorded", "replayed"):
                (Path(folder) / name).mkdir()
            urls = [sqlite_url(Path(folder) / name) for name in ("measured", "recorded", "replayed")]
            database = Path(urls[0].removeprefix("sqlite:///"))
            empty_size = database.stat().st_size
            used, duration = asyncio.run(run(urls[0], simultaneous, count))
            growth = (database.stat().st_size - empty_size) // count
            asyncio.run(run(urls[1], simultaneous, count, recording))
            alone = replay(Path(urls[2].removeprefix("sqlite:///")), recording)
        statements = sum(map(len, recording.transactions))
        sys.stdout.write(
            f"{simultaneous:7}  {used / count * 1e3:12.2f}  {alone / count * 1e3:13.2f}  {used / alone:5.1f}  "
            f"{duration / count * 1e3:4.1f}  {len(recording.transactions) / count:12.1f}  {statements / count:10.1f}  {growth:5}\n"
        )


if __name__ == "__main__":
    main()
