"""Guilds, their members, channels and threads over REST."""

from bots.sandbox.discord.backend import Backend, member_json
from bots.sandbox.discord.state import (
    CREATE_PUBLIC_THREADS,
    MANAGE_THREADS,
    Channel,
    CreatedJson,
    Json,
    Message,
)
from bots.sandbox.discord.validation import ApiError, invalid_form, not_found

__all__ = ["ChatRoutes"]

AUTO_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)  # minutes
REST_GUILD_FIELDS: Json = {
    "home_header": None,
    "widget_enabled": False,
    "widget_channel_id": None,
    "max_members": 500_000,
    "max_presences": None,
    "max_stage_video_channel_users": 50,
    "max_video_channel_users": 25,
    "premium_subscription_count": 0,
}
"""What a guild shows over REST only."""


class ChatRoutes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get_guild(self, guild_id: str, rest: list[str]) -> Json:
        """A guild or, where `rest` says so, one of its members."""
        guild = next((g for g in self._backend.guilds if str(g.id) == guild_id and g.has_bot), None)
        if guild is None:
            raise not_found("guild")
        match rest:
            case []:
                shown = self._backend.guild_json(guild)
                inside = ("channels", "threads", "members", "presences", "voice_states")
                return {key: value for key, value in shown.items() if key not in inside} | REST_GUILD_FIELDS
            case ["members", user]:
                everybody = [*guild.members, self._backend.bot]
                person = next((one for one in everybody if str(one.id) == user), None)
                if person is None:
                    raise not_found("member")
                return member_json(person)
        raise ApiError(404, 0, "404: Not Found")

    async def edit_thread(self, channel: Channel, body: Json) -> Json:
        """Of channels only threads change: archived, locked, renamed."""
        if channel.parent is None:
            raise ApiError(403, 50013, "Missing Permissions")
        own = channel.owner_id == self._backend.bot.id
        if not (own or channel.bot_has_permission(MANAGE_THREADS)) and body != {"archived": False}:
            raise ApiError(403, 50013, "Missing Permissions")
        if channel.locked and not channel.bot_has_permission(MANAGE_THREADS):
            raise ApiError(400, 160005, "This thread is locked")
        if "locked" in body and not channel.bot_has_permission(MANAGE_THREADS):
            raise ApiError(403, 50013, "Missing Permissions")
        if channel.archived and not ("archived" in body and not body["archived"]):
            raise ApiError(400, 50083, "Thread is archived")
        if "name" in body:
            channel.name = _thread_name(body)
        channel.archived = bool(body.get("archived", channel.archived))
        channel.locked = bool(body.get("locked", channel.locked))
        await self._backend.dispatch_raw("THREAD_UPDATE", channel.json())
        return channel.json()

    async def start_thread(self, channel: Channel, body: Json) -> Json:
        """A thread that hangs on no message."""
        if body.get("type", 12) != 11:
            said = "The stand-in has public threads only (type 11)."
            raise invalid_form("type", "BASE_TYPE_CHOICES", said)
        return await self._create_thread(channel, body, None)

    async def start_thread_from_message(self, channel: Channel, message_id: str, body: Json) -> Json:
        message = channel.find_message(message_id)
        if message is None or message.ephemeral_to is not None:
            raise not_found("message")
        if message.thread is not None:
            said = "A thread has already been created for this message"
            raise ApiError(400, 160004, said)
        return await self._create_thread(channel, body, message)

    async def _create_thread(self, channel: Channel, body: Json, message: Message | None) -> Json:
        if channel.guild is None or channel.parent is not None:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        if not channel.bot_has_permission(CREATE_PUBLIC_THREADS):
            raise ApiError(403, 50013, "Missing Permissions")
        archive_minutes = body.get("auto_archive_duration")
        if archive_minutes is not None and archive_minutes not in AUTO_ARCHIVE_MINUTES:
            said = f"Value must be one of {AUTO_ARCHIVE_MINUTES}."
            raise invalid_form("auto_archive_duration", "BASE_TYPE_CHOICES", said)
        thread = self._backend.create_thread(channel, _thread_name(body), from_message=message, owner=self._backend.bot)
        await self._backend.dispatch_pending()
        return CreatedJson(thread.json())


def _thread_name(body: Json) -> str:
    name = str(body.get("name") or "")
    if not 1 <= len(name) <= 100:
        raise invalid_form("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    return name
