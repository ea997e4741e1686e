"""Guilds, their members, channels and threads over REST."""

from bots.sandbox.discord.rules import Refusal, invalid, unknown
from bots.sandbox.discord.scene import Scene, member_json
from bots.sandbox.discord.world import (
    MANAGE_THREADS,
    START_THREADS,
    Channel,
    Created,
    Json,
    Message,
)

__all__ = ["Places"]

ARCHIVED_AFTER = (60, 1440, 4320, 10080)  # minutes
MORE: Json = {
    "home_header": None, "widget_enabled": False, "widget_channel_id": None, "max_members": 500_000,
    "max_presences": None, "max_stage_video_channel_users": 50, "max_video_channel_users": 25,
    "premium_subscription_count": 0,
}  # fmt: skip
"""What a guild shows over REST only."""


class Places:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def guild(self, id_: str, rest: list[str]) -> Json:
        """A guild or, where `rest` says so, one of its members."""
        guild = next((g for g in self._scene.guilds if str(g.id) == id_ and g.joined), None)
        if guild is None:
            raise unknown("guild")
        match rest:
            case []:
                shown = self._scene.guild_json(guild)
                inside = ("channels", "threads", "members", "presences", "voice_states")
                return {key: value for key, value in shown.items() if key not in inside} | MORE
            case ["members", user]:
                everybody = [*guild.members, self._scene.bot]
                person = next((one for one in everybody if str(one.id) == user), None)
                if person is None:
                    raise unknown("member")
                return member_json(person)
        raise Refusal(404, 0, "404: Not Found")

    async def change(self, channel: Channel, body: Json) -> Json:
        """Of channels only threads change: archived, locked, renamed."""
        if channel.parent is None:
            raise Refusal(403, 50013, "Missing Permissions")
        own = channel.owner == self._scene.bot.id
        if not (own or channel.may(MANAGE_THREADS)) and body != {"archived": False}:
            raise Refusal(403, 50013, "Missing Permissions")
        if channel.locked and not channel.may(MANAGE_THREADS):
            raise Refusal(400, 160005, "This thread is locked")
        if "locked" in body and not channel.may(MANAGE_THREADS):
            raise Refusal(403, 50013, "Missing Permissions")
        if channel.archived and not ("archived" in body and not body["archived"]):
            raise Refusal(400, 50083, "Thread is archived")
        if "name" in body:
            channel.name = _name(body)
        channel.archived = bool(body.get("archived", channel.archived))
        channel.locked = bool(body.get("locked", channel.locked))
        await self._scene.send_raw("THREAD_UPDATE", channel.json())
        return channel.json()

    async def start(self, channel: Channel, body: Json) -> Json:
        """A thread that hangs on no message."""
        if body.get("type", 12) != 11:
            said = "The stand-in has public threads only (type 11)."
            raise invalid("type", "BASE_TYPE_CHOICES", said)
        return await self._start(channel, body, None)

    async def start_from(self, channel: Channel, id_: str, body: Json) -> Json:
        message = channel.find(id_)
        if message is None or message.ephemeral_to is not None:
            raise unknown("message")
        if message.thread is not None:
            said = "A thread has already been created for this message"
            raise Refusal(400, 160004, said)
        return await self._start(channel, body, message)

    async def _start(self, channel: Channel, body: Json, message: Message | None) -> Json:
        if channel.guild is None or channel.parent is not None:
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        if not channel.may(START_THREADS):
            raise Refusal(403, 50013, "Missing Permissions")
        after = body.get("auto_archive_duration")
        if after is not None and after not in ARCHIVED_AFTER:
            said = f"Value must be one of {ARCHIVED_AFTER}."
            raise invalid("auto_archive_duration", "BASE_TYPE_CHOICES", said)
        thread = self._scene.thread(
            channel, _name(body), from_message=message, owner=self._scene.bot
        )
        await self._scene.announce()
        return Created(thread.json())


def _name(body: Json) -> str:
    name = str(body.get("name") or "")
    if not 1 <= len(name) <= 100:
        raise invalid("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    return name
