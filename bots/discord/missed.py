"""What people said while a shard had no session: looked up after a new one has begun.

Discord repeats events to a session that is resumed, not to a new one. So the channels in which
somebody talked to the bot lately are read from the last event on; the store knows what of it had
arrived. Where nobody talked to the bot before, or not lately, nothing is found.
"""

import asyncio
import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import discord
import structlog

from bots.discord.rest import Rest
from bots.discord.supervision import Backoff
from bots.discord.synchronisation import Remember
from bots.discord.timing import Timing
from core.errors import DeliveryError, Fault, StoreError
from core.port import Incoming, Place
from core.store.heard import Heard

__all__ = ["History", "Memory", "Missed", "Session"]

log = structlog.get_logger(__name__)

MOST_PLACES = 50
LATELY = 24 * 60 * 60.0
"""Seconds since somebody talked to the bot in a channel that is still looked at."""
PAGE, MOST_PAGES = 100, 5
AT_ONCE = 4  # channels read
OVERLAP = 15.0
"""Seconds before the last event: events of a session are kept in no certain order."""
NOTING = 3.0
"""Seconds for the store before a session is begun without its help."""
EPOCH = 1_420_070_400.0
LASTING = (Fault.FORBIDDEN, Fault.GONE, Fault.REJECTED)


class History(Protocol):
    """See `core.store.heard`."""

    async def last_heard(
        self, account: str, *, most: int, within: float, before: int | None
    ) -> Heard: ...
    async def known(self, account: str, keys: Sequence[str]) -> set[str]: ...


class Session(Protocol):
    """The gateway client, as far as it matters here."""

    def get_guild(self, id_: int, /) -> discord.Guild | None: ...

    async def late(self, data: dict[str, Any], place: Place) -> bool:
        """Take a message of `place` as if it had just come; whether it could be kept."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the store knows, and what outlives the process; `too_old` in seconds."""

    history: History
    remember: Remember
    too_old: float


