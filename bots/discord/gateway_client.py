"""discord.py's client, reduced to receiving events and passing them on."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.http import Route

from bots.discord.backfill import Backfill
from bots.discord.identify_limiter import IdentifyLimiter
from bots.discord.receiving import EventReceiver
from bots.discord.shard_allocator import Shard
from bots.discord.translate import Interaction
from core.clock import Clock
from core.port import Place
from core.proxies import find_proxy

log = structlog.get_logger(__name__)

INTERACTION_HANDLERS = {
    discord.InteractionType.application_command: EventReceiver.handle_command,
    discord.InteractionType.autocomplete: EventReceiver.handle_autocomplete,
    discord.InteractionType.component: EventReceiver.handle_button,
    discord.InteractionType.modal_submit: EventReceiver.handle_modal,
}
"""By type. `tests/end_to_end/test_entry_points.py` has a case for each."""

ESSENTIAL_EVENTS = frozenset({"READY", "RESUMED"})
"""If an event of these types cannot be parsed, the connection is useless."""

MESSAGE_EVENTS = ("MESSAGE_CREATE", "MESSAGE_UPDATE")
"""Discord also sends those of bots, which are not answered: each part and each edit of the bot's own answers."""


def set_library_urls(api_base: str, gateway_url: str) -> None:
    """Set the library's server for the whole process, because the library stores both URLs in classes."""
    Route.BASE = api_base
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


