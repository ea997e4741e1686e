"""`parley top` shows what is stored of a bot's work."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Connection, insert

from bots.maintenance.top import share_lines, show_top
from bots.sandbox.model import ModelStandIn
from core.clock import SystemClock
from core.conversation.learned_facts import service_name
from core.conversation.ledger import key_id_of
from core.errors import ConfigurationError, ModelError, ModelFailure, StoreError
from core.settings import Settings
from core.settings.model import DEFAULT_MODEL
from core.store.database import Store
from core.store.model_pauses import save_pause
from core.store.schema import database_now, rate_limits
from core.store.turns import TurnState, finish_turn
from tests.clock import FakeClock
from tests.core.store import sample_database
from tests.core.store.turn_helpers import accept, claim
from tests.core.turns.fake_adapter import running_engine
from tests.sqlite import sqlite_url


async def test_view_has_turns_waits_quotas_and_pauses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(sqlite_url(tmp_path))
    settings = Settings()
    await sample_database.fill(store)
    failure = ModelError("The service is down", ModelFailure.UNAVAILABLE)
    await store.write(save_pause, service_name(settings.base_url), key_id_of(""), "some/model", failure, 600)
    await show_top(store, settings, Console(width=160), interval=1, once=True, clock=SystemClock())
    await store.close()
    shown = capsys.readouterr().out
    assert "queued" in shown
    assert "discord" in shown
    assert "some/model" in shown
    assert "overloaded or down" in shown
    assert "before /new" not in shown, "no texts"


@pytest.mark.slow
async def test_model_of_an_answer_that_is_being_written_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, store = ModelStandIn(tokens_per_second=20), Store(sqlite_url(tmp_path))
    await model.start()
    async with running_engine(tmp_path, model) as chat:
        await chat.say("long 9000")
        await model.wait_for(lambda: model.requests)
        await show_top(store, Settings(), Console(width=160), interval=1, once=True, clock=SystemClock())
        await chat.say("/stop")
        await chat.wait_for_states("stopped", "done")
    await store.close()
    await model.close()
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert any(line[1:4] == ["fake", "running", DEFAULT_MODEL] for line in shown)
    assert any(line[:3] == [DEFAULT_MODEL, "chat", "1"] for line in shown)


async def test_missing_database_is_not_created(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'missing.sqlite3'}")
    with pytest.raises(ConfigurationError, match="no database"):
        await show_top(store, Settings(), Console(), interval=1, once=True, clock=SystemClock())
    assert not (tmp_path / "missing.sqlite3").exists()


class UnreliableStore(Store):
    is_down = False

    async def read(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.is_down:
            raise StoreError("The connection was refused")
        return await super().read(function, *args, **kwargs)


class LiveTop:
    """`parley top` on a terminal of 80 by 24 characters, with a clock that the test advances."""

    def __init__(self, store: Store) -> None:
        self._output = io.StringIO()
        self._clock = FakeClock()
        console = Console(file=self._output, force_terminal=True, width=80, height=24, color_system=None)
        self._task = asyncio.create_task(
            show_top(store, Settings(), console, interval=2, once=False, clock=self._clock)
        )

    async def lines(self) -> list[str]:
        """What the terminal shows until the next view."""
        await self._clock.wait_for_timer()
        shown = self._output.getvalue().rpartition("\x1b[H")[2]
        return [line.strip() for line in shown.splitlines()]

    async def next_lines(self) -> list[str]:
        self._output.truncate(self._output.seek(0))
        await self._clock.advance(2)
        return await self.lines()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[UnreliableStore]:
    store = UnreliableStore(sqlite_url(tmp_path))
    await sample_database.fill(store)
    yield store
    await store.close()


async def fail(store: Store, *reasons: str) -> None:
    """As many turns fail."""
    await claim(store)  # what is there already
    for number, reason in enumerate(reasons):
        await accept(store, f"failing{number}", conversation=f"failing{number}")
        (turn,) = await claim(store)
        await store.write(finish_turn, turn, TurnState.FAILED, reason)


def wait(connection: Connection) -> None:
    """A platform makes the bot wait."""
    wait = {"account_key": "telegram:777", "chat": "", "blocked_until": database_now() + 600}
    connection.execute(insert(rate_limits).values(**wait))


async def test_small_screen_shows_failures_with_reasons_waits_quotas_and_pauses_of_a_busy_bot(
    store: UnreliableStore,
) -> None:
    settings = Settings()
    await fail(store, "", "The model is overloaded.\n[7]", "The model is overloaded.")
    for number in range(33):
        await accept(store, f"busy{number}", conversation=f"busy{number}")
    failure = ModelError("The service is down", ModelFailure.UNAVAILABLE)
    await store.write(save_pause, service_name(settings.base_url), key_id_of(""), "some/model", failure, 600)
    await store.write(wait)
    top = LiveTop(store)
    lines = await top.lines()
    await top.close()
    assert len(lines) <= 24
    titles = ["failed in the last hour", "platforms that", "paused models", "open turns"]
    positions = [next(n for n, line in enumerate(lines) if line.startswith(title)) for title in titles]
    assert positions == sorted(positions)
    assert sum("The model is overloaded." in line for line in lines[: positions[1]]) == 2
    assert sum("see the log" in line for line in lines[: positions[1]]) >= 1
    assert sum("telegram:777" in line for line in lines) == 1
    assert sum("some/model" in line for line in lines) == 1
    shown_turns = [line for line in lines[positions[3] + 2 :] if line and not line.startswith("…")]
    (more,) = (int(line.split()[1]) for line in lines[positions[3] :] if line.startswith("…"))
    open_turns = sum(int(part.split()[0]) for part in lines[1].removeprefix("now").split(","))
    assert len(shown_turns) + more == open_turns > 30


async def test_view_stays_while_the_database_does_not_answer(store: UnreliableStore) -> None:
    top = LiveTop(store)
    before = await top.lines()
    store.is_down = True
    assert (await top.next_lines())[0] == "The database does not answer. This view is 2 s old."
    during = await top.next_lines()
    assert during[0] == "The database does not answer. This view is 4 s old."
    assert during[2] == before[1], "the counts"
    store.is_down = False
    assert (await top.next_lines())[1] == before[1]
    await top.close()


@pytest.mark.parametrize(
    ("sizes", "lines", "shares"),
    [
        ([2, 9, 3], 20, [2, 9, 3]),
        ([20, 2, 20], 12, [5, 2, 5]),
        ([20, 1, 20], 12, [6, 1, 5]),
        ([20, 20], 1, [1, 1]),
        ([], 5, []),
    ],
)
def test_lines_are_shared_and_small_tables_are_whole(sizes: list[int], lines: int, shares: list[int]) -> None:
    assert share_lines(sizes, lines) == shares