class Missed:
    """One shard's; `stop` ends what runs."""

    def __init__(
        self, rest: Rest, memory: Memory, account: str, shard: tuple[int, int], timing: Timing
    ) -> None:
        self._rest = rest
        self._memory = memory
        self._account = account
        self._shard = shard
        self._timing = timing
        self._mark = f"discord.missed.{account}.{shard[1]}.{shard[0]}"
        self._session = ""
        """Names the one noted last, so that who lost the shard meanwhile does not end the mark."""
        self._after: dict[Place, int] | None = None
        """Where the session to come has to look, and from which message on."""
        self._reading: dict[str, asyncio.Event] = {}
        self._told: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """Servers Discord has told of in this session."""
        self._task: asyncio.Task[None] | None = None

    async def note(self) -> None:
        """Note what was heard last, before a session begins in which more is heard."""
        await self.stop()
        self._after = None
        try:
            async with asyncio.timeout(NOTING):
                mark = await self._memory.remember.recall(self._mark)
                before = int(mark.partition(" ")[0]) if mark else None
                heard = await self._memory.history.last_heard(
                    self._account, most=MOST_PLACES, within=LATELY, before=before
                )
                self._session = secrets.token_hex(8)
                horizon = heard.horizon if before is None else before
                await self._memory.remember.remember(self._mark, f"{horizon} {self._session}")
        except (StoreError, TimeoutError) as error:
            log.warning("discord does not know what it may have missed", error=str(error))
            return
        latest: dict[str, Incoming] = {}
        for one in heard.latest:
            if self._concerns(one.place):
                # A thread that slept may be known as a channel, too: it is read once.
                latest.setdefault(_channel(one.place), one)
        self._after = {one.place: _last(one.key) for one in latest.values()}

    def begin(self, session: Session) -> None:
        """The session has begun: look, beside all that it hears."""
        wanted, self._after = self._after, None
        if wanted is not None:
            self._told.clear()
            self._reading = {_channel(place): asyncio.Event() for place in wanted}
            self._task = asyncio.create_task(self._read_all(session, wanted))

    def available(self, guild: int) -> None:
        """Discord has told what there is in a server."""
        self._told[guild].set()

    async def caught_up(self, channel: int) -> None:
        """Wait, not for long, until what was said in `channel` before has been taken."""
        reading = self._reading.get(str(channel))
        if reading is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.in_order):
                    await reading.wait()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _concerns(self, place: Place) -> bool:
        """Whether this shard may read there; direct messages go to the first."""
        number, count = self._shard
        if place.server is None:
            return place.private and number == 0
        return (int(place.server) >> 22) % count == number

    async def _read_all(self, session: Session, wanted: dict[Place, int]) -> None:
        began = time.monotonic()
        # Where Discord has not told of the server yet can wait for those that cannot.
        places = iter(sorted(wanted.items(), key=lambda one: one[0].server is not None))
        found = 0
        try:
            async with asyncio.TaskGroup() as group:
                readers = [
                    group.create_task(self._read_some(session, places, began))
                    for _ in range(AT_ONCE)
                ]
            found = sum(reader.result()[0] for reader in readers)
            if all(reader.result()[1] for reader in readers):
                await self._end_mark()
        except* StoreError as errors:
            error = errors.exceptions[0]
            log.warning("discord did not find all it missed", error=str(error))
        finally:
            for reading in self._reading.values():
                reading.set()
            self._reading = {}
        log.info("discord looked for what it missed", places=len(wanted), messages=found)

    async def _read_some(
        self, session: Session, places: Iterator[tuple[Place, int]], began: float
    ) -> tuple[int, bool]:
        """Read what nobody else has begun to; how many messages it was, and whether all were
        found. Raises `StoreError`.
        """
        found, whole = 0, True
        for place, after in places:
            try:
                if await self._there(session, place, began):
                    found += await self._read(session, place, after)
                else:
                    whole = False
            except DeliveryError as error:
                whole = whole and error.fault in LASTING
                log.info("discord channel not looked at", fault=error.fault)
            finally:
                self._reading.pop(_channel(place)).set()
        return found, whole

    async def _end_mark(self) -> None:
        mark = await self._memory.remember.recall(self._mark)
        if mark and mark.partition(" ")[2] == self._session:
            await self._memory.remember.remember(self._mark, "")

    async def _there(self, session: Session, place: Place, began: float) -> bool:
        """Whether the place's server can be read; True too where there is nothing to wait for."""
        if place.server is None or session.get_guild(int(place.server)) is None:
            return True
        try:
            async with asyncio.timeout(began + self._timing.guilds - time.monotonic()):
                await self._told[int(place.server)].wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, session: Session, place: Place, after: int) -> int:
        """Take what was said in `place` after the message `after`; how many messages it was."""
        if place.server is not None and session.get_guild(int(place.server)) is None:
            return 0  # not a member any more
        after = max(after - _span(OVERLAP), _now() - _span(self._memory.too_old))
        looked = 0
        for _ in range(MOST_PAGES):
            page = await self._page(_channel(place), after)
            known = await self._memory.history.known(
                self._account, [f"m{data['id']}" for data in page]
            )
            for data in page:
                after = max(after, int(data["id"]))
                if f"m{data['id']}" in known:
                    continue
                if not await session.late(data, place):
                    raise StoreError("A message could not be kept.")
            looked += len(page)
            if len(page) < PAGE:
                return looked
        log.warning("discord channel has more than is looked at", messages=looked)
        return looked

    async def _page(self, channel: str, after: int) -> list[dict[str, Any]]:
        """Messages after `after`, oldest first. Tries for as long as they are worth it."""
        backoff = Backoff(self._timing.first_retry, self._timing.last_retry)
        give_up = time.monotonic() + self._memory.too_old
        while True:
            try:
                page = await self._rest.rows(
                    f"/channels/{channel}/messages?after={after}&limit={PAGE}"
                )
            except DeliveryError as error:
                if error.fault in LASTING or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(error.retry_after or backoff.after(0))
            else:
                known = [data for data in page if str(data.get("id", "")).isdecimal()]
                return sorted(known, key=lambda data: int(data["id"]))


def _channel(place: Place) -> str:
    return place.thread or place.chat


def _last(key: str) -> int:
    """The time of an event, as the id that its key holds: a message's or an interaction's."""
    return int(key[1:]) if key[1:].isdecimal() else 0


def _now() -> int:
    return _span(time.time() - EPOCH)


def _span(seconds: float) -> int:
    """So many seconds, in ids."""
    return int(seconds * 1000) << 22
