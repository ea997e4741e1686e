"""The application, users, guilds, channels and threads over REST."""

from bots.sandbox.discord.backend import Backend, member_json
from bots.sandbox.discord.enums import ChannelType
from bots.sandbox.discord.errors import (
    ApiError,
    archived_thread,
    bad_choice,
    invalid_form,
    locked_thread,
    missing_permissions,
    not_found,
)
from bots.sandbox.discord.state import (
    CONSTANT_FIELDS,
    CREATE_PUBLIC_THREADS,
    MANAGE_THREADS,
    Call,
    Channel,
    CreatedJson,
    Guild,
    Message,
)
from bots.sandbox.discord.targets import target_message
from bots.sandbox.discord.validation import check_length
from bots.sandbox.stand_in import Json

AUTO_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)


class ChatRoutes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get_self(self, _call: Call) -> Json:
        return {**self._backend.bot.json(), **CONSTANT_FIELDS["own user"]}

    def get_user(self, _call: Call, user_id: str) -> Json:
        if user_id not in self._backend.users:
            raise not_found("user")
        return self._backend.users[user_id].json()

    def get_gateway(self, _call: Call) -> Json:
        gateway = self._backend.gateway
        limit = gateway.session_start_limit()
        return {"url": gateway.url, "shards": gateway.script.shard_count, "session_start_limit": limit}

    def get_application(self, _call: Call) -> Json:
        backend = self._backend
        return {
            **CONSTANT_FIELDS["application"],
            "id": str(backend.application_id),
            "owner": backend.owner.json(),
            "bot": backend.bot.json(),
            "approximate_guild_count": len(backend.guilds),
        }

    def open_dm(self, call: Call) -> Json:
        recipient = self._backend.users.get(str(call.body.get("recipient_id")))
        if recipient is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return self._backend.open_dm(recipient).json()

    def get_guild(self, _call: Call, guild_id: str) -> Json:
        gateway_fields = ("channels", "threads", "members", "presences", "voice_states")
        payload = self._backend.guild_json(self._find_guild(guild_id)) | CONSTANT_FIELDS["REST guild"]
        return {key: value for key, value in payload.items() if key not in gateway_fields}

    def get_member(self, _call: Call, guild_id: str, user_id: str) -> Json:
        members = [*self._find_guild(guild_id).members, self._backend.bot]
        member = next((member for member in members if str(member.id) == user_id), None)
        if member is None:
            raise not_found("member")
        return member_json(member)

    def _find_guild(self, guild_id: str) -> Guild:
        guild = next((g for g in self._backend.guilds if str(g.id) == guild_id and g.has_bot), None)
        if guild is None:
            raise not_found("guild")
        return guild

    def get_channel(self, _call: Call, channel: Channel) -> Json:
        return channel.json()

    async def edit_thread(self, call: Call, channel: Channel) -> Json:
        """Archive, lock or rename a thread; other channels cannot be changed."""
        body = call.body
        if channel.parent is None:
            raise missing_permissions()
        can_manage = channel.bot_has_permission(MANAGE_THREADS)
        is_owner = channel.owner_id == self._backend.bot.id
        if not (is_owner or can_manage) and body != {"archived": False}:
            raise missing_permissions()
        if channel.locked and not can_manage:
            raise locked_thread()
        if "locked" in body and not can_manage:
            raise missing_permissions()
        if channel.archived and body.get("archived", True):
            raise archived_thread()
        if "name" in body:
            channel.name = _thread_name(body)
        channel.archived = bool(body.get("archived", channel.archived))
        channel.locked = bool(body.get("locked", channel.locked))
        await self._backend.gateway.dispatch("THREAD_UPDATE", channel.json())
        return channel.json()

    async def start_thread(self, call: Call, channel: Channel) -> Json:
        """A thread without a starter message."""
        if call.body.get("type") != ChannelType.PUBLIC_THREAD:
            raise invalid_form("type", "BASE_TYPE_CHOICES", "The stand-in has public threads only (type 11).")
        return await self._create_thread(channel, call.body, None)

    async def start_thread_from_message(self, call: Call, channel: Channel, message_id: str) -> Json:
        message = target_message(channel, message_id)
        if message.thread is not None:
            raise ApiError(400, 160004, "A thread has already been created for this message")
        return await self._create_thread(channel, call.body, message)

    async def _create_thread(self, channel: Channel, body: Json, message: Message | None) -> Json:
        if channel.guild is None or channel.parent is not None:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        if not channel.bot_has_permission(CREATE_PUBLIC_THREADS):
            raise missing_permissions()
        archive_minutes = body.get("auto_archive_duration")
        if archive_minutes is not None and archive_minutes not in AUTO_ARCHIVE_MINUTES:
            raise bad_choice("auto_archive_duration", AUTO_ARCHIVE_MINUTES)
        thread = self._backend.create_thread(channel, _thread_name(body), from_message=message, owner=self._backend.bot)
        await self._backend.dispatch_pending()
        return CreatedJson(thread.json())


def _thread_name(body: Json) -> str:
    check_length(body, "name", 1, 100)
    return str(body["name"])
