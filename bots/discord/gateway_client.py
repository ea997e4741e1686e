"""discord.py's client, as small as it gets: it listens and hands on."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.http import Route

from bots.discord.backfill import Backfill
from bots.discord.buttons import PressedButton, PressedMenu
from bots.discord.identify_limiter import IdentifyLimiter
from bots.discord.translate import Interaction
from core.port import Place

__all__ = ["EventHandler", "GatewayClient", "set_library_urls"]

log = structlog.get_logger(__name__)

ESSENTIAL_EVENTS = frozenset({"READY", "RESUMED"})
"""Events without which a connection is of no use."""


class EventHandler(Protocol):
    """Who the events are for."""

    async def handle_message(self, message: discord.Message, bot_id: int) -> None: ...
    async def handle_missed_message(self, message: discord.Message, bot_id: int, place: Place) -> bool: ...
    async def handle_command(self, interaction: Interaction) -> None: ...
    async def handle_autocomplete(self, interaction: Interaction) -> None: ...
    async def handle_button(self, interaction: Interaction, action: str) -> None: ...


def set_library_urls(api_base: str, gateway_url: str) -> None:
    """Direct the library at a server. It keeps both addresses in classes: one for a process."""
    Route.BASE = api_base.rstrip("/")
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def intents(*, message_content: bool) -> discord.Intents:
    required = discord.Intents.none()
    required.guilds = True
    required.guild_messages = True
    required.dm_messages = True
    required.message_content = message_content
    return required


class GatewayClient(discord.Client):
    """One gateway connection. Keeps no messages and no members."""

    def __init__(
        self,
        event_handler: EventHandler,
        identify_limiter: IdentifyLimiter,
        *,
        message_content: bool = False,
        shard: tuple[int, int] | None = None,
        backfill: Backfill | None = None,
    ) -> None:
        super().__init__(
            intents=intents(message_content=message_content),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            shard_id=shard[0] if shard else None,
            shard_count=shard[1] if shard else None,
        )
        self._event_handler = event_handler
        self._identify_limiter = identify_limiter
        self._backfill = backfill
        self.add_dynamic_items(PressedButton, PressedMenu)
        self._guard_parsers()

    async def on_connect(self) -> None:
        """A new session; one that is resumed comes to `on_resumed`."""
        log.info("discord connected", shard=self.shard_id)
        if self._backfill is not None:
            self._backfill.start(self)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        if self._backfill is not None:
            self._backfill.mark_available(guild.id)

    async def on_ready(self) -> None:
        log.info("discord ready", shard=self.shard_id, servers=len(self.guilds))

    async def on_resumed(self) -> None:
        log.info("discord resumed", shard=self.shard_id)

    async def on_disconnect(self) -> None:
        log.info("discord disconnected", shard=self.shard_id)

    async def on_message(self, message: discord.Message) -> None:
        if self._backfill is not None:
            await self._backfill.wait_until_read(message.channel.id)
        if self.user is not None:
            await self._event_handler.handle_message(message, self.user.id)

    async def replay_message(self, data: dict[str, Any], place: Place) -> bool:
        """See `bots.discord.backfill.Session`. What the library cannot read counts as taken."""
        if place.server is not None:
            data = {**data, "guild_id": place.server}
        try:
            channel, _ = self._connection._get_guild_channel(data)  # type: ignore[arg-type]  # noqa: SLF001 (as its own parser)
            message = discord.Message(state=self._connection, channel=channel, data=data)  # type: ignore[arg-type]  # as Discord sent it
        except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
            log.warning("discord message not understood", error=type(error).__name__)
            return True
        if self.user is None:
            return False
        return await self._event_handler.handle_missed_message(message, self.user.id, place)

    async def on_interaction(self, interaction: Interaction) -> None:
        if interaction.type is discord.InteractionType.application_command:
            await self._event_handler.handle_command(interaction)
        elif interaction.type is discord.InteractionType.autocomplete:
            await self._event_handler.handle_autocomplete(interaction)

    async def handle_button(self, interaction: Interaction, action: str) -> None:
        await self._event_handler.handle_button(interaction, action)

    async def on_error(self, event_method: str, /, *_: Any, **__: Any) -> None:
        """Log what broke, never what the event said."""
        error = sys.exc_info()[0]
        log.error("discord event failed", handler=event_method, error=error.__name__ if error else "")

    async def before_identify_hook(
        self,
        shard_id: int | None,
        *,
        initial: bool = False,  # noqa: ARG002 (the library's signature)
    ) -> None:
        if self._backfill is not None:
            await self._backfill.save_mark()
        await self._identify_limiter.consume(shard_id or 0)

    async def clean_up(self) -> None:
        """End what the library leaves behind when it is closed in the middle of connecting: a
        connection with its heartbeats' thread, and the wait for the servers.
        """
        own_state = self._connection
        if (waiting := own_state._ready_task) is not None:  # noqa: SLF001 (nothing public ends it)
            waiting.cancel()
        for thread in threading.enumerate():
            if not isinstance(thread, KeepAliveHandler) or thread.ws is self.ws:
                continue
            if thread.ws._connection is own_state:  # noqa: SLF001 (the same)
                thread.stop()
                await thread.ws.socket.close()

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since Discord last acknowledged a heartbeat; None: never connected."""
        keep_alive = getattr(self.ws, "_keep_alive", None)
        acknowledged: float | None = getattr(keep_alive, "_last_ack", None)
        return None if acknowledged is None else time.perf_counter() - acknowledged

    def _guard_parsers(self) -> None:
        """An exception in the library's parser would end the whole connection."""
        parsers = self._connection.parsers
        for event, parse in parsers.items():
            if event not in ESSENTIAL_EVENTS:
                parsers[event] = _log_parse_errors(event, parse)


def _log_parse_errors(event: str, parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_safely(data: Any) -> Any:
        try:
            return parse(data)
        except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
            log.warning("discord event not understood", event_type=event, error=type(error).__name__)
            return None

    return parse_safely