class GatewayClient(discord.Client):
    """One gateway connection. Caches no messages and no members."""

    def __init__(
        self,
        receiver: EventReceiver,
        identify_limiter: IdentifyLimiter,
        *,
        message_content: bool,
        shard: Shard,
        backfill: Backfill | None,
        clock: Clock,
    ) -> None:
        is_sharded = shard.count > 1
        super().__init__(
            intents=discord.Intents(
                guilds=True, guild_messages=True, dm_messages=True, message_content=message_content
            ),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            shard_id=shard.number if is_sharded else None,
            shard_count=shard.count if is_sharded else None,
            proxy=find_proxy(Route.BASE),  # for `login`
        )
        self.server_url = Route.BASE
        """Where it connects to: the REST API until it has logged in, then the gateway."""
        self._receiver = receiver
        self._identify_limiter = identify_limiter
        self._clock = clock
        self._backfill = backfill
        self.is_connected = False
        """Whether there is a session whose events arrive."""
        self._lost_at: float | None = None
        """When the connection was lost (`Clock.monotonic`); None while there is one."""
        self._guard_parsers()

    async def connect(self, *, reconnect: bool = True) -> None:
        self.server_url = str(DiscordWebSocket.DEFAULT_GATEWAY)
        self.http.proxy = find_proxy(self.server_url)
        try:
            await super().connect(reconnect=reconnect)
        except AttributeError as error:
            # The library fails in this way when the first connection could not be opened.
            raise error.__context__ or error from None

    async def on_connect(self) -> None:
        """Called for new sessions; `on_resumed` is called for resumed ones."""
        log.info("discord.connected", shard=self.shard_id)
        self._record_session()
        if self._backfill is not None:
            self._backfill.start(self)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        if self._backfill is not None:
            self._backfill.mark_available(guild.id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Called when the bot is added to a server, not when it connects."""
        await self._receiver.handle_guild_join(guild)

    async def on_ready(self) -> None:
        log.info("discord.ready", shard=self.shard_id, servers=len(self.guilds))

    async def on_resumed(self) -> None:
        log.info("discord.resumed", shard=self.shard_id)
        self._record_session()

    async def on_disconnect(self) -> None:
        log.info("discord.disconnected", shard=self.shard_id)
        self.is_connected = False
        if self._lost_at is None:
            self._lost_at = self._clock.monotonic()

    def _record_session(self) -> None:
        self.is_connected = True
        self._lost_at = None

    async def on_message(self, message: discord.Message) -> None:
        if self._backfill is not None:
            await self._backfill.wait_until_read(message.channel.id)
        if self.user is not None:
            await self._receiver.intake.finish(self._receiver.handle_message(message, self.user.id))

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Also called when Discord adds a link preview; `edited_at` is then missing, or has been reported already."""
        message = payload.message
        if self.user is not None and message.edited_at is not None:
            # Through as many tasks as the message itself, or it would overtake that.
            await self._receiver.intake.finish(self._receiver.handle_edit(message, self.user.id))

    async def replay_message(self, data: dict[str, Any], place: Place) -> bool:
        """Handle a message of `place` as if it had just arrived; False if it could not be stored.

        A message the library cannot read is skipped.
        """
        if place.server is not None:
            data = {**data, "guild_id": place.server}
        try:
            channel, _ = self._connection._get_guild_channel(data)  # type: ignore[arg-type]  # noqa: SLF001 (as the library's parser does)
            message = discord.Message(state=self._connection, channel=channel, data=data)  # type: ignore[arg-type]  # Discord's own JSON
        except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
            log.warning("discord.message_unreadable", error=type(error).__name__)
            return True
        if self.user is None:
            return False
        return await self._receiver.handle_missed_message(message, self.user.id, place)

    async def on_interaction(self, interaction: Interaction) -> None:
        if (handle := INTERACTION_HANDLERS.get(interaction.type)) is not None:
            await self._receiver.intake.finish(handle(self._receiver, interaction))

    async def on_error(self, event_method: str, /, *_: Any, **__: Any) -> None:
        """Log only the type of the error, because its text may contain a person's message."""
        error = sys.exc_info()[0]
        log.error("discord.event_failed", handler=event_method, error=error.__name__ if error else "")

    async def before_identify_hook(
        self,
        shard_id: int | None,
        *,
        initial: bool = False,  # noqa: ARG002 (the library's signature)
    ) -> None:
        if self._backfill is not None:
            await self._backfill.save_checkpoint()
        await self._identify_limiter.consume(shard_id or 0)

    async def clean_up(self) -> None:
        """Clean up what the library leaves behind: the connection of a client that was closed while connecting,
        heartbeat threads, and the task that waits for the guilds.
        """
        own_state = self._connection
        if (ready_task := own_state._ready_task) is not None:  # noqa: SLF001 (there is no public way)
            ready_task.cancel()
        current = getattr(self.ws, "_keep_alive", None)  # ends with its connection
        for thread in threading.enumerate():
            if not isinstance(thread, KeepAliveHandler) or thread is current:
                continue
            if thread.ws._connection is own_state:  # noqa: SLF001 (there is no public way)
                thread.stop()
                if thread.ws is not self.ws:
                    await thread.ws.socket.close()

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since Discord last acknowledged a heartbeat; None before the first connection."""
        keep_alive = getattr(self.ws, "_keep_alive", None)
        acknowledged: float | None = getattr(keep_alive, "_last_ack", None)
        return None if acknowledged is None else time.perf_counter() - acknowledged  # the library's clock

    @property
    def seconds_without_session(self) -> float:
        """How long the library has tried in vain to resume its session."""
        return 0.0 if self._lost_at is None else self._clock.monotonic() - self._lost_at

    def _guard_parsers(self) -> None:
        """Skip events that need no parsing, and log exceptions of the library's parsers, which would otherwise end the
        connection.
        """
        parsers = self._connection.parsers
        for event in MESSAGE_EVENTS:
            parsers[event] = _ignore_bots(parsers[event])
        for event, parse in parsers.items():
            if event not in ESSENTIAL_EVENTS:
                parsers[event] = _log_parse_errors(event, parse)


def _ignore_bots(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_of_people(data: Any) -> Any:
        return None if data.get("author", {}).get("bot") else parse(data)

    return parse_of_people


def _log_parse_errors(event: str, parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_safely(data: Any) -> Any:
        try:
            return parse(data)
        except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
            log.warning("discord.event_unreadable", event_type=event, error=type(error).__name__)
            return None

    return parse_safely
