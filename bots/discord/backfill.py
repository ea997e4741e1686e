"""Reads the messages that a shard missed while it had no session.

Discord replays events when a session is resumed, but not in a new session. When a new session starts,
backfill reads the channels in which somebody recently talked to the bot, from their last stored event
on. Messages that are not stored are handled as if they had just arrived. Other channels are not read.

Example: the bot stored message 10 of a channel and was then offline. Before the new session starts,
`save_checkpoint` notes that the newest stored turn is, say, turn 7. Then `start` reads the channel after
message 10. If the process dies halfway, the next one finds the checkpoint and starts from turn 7 again,
although newer messages have been stored meanwhile.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import discord
import structlog

from bots.discord.errors import PERMANENT_FAILURES
from bots.discord.http_client import HttpClient
from bots.discord.shard_allocator import Shard
from bots.discord.timings import DiscordTimings
from bots.discord.translate import channel_id
from core.backoff import Backoff
from core.clock import wait_for_event
from core.errors import DeliveryError, StoreError
from core.port import Place, StateStore
from core.store.recent_activity import EventHistory

if TYPE_CHECKING:
    from bots.discord.gateway_client import GatewayClient

log = structlog.get_logger(__name__)

MAX_PLACES = 50
PAGE_SIZE = 100
MAX_PAGES_PER_CHANNEL = 5
MAX_CONCURRENT_READS = 4


@dataclass(frozen=True, slots=True)
class BackfillSources:
    history: EventHistory
    state: StateStore
    max_age: float
    """Messages older than this many seconds are not read."""


@dataclass(frozen=True, slots=True)
class StartPoint:
    place: Place
    after: int
    """The ID of the last stored event."""


@dataclass(slots=True)
class ReadResult:
    message_count: int = 0
    is_complete: bool = True
    """Whether every channel was read or can never be read."""


@dataclass(frozen=True, slots=True)
class BackfillCheckpoint:
    """Saved until backfill is finished, so that an interrupted one restarts from the same turn."""

    newest_turn: int
    """The newest stored turn when the first of these attempts started."""
    attempt: str
    """Only the latest attempt may clear the checkpoint, because the shard may have moved to another process."""

    def encode(self) -> str:
        return f"{self.newest_turn} {self.attempt}"

    @classmethod
    def decode(cls, text: str) -> "BackfillCheckpoint":
        newest_turn, _, attempt = text.partition(" ")
        return cls(int(newest_turn), attempt)


class Backfill:
    """Backfill of one shard: `save_checkpoint` before each session, then `start`, at the end `stop`."""

    def __init__(
        self, http: HttpClient, sources: BackfillSources, account: str, shard: Shard, timings: DiscordTimings
    ) -> None:
        self._http = http
        self._sources = sources
        self._account = account
        self._shard = shard
        self._timings = timings
        self._clock = timings.clock
        self._state_name = f"discord.missed.{account}.{shard.count}.{shard.number}"
        self._attempt = ""
        self._start_points: list[StartPoint] | None = None
        """Where the next session starts to read; None if unknown."""
        self._pending_channels: dict[str, asyncio.Event] = {}
        """Channels still to be read, each with an event that is set when it has been read."""
        self._available_guilds: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """Guilds, each with an event that is set when Discord announces it in this session."""
        self._task: asyncio.Task[None] | None = None

    async def save_checkpoint(self) -> None:
        """Save where to start. Call before a new session, which stores newer events."""
        await self.stop()
        self._start_points = None
        try:
            async with asyncio.timeout(self._timings.checkpoint_timeout):
                checkpoint = await self._load_checkpoint()
                activity = await self._sources.history.recent_activity(
                    self._account,
                    max_places=MAX_PLACES,
                    within_seconds=self._timings.activity_window,
                    before_turn=checkpoint.newest_turn if checkpoint else None,
                )
                self._attempt = secrets.token_hex(8)
                newest_turn = checkpoint.newest_turn if checkpoint else activity.newest_turn
                new_checkpoint = BackfillCheckpoint(newest_turn, self._attempt)
                await self._sources.state.save_state(self._state_name, new_checkpoint.encode())
        except (StoreError, TimeoutError) as error:
            log.warning("discord.backfill_unavailable", error=str(error))
            return
        start_points: dict[str, StartPoint] = {}
        for event in activity.latest_events:
            if self._shard.serves(event.place):
                # An archived thread may also be known as a channel: read it once.
                start_points.setdefault(channel_id(event.place), StartPoint(event.place, _snowflake_of(event.key)))
        self._start_points = list(start_points.values())

    def start(self, client: "GatewayClient") -> None:
        """Start to read in the background. Call when its session has started."""
        start_points, self._start_points = self._start_points, None
        if start_points is not None:
            self._available_guilds.clear()
            self._pending_channels = {channel_id(point.place): asyncio.Event() for point in start_points}
            self._task = asyncio.create_task(self._read_all(client, start_points))

    def mark_available(self, guild_id: int) -> None:
        """Call when Discord has announced a guild."""
        self._available_guilds[guild_id].set()

    async def wait_until_read(self, channel: int) -> None:
        """Wait until the missed messages of a channel are handled, or `backfill_order_timeout` has passed."""
        is_read = self._pending_channels.get(str(channel))
        if is_read is not None:
            await wait_for_event(is_read, self._timings.backfill_order_timeout, self._clock)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _read_all(self, client: "GatewayClient", start_points: list[StartPoint]) -> None:
        guilds_expected_until = self._clock.monotonic() + self._timings.guild_timeout
        # Direct messages first, because they need not wait for Discord to announce a guild.
        queue = iter(sorted(start_points, key=lambda point: point.place.server is not None))
        result = ReadResult()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(MAX_CONCURRENT_READS):
                    group.create_task(self._read_queue(client, queue, guilds_expected_until, result))
            if result.is_complete:
                await self._clear_checkpoint()
        except* StoreError as errors:
            log.warning("discord.backfill_failed", error=str(errors.exceptions[0]))
        finally:
            for is_read in self._pending_channels.values():
                is_read.set()
            self._pending_channels = {}
        log.info("discord.backfill_finished", places=len(start_points), messages=result.message_count)

    async def _read_queue(
        self, client: "GatewayClient", queue: Iterator[StartPoint], guilds_expected_until: float, result: ReadResult
    ) -> None:
        """Read channels from the queue, which all readers share with the result. Raises `StoreError`."""
        for point in queue:
            try:
                if await self._is_available(client, point.place, guilds_expected_until):
                    await self._read_channel(client, point, result)
                else:
                    result.is_complete = False
            except DeliveryError as error:
                result.is_complete = result.is_complete and error.failure in PERMANENT_FAILURES
                log.info("discord.backfill_channel_skipped", failure=error.failure)
            finally:
                self._pending_channels.pop(channel_id(point.place)).set()

    async def _load_checkpoint(self) -> BackfillCheckpoint | None:
        text = await self._sources.state.load_state(self._state_name)
        return BackfillCheckpoint.decode(text) if text else None

    async def _clear_checkpoint(self) -> None:
        checkpoint = await self._load_checkpoint()
        if checkpoint is not None and checkpoint.attempt == self._attempt:
            await self._sources.state.save_state(self._state_name, "")

    async def _is_available(self, client: "GatewayClient", place: Place, expected_until: float) -> bool:
        """Wait until Discord has announced the guild of `place`; False if it does not do so in time."""
        if place.server is None or client.get_guild(int(place.server)) is None:
            return True
        seconds = expected_until - self._clock.monotonic()
        return await wait_for_event(self._available_guilds[int(place.server)], seconds, self._clock)

    async def _read_channel(self, client: "GatewayClient", point: StartPoint, result: ReadResult) -> None:
        """Handle the messages after the start point."""
        place = point.place
        if place.server is not None and client.get_guild(int(place.server)) is None:
            return  # the bot has left the guild
        oldest = self._clock.time() - discord.utils.DISCORD_EPOCH / 1000 - self._sources.max_age
        after = max(point.after - _to_snowflake(self._timings.backfill_overlap), _to_snowflake(oldest))
        for _ in range(MAX_PAGES_PER_CHANNEL):
            page = await self._fetch_page(channel_id(place), after)
            stored_keys = await self._sources.history.stored_keys(self._account, [f"m{data['id']}" for data in page])
            for data in page:
                after = max(after, int(data["id"]))
                if f"m{data['id']}" in stored_keys:
                    continue
                if not await client.replay_message(data, place):
                    raise StoreError("A missed message could not be stored")
            result.message_count += len(page)
            if len(page) < PAGE_SIZE:
                return
        log.warning("discord.backfill_truncated", messages=MAX_PAGES_PER_CHANNEL * PAGE_SIZE)

    async def _fetch_page(self, channel: str, after: int) -> list[dict[str, Any]]:
        """The messages after the ID `after`, oldest first. Retries until they are too old."""
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        deadline = self._clock.monotonic() + self._sources.max_age
        while True:
            try:
                page = await self._http.get_list(f"/channels/{channel}/messages?after={after}&limit={PAGE_SIZE}")
            except DeliveryError as error:
                if error.failure in PERMANENT_FAILURES or self._clock.monotonic() > deadline:
                    raise
                await self._clock.sleep(error.retry_after or backoff.next_delay())
            else:
                messages = [data for data in page if str(data.get("id", "")).isdecimal()]
                return sorted(messages, key=lambda data: int(str(data["id"])))


def _snowflake_of(key: str) -> int:
    """The ID of the message or interaction in an event's key."""
    return int(key[1:]) if key[1:].isdecimal() else 0


def _to_snowflake(seconds: float) -> int:
    """Convert seconds to a difference of Discord IDs, whose upper bits are milliseconds."""
    return int(seconds * 1000) << 22
