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

from bots.discord.components import PressedButton, PressedMenu
from bots.discord.intake import Interaction
from bots.discord.missed import Missed
from bots.discord.supervision import Identifies
from core.port import Place

__all__ = ["Gateway", "Listener", "point_at"]

log = structlog.get_logger(__name__)

STRUCTURAL = frozenset({"READY", "RESUMED"})
"""Events without which a connection is of no use."""


class Listener(Protocol):
    """Who the events are for."""

    async def heard(self, message: discord.Message, me: int) -> None: ...
    async def late(self, message: discord.Message, me: int, place: Place) -> bool: ...
    async def commanded(self, interaction: Interaction) -> None: ...
    async def completing(self, interaction: Interaction) -> None: ...
    async def pressed(self, interaction: Interaction, action: str) -> None: ...


def point_at(api_base: str, gateway_url: str) -> None:
    """Direct the library at a server. It keeps both addresses in classes: one for a process."""
    Route.BASE = api_base.rstrip("/")
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def intents(*, message_content: bool) -> discord.Intents:
    wanted = discord.Intents.none()
    wanted.guilds = True
    wanted.guild_messages = True
    wanted.dm_messages = True
    wanted.message_content = message_content
    return wanted


class Gateway(discord.Client):
    """One gateway connection. Keeps no messages and no members."""

    def __init__(
        self,
        listener: Listener,
        identifies: Identifies,
        *,
        message_content: bool = False,
        shard: tuple[int, int] | None = None,
        missed: Missed | None = None,
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
        self._listener = listener
        self._identifies = identifies
        self._missed = missed
        self.add_dynamic_items(PressedButton, PressedMenu)
        self._survive_malformed_events()

    async def on_connect(self) -> None:
        """A new session; one that is resumed comes to `on_resumed`."""
        log.info("discord connected", shard=self.shard_id)
        if self._missed is not None:
            self._missed.begin(self)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        if self._missed is not None:
            self._missed.available(guild.id)

    async def on_ready(self) -> None:
        log.info("discord ready", shard=self.shard_id, servers=len(self.guilds))

    async def on_resumed(self) -> None:
        log.info("discord resumed", shard=self.shard_id)

    async def on_disconnect(self) -> None:
        log.info("discord disconnected", shard=self.shard_id)

    async def on_message(self, message: discord.Message) -> None:
        if self._missed is not None:
            await self._missed.caught_up(message.channel.id)
        if self.user is not None:
            await self._listener.heard(message, self.user.id)

    async def late(self, data: dict[str, Any], place: Place) -> bool:
        """See `bots.discord.missed.Session`. What the library cannot read counts as taken."""
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
        return await self._listener.late(message, self.user.id, place)

    async def on_interaction(self, interaction: Interaction) -> None:
        if interaction.type is discord.InteractionType.application_command:
            await self._listener.commanded(interaction)
        elif interaction.type is discord.InteractionType.autocomplete:
            await self._listener.completing(interaction)

    async def pressed(self, interaction: Interaction, action: str) -> None:
        await self._listener.pressed(interaction, action)

    async def on_error(self, event_method: str, /, *_: Any, **__: Any) -> None:
        """Log what broke, never what the event said."""
        error = sys.exc_info()[0]
        log.error(
            "discord event failed", handler=event_method, error=error.__name__ if error else ""
        )

    async def before_identify_hook(
        self,
        shard_id: int | None,
        *,
        initial: bool = False,  # noqa: ARG002 (the library's signature)
    ) -> None:
        if self._missed is not None:
            await self._missed.note()
        await self._identifies.take(shard_id or 0)

    async def leave_nothing(self) -> None:
        """End what the library leaves behind when it is closed in the middle of connecting: a
        connection with its heartbeats' thread, and the wait for the servers.
        """
        mine = self._connection
        if (waiting := mine._ready_task) is not None:  # noqa: SLF001 (nothing public ends it)
            waiting.cancel()
        for thread in threading.enumerate():
            if not isinstance(thread, KeepAliveHandler) or thread.ws is self.ws:
                continue
            if thread.ws._connection is mine:  # noqa: SLF001 (the same)
                thread.stop()
                await thread.ws.socket.close()

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since Discord last acknowledged a heartbeat; None: never connected."""
        keeper = getattr(self.ws, "_keep_alive", None)
        acknowledged: float | None = getattr(keeper, "_last_ack", None)
        return None if acknowledged is None else time.perf_counter() - acknowledged

    def _survive_malformed_events(self) -> None:
        """An exception in the library's parser would end the whole connection."""
        parsers = self._connection.parsers
        for event, parse in parsers.items():
            if event not in STRUCTURAL:
                parsers[event] = _guarded(event, parse)


def _guarded(event: str, parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def guarded(data: Any) -> Any:
        try:
            return parse(data)
        except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
            log.warning(
                "discord event not understood", event_type=event, error=type(error).__name__
            )
            return None

    return guarded
