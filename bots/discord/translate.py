"""Discord's events as `Incoming`: pure functions over the library's objects."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import discord

from bots.discord.commands import join_arguments
from bots.discord.interaction_token import TOKEN_LIFETIME_SECONDS, InteractionToken, ResponseMode
from core.commands.declarations import Command
from core.port import FILE_KIND, Attachment, EventKind, Incoming, Place, Sender

__all__ = [
    "PLATFORM",
    "Interaction",
    "interaction_place",
    "translate_button",
    "translate_command",
    "translate_message",
]

PLATFORM = "discord"

Interaction: TypeAlias = "discord.Interaction[discord.Client]"

USER_MESSAGE_TYPES = (discord.MessageType.default, discord.MessageType.reply)
"""What people write; everything else is the platform talking."""


def translate_message(message: discord.Message, account: str, bot_id: int) -> Incoming | None:
    """A message for the bot with the user id `me`; None when it is not for it."""
    if message.author.bot or message.webhook_id is not None or message.type not in USER_MESSAGE_TYPES:
        return None
    roles = _mentioned_bot_roles(message, bot_id)
    if not _is_addressed(message, bot_id, roles):
        return None
    reference = message.reference if message.type is discord.MessageType.reply else None
    return Incoming(
        kind=EventKind.PROMPT,
        key=f"m{message.id}",
        place=_place(message.channel, message.guild.id if message.guild else None, account),
        sender=_sender(message.author),
        text=_message_text(message, bot_id, roles),
        message=str(message.id),
        reply_to=str(reference.message_id) if reference and reference.message_id else None,
        attachments=_extract_attachments(message) or _replied_files(reference),
    )


def translate_command(interaction: Interaction, account: str, commands: Mapping[str, Command]) -> Incoming:
    """A slash command; the ticket says how it is to be answered."""
    name, options = command_data(interaction)
    command = commands.get(name)
    data: Mapping[str, Any] = interaction.data or {}
    files: Mapping[str, Any] = (data.get("resolved") or {}).get("attachments") or {}
    can_post = _can_post(interaction)
    public_mode = ResponseMode.CHANNEL if can_post else ResponseMode.PUBLIC
    mode = ResponseMode.EPHEMERAL if command is None or command.ephemeral else public_mode
    return Incoming(
        kind=EventKind.COMMAND,
        key=f"i{interaction.id}",
        place=interaction_place(interaction, account),
        sender=interaction_sender(interaction),
        text=join_arguments(command, options),
        command=name,
        attachments=tuple(map(_uploaded_attachment, files.values())),
        interaction_token=_interaction_token(interaction, mode, can_post=can_post).encode(),
    )


def translate_button(interaction: Interaction, account: str, action: str) -> Incoming:
    """A button, or a line of a menu."""
    return Incoming(
        kind=EventKind.BUTTON,
        key=f"i{interaction.id}",
        place=interaction_place(interaction, account),
        sender=interaction_sender(interaction),
        text=action,
        message=str(interaction.message.id) if interaction.message else None,
        interaction_token=_interaction_token(
            interaction, ResponseMode.COMPONENT, can_post=_can_post(interaction)
        ).encode(),
    )


def command_data(interaction: Interaction) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The command's name and its options as Discord sent them."""
    data: Mapping[str, Any] = interaction.data or {}
    return str(data.get("name", "")), data.get("options") or ()


def interaction_place(interaction: Interaction, account: str) -> Place:
    return _place(interaction.channel, interaction.guild_id, account, _is_direct_message(interaction))


def interaction_sender(interaction: Interaction) -> Sender:
    permissions = interaction.permissions
    return _sender(
        interaction.user,
        language=str(interaction.locale),
        is_manager=permissions.administrator or permissions.manage_guild or permissions.manage_channels,
    )


def _is_direct_message(interaction: Interaction) -> bool:
    """It happened in the direct messages of one person and the bot."""
    if interaction.guild_id is not None:
        return False
    if interaction.context.private_channel:
        return False
    return bool(interaction.context.dm_channel) or isinstance(interaction.channel, discord.DMChannel)


def _can_post(interaction: Interaction) -> bool:
    """Whether the bot may write a normal message there."""
    if interaction.guild_id is None:
        return _is_direct_message(interaction)
    permissions = interaction.app_permissions
    is_thread = isinstance(interaction.channel, discord.Thread)
    can_write = permissions.send_messages_in_threads if is_thread else permissions.send_messages
    return interaction.is_guild_integration() and permissions.view_channel and can_write


