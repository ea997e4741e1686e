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

from bots.discord.command_sync import StateStore
from bots.discord.http_client import HttpClient
from bots.discord.identify_limiter import Backoff
from bots.discord.timings import DiscordTimings
from core.errors import DeliveryError, DeliveryFailure, StoreError
from core.port import Incoming, Place
from core.store.recent_activity import RecentActivity

__all__ = ["Backfill", "BackfillSources", "GatewaySession", "SupportsHistory"]

log = structlog.get_logger(__name__)

MAX_PLACES = 50
ACTIVITY_SECONDS = 24 * 60 * 60.0
"""Seconds since somebody talked to the bot in a channel that is still looked at."""
PAGE_SIZE, MAX_PAGES = 100, 5
MAX_CONCURRENT_READS = 4  # channels read
OVERLAP_SECONDS = 15.0
"""Seconds before the last event: events of a session are kept in no certain order."""
MARK_TIMEOUT_SECONDS = 3.0
"""Seconds for the store before a session is begun without its help."""
DISCORD_EPOCH = 1_420_070_400.0
PERMANENT_FAILURES = (DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE, DeliveryFailure.REJECTED)


class SupportsHistory(Protocol):
    """See `core.store.recent_activity`."""

    async def recent_activity(
        self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
    ) -> RecentActivity: ...
    async def stored_keys(self, account: str, keys: Sequence[str]) -> set[str]: ...


class GatewaySession(Protocol):
    """The gateway client, as far as it matters here."""

    def get_guild(self, id_: int, /) -> discord.Guild | None: ...

    async def replay_message(self, data: dict[str, Any], place: Place) -> bool:
        """Take a message of `place` as if it had just come; whether it could be kept."""


@dataclass(frozen=True, slots=True)
class BackfillSources:
    """What the store knows, and what outlives the process; `too_old` in seconds."""

    history: SupportsHistory
    state: StateStore
    max_age: float


