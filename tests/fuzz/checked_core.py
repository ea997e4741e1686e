"""The core with two questions that Ada asked and that are being answered, and two that are answered.

Every event is checked: it opens at most one turn, the turn ends, the bot writes only where the event happened, and
nothing of Ada's changes unless the event comes from Ada or a manager.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select

from bots.sandbox.model import ModelStandIn
from bots.sandbox.model.faults import Fault, stall
from core.delivery.draft_ids import encode_draft_id
from core.port import EventKind, Incoming, Part, Place, Sender
from core.store.schema import turns
from core.timings import Timings
from tests.core.turns.fake_adapter import FakeAdapter, running_engine
from tests.waiting import wait_until

T = TypeVar("T")
HANGING_QUESTION = "Think forever."
MAX_EVENT_SECONDS = 60
TURN_ACTIONS = ("stop", "retry", "more", "again", "think")
OTHER_ACTIONS = (
    "m:some/model",
    "m#0123",
    "m:",
    "mp:0",
    "mp:9999",
    "mp:99999",
    "mf:0:",
    "mf:9999:nothing",
    "ml:0:llama",
    "ml:x",
    "stop:",
    "nothing:1",
)
TIMINGS = Timings(batch_window=0.0, first_fetch_retry_delay=0.01, first_delivery_retry_delay=0.01)


class CheckedAdapter(FakeAdapter):
    """Notes where the bot writes, and which messages it changes."""

    def __init__(self, platform: str, account: str) -> None:
        super().__init__()
        self.platform, self.account = platform, account
        self.places: list[Place] = []
        self.sent_messages: set[tuple[str, str]] = set()
        """By chat and ID, which is unique in a chat only."""
        self.changed_messages: set[tuple[str, str]] = set()

    async def send(self, place: Place, part: Part, **options: Any) -> str:
        self.places.append(place)
        message_id = await super().send(place, part, **options)
        self.sent_messages.add((place.chat, message_id))
        return message_id

    async def edit(self, place: Place, message_id: str, part: Part, **options: Any) -> None:
        self.places.append(place)
        self.changed_messages.add((place.chat, message_id))
        await super().edit(place, message_id, part, **options)

    async def delete(self, place: Place, message_id: str, **options: Any) -> None:
        self.places.append(place)
        self.changed_messages.add((place.chat, message_id))
        await super().delete(place, message_id, **options)

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        self.places.append(place)
        await super().show_draft(place, draft_id, part)


@dataclass(slots=True)
class CheckedCore:
    adapter: CheckedAdapter
    ada: Sender
    private_place: Place
    group: Place
    received: list[Incoming] = field(default_factory=list)
    """What the current event became."""
    is_changed: bool = False
    """Whether Ada, or somebody who may, has changed something of hers."""
    _adas_turns: list[Any] = field(default_factory=list)
    _adas_messages: frozenset[tuple[str, str]] = frozenset()

    async def prepare(self) -> None:
        """Ask Ada's questions."""
        for number, place in enumerate((self.private_place, self.group)):
            for text in ("hello", HANGING_QUESTION):
                key = f"ada{number}{text}"
                await self.adapter.inbox(Incoming(EventKind.PROMPT, key, place, self.ada, text, message_id="3"))
        await wait_until(self._is_prepared, 30)
        self._adas_turns = await self.adapter.store.read(adas_turns)
        self._adas_messages = frozenset(self.adapter.sent_messages)

    async def _is_prepared(self) -> bool:
        states = [row.state for row in await self.adapter.store.read(adas_turns)]
        return states == ["done", "running"] * 2

    async def inbox(self, incoming: Incoming) -> None:
        self.received.append(incoming)
        await self.adapter.inbox(incoming)

    async def check(self, deliver: Callable[[], Awaitable[None]]) -> None:
        """Deliver one event and check what happens."""
        self.received.clear()
        self.adapter.places.clear()
        self.adapter.changed_messages.clear()
        last_id = await self.adapter.store.read(last_turn_id)
        async with asyncio.timeout(MAX_EVENT_SECONDS):
            await deliver()
            await wait_until(lambda: self._is_answered(last_id), MAX_EVENT_SECONDS, interval_seconds=0.002)
        assert await self.adapter.store.read(last_turn_id) <= last_id + 1
        assert len({incoming.key for incoming in self.received}) <= 1
        assert set(self.adapter.places) <= {event.place for event in self.received if event.kind != EventKind.MOVED}
        self.is_changed = await self.adapter.store.read(adas_turns) != self._adas_turns
        if not any(map(self._may_change, self.received)):
            assert not self.is_changed
            assert self._adas_messages.isdisjoint(self.adapter.changed_messages)

    async def _is_answered(self, last_id: int) -> bool:
        return await self.adapter.store.read(count_open_turns, last_id) == 0

    def _may_change(self, incoming: Incoming) -> bool:
        """Nobody but Ada writes in her private chat; Telegram's Stop names the chat only."""
        is_hers = incoming.sender.user == self.ada.user or incoming.place == self.private_place
        return is_hers or incoming.sender.is_manager or incoming.kind is EventKind.MOVED

    @property
    def actions(self) -> list[str]:
        """The actions of buttons under Ada's answers, and others."""
        ids = [row.id for row in self._adas_turns]
        return [f"{action}:{id_}" for action in TURN_ACTIONS for id_ in (*ids, 0, 10**17)] + list(OTHER_ACTIONS)

    @property
    def draft_ids(self) -> list[int]:
        return [encode_draft_id(row.id, position) for row in self._adas_turns for position in (0, 1)]


def choose_evenly(random_source: random.Random, events: Iterable[T], kind_of: Callable[[T], object]) -> T:
    """A random event of a random kind: there are many more buttons than messages."""
    by_kind: dict[object, list[T]] = {}
    for event in events:
        by_kind.setdefault(kind_of(event), []).append(event)
    return random_source.choice(random_source.choice(list(by_kind.values())))


def adas_turns(connection: Connection) -> list[Any]:
    """Those that `prepare` stored."""
    columns = (turns.c.id, turns.c.state, turns.c.cancel_requested, turns.c.incoming_json, turns.c.attempt)
    return list(connection.execute(select(*columns).where(turns.c.event_key.contains(":ada")).order_by(turns.c.id)))


def last_turn_id(connection: Connection) -> int:
    return connection.scalar(select(func.coalesce(func.max(turns.c.id), 0))) or 0


def count_open_turns(connection: Connection, after_id: int) -> int:
    is_new_and_open = (turns.c.id > after_id, turns.c.finished_at.is_(None))
    return connection.scalar(select(func.count()).select_from(turns).where(*is_new_and_open)) or 0


@asynccontextmanager
async def running_checked_core(
    folder: Path, adapter: CheckedAdapter, ada: Sender, private_place: Place, group: Place
) -> AsyncIterator[CheckedCore]:
    model = ModelStandIn(tokens_per_second=100_000)
    model.answer = lambda _body: "An answer."
    model.fault_hook = hang_if_asked
    folder.mkdir()
    await model.start()
    try:
        async with running_engine(folder, model, adapter, timings=TIMINGS, open_turns=10_000, first_token_timeout=3600):
            core = CheckedCore(adapter, ada, private_place, group)
            await core.prepare()
            yield core
    finally:
        await model.close()


def hang_if_asked(body: dict[str, Any]) -> Fault | None:
    return stall() if body["messages"][-1]["content"] == HANGING_QUESTION else None