def _interaction_token(interaction: Interaction, mode: ResponseMode, *, can_post: bool) -> InteractionToken:
    message = interaction.message
    return InteractionToken(
        mode=mode,
        application_id=str(interaction.application_id),
        interaction_id=str(interaction.id),
        token=interaction.token,
        expires_at=int(interaction.created_at.timestamp()) + TOKEN_LIFETIME_SECONDS,
        can_post=can_post,
        message_id=str(message.id) if message else "",
        is_ephemeral=bool(message and message.flags.ephemeral),
    )


def _place(channel: Any, guild: int | None, account: str, private: bool | None = None) -> Place:
    is_thread = isinstance(channel, discord.Thread)
    if guild is None:
        guild = getattr(channel, "guild_id", None)
    if private is None:
        private = guild is None and isinstance(channel, discord.DMChannel)
    return Place(
        platform=PLATFORM,
        account=account,
        chat=str(channel.parent_id if is_thread else channel.id),
        thread=str(channel.id) if is_thread else None,
        private=private,
        server=str(guild) if guild is not None else None,
    )


def _sender(
    user: discord.User | discord.Member,
    *,
    language: str | None = None,
    is_manager: bool | None = None,
) -> Sender:
    if is_manager is None:
        permissions = user.guild_permissions if isinstance(user, discord.Member) else discord.Permissions()
        is_manager = permissions.administrator or permissions.manage_guild or permissions.manage_channels
    return Sender(
        platform=PLATFORM,
        user=str(user.id),
        name=user.display_name,
        language=language,
        is_bot=user.bot,
        is_manager=is_manager,
    )


def _mentioned_bot_roles(message: discord.Message, bot_id: int) -> frozenset[int]:
    """Of the mentioned roles, the one that Discord made for this bot."""
    return frozenset(role.id for role in message.role_mentions if role.tags is not None and role.tags.bot_id == bot_id)


def _is_addressed(message: discord.Message, bot_id: int, roles: frozenset[int]) -> bool:
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return True
    if roles or any(user.id == bot_id for user in message.mentions):
        return True
    if message.type is not discord.MessageType.reply or message.reference is None:
        return False
    replied = message.reference.resolved
    return isinstance(replied, discord.Message) and replied.author.id == bot_id


def _message_text(message: discord.Message, bot_id: int, roles: frozenset[int]) -> str:
    """The text without the bot's own mention; other people appear by their names."""
    bot_mention = "|".join([f"<@!?{bot_id}>", *(f"<@&{role}>" for role in roles)])
    text = re.sub(rf"[ \t]*(?:{bot_mention})[ \t]*", " ", message.content)
    names = {str(user.id): user.display_name for user in message.mentions}
    return re.sub(r"<@!?(\d+)>", lambda found: f"@{names.get(found[1], 'somebody')}", text).strip()


def _extract_attachments(message: discord.Message) -> tuple[Attachment, ...]:
    return (
        *(_to_attachment(one) for one in message.attachments),
        *(Attachment("sticker", sticker.name) for sticker in message.stickers),
    )


def _replied_files(reference: discord.MessageReference | None) -> tuple[Attachment, ...]:
    """The files that a person's question about another message is about."""
    original = reference.resolved if reference else None
    if not isinstance(original, discord.Message) or original.author.bot:
        return ()
    return tuple(one for one in _extract_attachments(original) if one.kind == FILE_KIND)


def _to_attachment(attachment: discord.Attachment) -> Attachment:
    kind = _kind(attachment.content_type or "")
    if attachment.is_voice_message():
        kind = "voice message"
    return Attachment(kind, attachment.filename, attachment.size, attachment.url, attachment.content_type or "")


def _uploaded_attachment(file: Mapping[str, Any]) -> Attachment:
    """What came with a command, as Discord sent it."""
    media_type = str(file.get("content_type") or "")
    return Attachment(
        _kind(media_type),
        str(file.get("filename", "")),
        int(file.get("size", 0)),
        str(file.get("url", "")),
        media_type,
    )


def _kind(media_type: str) -> str:
    family = media_type.partition("/")[0]
    return {"image": "photo", "video": "video", "audio": "audio"}.get(family, FILE_KIND)
