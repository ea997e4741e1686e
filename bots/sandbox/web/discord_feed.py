"""Events of Discord's side: what clients of the channels get, the bot's calls, and what became of interactions."""

import contextlib
import re

from bots.sandbox.discord.backend import ACKNOWLEDGE_SECONDS
from bots.sandbox.discord.state import Call, Channel, Guild, Interaction, Message
from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.web.calls import CallReport, masked, masked_path
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.world import World
from core.bounded_dict import BoundedDict

TYPING_SECONDS = 10.0
"""How long clients show it."""
MAX_REACTED_MESSAGES = 1_000


class DiscordFeed:
    """A `ChatObserver`."""

    def __init__(self, world: World, log: EventLog) -> None:
        self._world = world
        self._server = server = world.discord
        self._log = log
        self._reactions: BoundedDict[tuple[int, int], list[tuple[str, str]]] = BoundedDict(MAX_REACTED_MESSAGES)
        """Pairs of emoji and user ID by channel and message."""
        self._typing: set[int] = set()
        self._channel_count = 0
        server.observers.append(self)

    def announce_world(self) -> None:
        server = self._server
        self._channel_count = len(server.channels)
        self._log.add(
            "discord.world",
            "world",
            bot=server.bot.json(),
            people=[{**user.json(), "locale": user.locale} for user in self._world.discord_people],
            guilds=[_guild_json(guild) for guild in server.guilds],
            direct_channels=[
                channel.json()
                for channel in server.channels.values()
                if channel.guild is None and channel.recipients[0] in self._world.discord_people
            ],
        )

    def toggle_reaction(self, message: Message, user_id: str, emoji: str) -> None:
        reactions = self._reactions.setdefault((message.channel.id, message.id), [])
        if (emoji, user_id) in reactions:
            reactions.remove((emoji, user_id))
        else:
            reactions.append((emoji, user_id))
        self._announce_message(message.channel, message)

    async def follow(self, interaction: Interaction) -> None:
        """Announce an interaction and what becomes of it."""
        self._announce_interaction(interaction)
        with contextlib.suppress(TimeoutError):
            await self._server.wait_for(
                lambda: interaction.acknowledged_at is not None or interaction.has_failed, ACKNOWLEDGE_SECONDS + 1
            )
        self._announce_interaction(interaction)

    def observe_chat(self, chat: Channel, event: ChatEvent[Message]) -> None:
        if len(self._server.channels) != self._channel_count:
            self.announce_world()
        if event.kind is ChatEventKind.TYPING:
            self._announce_typing(chat, TYPING_SECONDS)
        elif event.message is not None:
            self._announce_message(chat, event.message)
            if event.message.from_bot and chat.id in self._typing:
                self._announce_typing(chat, 0.0)

    def observe_call(self, call: Call) -> None:
        if len(self._server.channels) != self._channel_count or (call.method, call.status) == ("PATCH", 200):
            self._announce_changed_channels(call)
        if call.path.endswith("/commands") and call.method == "PUT" and call.status == 200:
            self._log.add("discord.commands", "commands", commands=self._server.commands)
        path = call.path.removeprefix("/")
        self._announce_reaction(call)
        response = call.result if isinstance(call.result, dict | list) else {}
        CallReport(
            platform="discord",
            method=f"{call.method} {masked_path(call.path)}",
            target=_target(path),
            started_at=call.time,
            status=call.status,
            request=masked(call.body),
            response=masked(call.result),
            gauges=self._server.rate_limits.gauges(call.method, path),
            wait=response.get("retry_after") if isinstance(response, dict) else None,
        ).announce(self._log, self._server.clock)

    def _announce_changed_channels(self, call: Call) -> None:
        if re.fullmatch(r"/channels/\d+(/threads)?", call.path):
            self.announce_world()

    def _announce_reaction(self, call: Call) -> None:
        match = re.fullmatch(r"/channels/(\d+)/messages/(\d+)/reactions/.*", call.path)
        channel = self._server.channels.get(match[1]) if match and call.status == 204 else None
        message = channel.find_message(match[2]) if match and channel is not None else None
        if channel is not None and message is not None:
            self._announce_message(channel, message)

    def _announce_message(self, channel: Channel, message: Message) -> None:
        reactions = {emoji: [str(self._server.bot.id)] for emoji in message.reactions}
        for emoji, user_id in self._reactions.get((channel.id, message.id), []):
            reactions.setdefault(emoji, []).append(user_id)
        self._log.add(
            "discord.message",
            str(message.id),
            channel_id=str(channel.id),
            message=message.json(),
            ephemeral_to=None if message.ephemeral_to is None else str(message.ephemeral_to),
            is_deleted=message.is_deleted,
            reactions=reactions,
        )

    def _announce_typing(self, channel: Channel, seconds: float) -> None:
        self._typing = self._typing | {channel.id} if seconds else self._typing - {channel.id}
        until = self._server.clock.time() + seconds
        self._log.add("discord.typing", str(channel.id), channel_id=str(channel.id), until=until)

    def _announce_interaction(self, interaction: Interaction) -> None:
        is_acknowledged = interaction.acknowledged_at is not None
        self._log.add(
            "discord.interaction",
            str(interaction.id),
            interaction_id=str(interaction.id),
            user_id=str(interaction.user.id),
            channel_id=str(interaction.channel.id),
            message_id=None if interaction.message is None else str(interaction.message.id),
            kind=interaction.type,
            state="acknowledged" if is_acknowledged else "failed" if interaction.has_failed else "pending",
            modal=interaction.modal,
        )


def _guild_json(guild: Guild) -> Json:
    return {
        "id": str(guild.id),
        "name": guild.name,
        "members": [str(member.id) for member in guild.members],
        "channels": [channel.json() for channel in guild.channels],
    }


def _target(path: str) -> str:
    match = re.match(r"channels/(\d+)", path)
    return match[1] if match else ""
