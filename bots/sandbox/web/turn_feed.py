"""Events of turns, read from the bot's database: which states they pass through, and when."""

import asyncio
import contextlib
from pathlib import Path

from bots.sandbox.web.event_log import EventLog
from core.clock import Clock
from core.errors import ConfigurationError, StoreError, UnavailableError
from core.store.database import Store
from core.store.turn_log import TurnSummary, list_latest_turns

POLL_SECONDS = 0.25
MAX_TURNS = 60
TurnStep = tuple[str, float, int]
"""A state, when it was first seen, and the attempt."""


class TurnFeed:
    """`database` is the file of an SQLite database, which the bot creates when it first starts."""

    def __init__(self, database: Path, log: EventLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._known: dict[int, TurnSummary] = {}
        self._states: dict[int, list[TurnStep]] = {}
        """What each known turn went through."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._database.exists():
            await self._clock.sleep(POLL_SECONDS)
        store = Store(f"sqlite:///{self._database}")
        try:
            while not await self._open(store):
                await self._clock.sleep(POLL_SECONDS)
            while True:
                with contextlib.suppress(StoreError):  # the next look may succeed
                    self.announce(await store.read(list_latest_turns, MAX_TURNS))
                await self._clock.sleep(POLL_SECONDS)
        finally:
            await store.close()

    async def _open(self, store: Store) -> bool:
        """Whether the database is there: the bot may still be creating its tables."""
        try:
            await store.open(migrates=False)
        except (ConfigurationError, StoreError, UnavailableError):
            return False
        return True

    def announce(self, turns: list[TurnSummary]) -> None:
        """Announce the turns that have changed."""
        for turn in turns:
            if self._known.get(turn.id) == turn:
                continue
            states = self._states.setdefault(turn.id, [])
            if not states or (states[-1][0], states[-1][2]) != (turn.state, turn.attempt):
                states.append((turn.state, self._clock.time() if states else turn.created_at, turn.attempt))
            self._announce(turn, states)
        self._known = {turn.id: turn for turn in turns}
        self._states = {turn.id: self._states[turn.id] for turn in turns}

    def _announce(self, turn: TurnSummary, states: list[TurnStep]) -> None:
        self._log.add(
            "turn",
            str(turn.id),
            turn_id=turn.id,
            platform=turn.chat_key.partition(":")[0],
            chat=turn.chat_key.rpartition(":")[2],
            person=turn.person_key,
            state=turn.state,
            states=states,
            model=turn.model,
            attempt=turn.attempt,
            failed_attempts=turn.failed_attempts,
            prompt_tokens=turn.prompt_tokens,
            completion_tokens=turn.completion_tokens,
            created_at=turn.created_at,
            finished_at=turn.finished_at,
        )