class Backfill:
    """One shard's; `stop` ends what runs."""

    def __init__(
        self,
        http: HttpClient,
        sources: BackfillSources,
        account: str,
        shard: tuple[int, int],
        timings: DiscordTimings,
    ) -> None:
        self._http = http
        self._sources = sources
        self._account = account
        self._shard = shard
        self._timings = timings
        self._mark_name = f"discord.missed.{account}.{shard[1]}.{shard[0]}"
        self._mark_id = ""
        """Names the one noted last, so that who lost the shard meanwhile does not end the mark."""
        self._start_points: dict[Place, int] | None = None
        """Where the session to come has to look, and from which message on."""
        self._pending_channels: dict[str, asyncio.Event] = {}
        self._available_guilds: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """Servers Discord has told of in this session."""
        self._task: asyncio.Task[None] | None = None

    async def save_mark(self) -> None:
        """Note what was heard last, before a session begins in which more is heard."""
        await self.stop()
        self._start_points = None
        try:
            async with asyncio.timeout(MARK_TIMEOUT_SECONDS):
                mark = await self._sources.state.load_state(self._mark_name)
                before = int(mark.partition(" ")[0]) if mark else None
                activity = await self._sources.history.recent_activity(
                    self._account,
                    max_places=MAX_PLACES,
                    within_seconds=ACTIVITY_SECONDS,
                    before_turn=before,
                )
                self._mark_id = secrets.token_hex(8)
                horizon = activity.newest_turn if before is None else before
                await self._sources.state.save_state(self._mark_name, f"{horizon} {self._mark_id}")
        except (StoreError, TimeoutError) as error:
            log.warning("discord does not know what it may have missed", error=str(error))
            return
        latest_by_channel: dict[str, Incoming] = {}
        for one in activity.latest_events:
            if self._is_on_shard(one.place):
                # A thread that slept may be known as a channel, too: it is read once.
                latest_by_channel.setdefault(_channel_id(one.place), one)
        self._start_points = {one.place: _snowflake_of(one.key) for one in latest_by_channel.values()}

    def start(self, session: GatewaySession) -> None:
        """The session has begun: look, beside all that it hears."""
        start_points, self._start_points = self._start_points, None
        if start_points is not None:
            self._available_guilds.clear()
            self._pending_channels = {_channel_id(place): asyncio.Event() for place in start_points}
            self._task = asyncio.create_task(self._read_all(session, start_points))

    def mark_available(self, guild_id: int) -> None:
        """Discord has told what there is in a server."""
        self._available_guilds[guild_id].set()

    async def wait_until_read(self, channel_id: int) -> None:
        """Wait, not for long, until what was said in `channel` before has been taken."""
        finished = self._pending_channels.get(str(channel_id))
        if finished is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timings.backfill_order_timeout):
                    await finished.wait()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _is_on_shard(self, place: Place) -> bool:
        """Whether this shard may read there; direct messages go to the first."""
        number, count = self._shard
        if place.server is None:
            return place.private and number == 0
        return (int(place.server) >> 22) % count == number

    async def _read_all(self, session: GatewaySession, start_points: dict[Place, int]) -> None:
        started = time.monotonic()
        # Where Discord has not told of the server yet can wait for those that cannot.
        places = iter(sorted(start_points.items(), key=lambda one: one[0].server is not None))
        message_count = 0
        try:
            async with asyncio.TaskGroup() as group:
                readers = [
                    group.create_task(self._read_places(session, places, started)) for _ in range(MAX_CONCURRENT_READS)
                ]
            message_count = sum(reader.result()[0] for reader in readers)
            if all(reader.result()[1] for reader in readers):
                await self._clear_mark()
        except* StoreError as errors:
            error = errors.exceptions[0]
            log.warning("discord did not find all it missed", error=str(error))
        finally:
            for reading in self._pending_channels.values():
                reading.set()
            self._pending_channels = {}
        log.info("discord looked for what it missed", places=len(start_points), messages=message_count)

    async def _read_places(
        self, session: GatewaySession, places: Iterator[tuple[Place, int]], started: float
    ) -> tuple[int, bool]:
        """Read what nobody else has begun to; how many messages it was, and whether all were
        found. Raises `StoreError`.
        """
        message_count, is_complete = 0, True
        for place, after in places:
            try:
                if await self._is_available(session, place, started):
                    message_count += await self._read_channel(session, place, after)
                else:
                    is_complete = False
            except DeliveryError as error:
                is_complete = is_complete and error.failure in PERMANENT_FAILURES
                log.info("discord channel not looked at", fault=error.failure)
            finally:
                self._pending_channels.pop(_channel_id(place)).set()
        return message_count, is_complete

    async def _clear_mark(self) -> None:
        mark = await self._sources.state.load_state(self._mark_name)
        if mark and mark.partition(" ")[2] == self._mark_id:
            await self._sources.state.save_state(self._mark_name, "")

    async def _is_available(self, session: GatewaySession, place: Place, started: float) -> bool:
        """Whether the place's server can be read; True too where there is nothing to wait for."""
        if place.server is None or session.get_guild(int(place.server)) is None:
            return True
        try:
            async with asyncio.timeout(started + self._timings.guild_timeout - time.monotonic()):
                await self._available_guilds[int(place.server)].wait()
        except TimeoutError:
            return False
        return True

    async def _read_channel(self, session: GatewaySession, place: Place, after: int) -> int:
        """Take what was said in `place` after the message `after`; how many messages it was."""
        if place.server is not None and session.get_guild(int(place.server)) is None:
            return 0  # not a member any more
        after = max(
            after - _seconds_to_snowflake(OVERLAP_SECONDS),
            _now_snowflake() - _seconds_to_snowflake(self._sources.max_age),
        )
        message_count = 0
        for _ in range(MAX_PAGES):
            page = await self._fetch_page(_channel_id(place), after)
            known = await self._sources.history.stored_keys(self._account, [f"m{data['id']}" for data in page])
            for data in page:
                after = max(after, int(data["id"]))
                if f"m{data['id']}" in known:
                    continue
                if not await session.replay_message(data, place):
                    raise StoreError("A message could not be kept.")
            message_count += len(page)
            if len(page) < PAGE_SIZE:
                return message_count
        log.warning("discord channel has more than is looked at", messages=message_count)
        return message_count

    async def _fetch_page(self, channel: str, after: int) -> list[dict[str, Any]]:
        """Messages after `after`, oldest first. Tries for as long as they are worth it."""
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        deadline = time.monotonic() + self._sources.max_age
        while True:
            try:
                page = await self._http.get_list(f"/channels/{channel}/messages?after={after}&limit={PAGE_SIZE}")
            except DeliveryError as error:
                if error.failure in PERMANENT_FAILURES or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(error.retry_after or backoff.next_delay(0))
            else:
                known = [data for data in page if str(data.get("id", "")).isdecimal()]
                return sorted(known, key=lambda data: int(data["id"]))


def _channel_id(place: Place) -> str:
    return place.thread or place.chat


def _snowflake_of(key: str) -> int:
    """The time of an event, as the id that its key holds: a message's or an interaction's."""
    return int(key[1:]) if key[1:].isdecimal() else 0


def _now_snowflake() -> int:
    return _seconds_to_snowflake(time.time() - DISCORD_EPOCH)


def _seconds_to_snowflake(seconds: float) -> int:
    """So many seconds, in ids."""
    return int(seconds * 1000) << 22
