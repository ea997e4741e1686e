"""Discord's events as `Incoming`: pure functions over the library's objects."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import discord

from bots.discord.commands import argument_text
from bots.discord.ticket import LIFETIME, Mode, Ticket
from core.commands.declared import Command
from core.port import FILE, Attachment, Incoming, Kind, Place, Sender

__all__ = ["PLATFORM", "Interaction", "from_command", "from_message", "from_press", "place_of"]

PLATFORM = "discord"

Interaction: TypeAlias = "discord.Interaction[discord.Client]"

TYPES = (discord.MessageType.default, discord.MessageType.reply)
"""What people write; everything else is the platform talking."""


def from_message(message: discord.Message, account: str, me: int) -> Incoming | None:
    """A message for the bot with the user id `me`; None when it is not for it."""
    if message.author.bot or message.webhook_id is not None or message.type not in TYPES:
        return None
    roles = _own_roles(message, me)
    if not _addressed(message, me, roles):
        return None
    replied = message.reference if message.type is discord.MessageType.reply else None
    return Incoming(
        kind=Kind.PROMPT,
        key=f"m{message.id}",
        place=_place(message.channel, message.guild.id if message.guild else None, account),
        sender=_sender(message.author),
        text=_plain(message, me, roles),
        message=str(message.id),
        reply_to=str(replied.message_id) if replied and replied.message_id else None,
        attachments=_attachments(message) or _files_of(replied),
    )


def from_command(
    interaction: Interaction, account: str, commands: Mapping[str, Command]
) -> Incoming:
    """A slash command; the ticket says how it is to be answered."""
    name, options = command_data(interaction)
    command = commands.get(name)
    data: Mapping[str, Any] = interaction.data or {}
    files: Mapping[str, Any] = (data.get("resolved") or {}).get("attachments") or {}
    posts = _posts(interaction)
    public = Mode.POST if posts else Mode.REPLY
    mode = Mode.QUIET if command is None or command.quiet else public
    return Incoming(
        kind=Kind.COMMAND,
        key=f"i{interaction.id}",
        place=place_of(interaction, account),
        sender=sender_of(interaction),
        text=argument_text(command, options),
        command=name,
        attachments=tuple(map(_uploaded, files.values())),
        ticket=_ticket(interaction, mode, posts=posts).encode(),
    )


def from_press(interaction: Interaction, account: str, action: str) -> Incoming:
    """A button, or a line of a menu."""
    return Incoming(
        kind=Kind.BUTTON,
        key=f"i{interaction.id}",
        place=place_of(interaction, account),
        sender=sender_of(interaction),
        text=action,
        message=str(interaction.message.id) if interaction.message else None,
        ticket=_ticket(interaction, Mode.PRESS, posts=_posts(interaction)).encode(),
    )


def command_data(interaction: Interaction) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """The command's name and its options as Discord sent them."""
    data: Mapping[str, Any] = interaction.data or {}
    return str(data.get("name", "")), data.get("options") or ()


def place_of(interaction: Interaction, account: str) -> Place:
    return _place(interaction.channel, interaction.guild_id, account, _with_bot(interaction))


def sender_of(interaction: Interaction) -> Sender:
    may = interaction.permissions
    return _sender(
        interaction.user,
        language=str(interaction.locale),
        manages=may.administrator or may.manage_guild or may.manage_channels,
    )


def _with_bot(interaction: Interaction) -> bool:
    """It happened in the direct messages of one person and the bot."""
    if interaction.guild_id is not None:
        return False
    if interaction.context.private_channel:
        return False
    return bool(interaction.context.dm_channel) or isinstance(
        interaction.channel, discord.DMChannel
    )


def _posts(interaction: Interaction) -> bool:
    """Whether the bot may write a normal message there."""
    if interaction.guild_id is None:
        return _with_bot(interaction)
    may = interaction.app_permissions
    threaded = isinstance(interaction.channel, discord.Thread)
    writes = may.send_messages_in_threads if threaded else may.send_messages
    return interaction.is_guild_integration() and may.view_channel and writes


def _ticket(interaction: Interaction, mode: Mode, *, posts: bool) -> Ticket:
    message = interaction.message
    return Ticket(
        mode=mode,
        application=str(interaction.application_id),
        interaction=str(interaction.id),
        token=interaction.token,
        expires=int(interaction.created_at.timestamp()) + LIFETIME,
        posts=posts,
        message=str(message.id) if message else "",
        hidden=bool(message and message.flags.ephemeral),
    )


def _place(channel: Any, guild: int | None, account: str, private: bool | None = None) -> Place:
    threaded = isinstance(channel, discord.Thread)
    if guild is None:
        guild = getattr(channel, "guild_id", None)
    if private is None:
        private = guild is None and isinstance(channel, discord.DMChannel)
    return Place(
        platform=PLATFORM,
        account=account,
        chat=str(channel.parent_id if threaded else channel.id),
        thread=str(channel.id) if threaded else None,
        private=private,
        server=str(guild) if guild is not None else None,
    )


def _sender(
    user: discord.User | discord.Member, *, language: str | None = None, manages: bool | None = None
) -> Sender:
    if manages is None:
        may = user.guild_permissions if isinstance(user, discord.Member) else discord.Permissions()
        manages = may.administrator or may.manage_guild or may.manage_channels
    return Sender(
        platform=PLATFORM,
        user=str(user.id),
        name=user.display_name,
        language=language,
        is_bot=user.bot,
        manages=manages,
    )


def _own_roles(message: discord.Message, me: int) -> frozenset[int]:
    """Of the mentioned roles, the one that Discord made for this bot."""
    return frozenset(
        role.id
        for role in message.role_mentions
        if role.tags is not None and role.tags.bot_id == me
    )


def _addressed(message: discord.Message, me: int, roles: frozenset[int]) -> bool:
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return True
    if roles or any(user.id == me for user in message.mentions):
        return True
    if message.type is not discord.MessageType.reply or message.reference is None:
        return False
    answered = message.reference.resolved
    return isinstance(answered, discord.Message) and answered.author.id == me


def _plain(message: discord.Message, me: int, roles: frozenset[int]) -> str:
    """The text without the bot's own mention; other people appear by their names."""
    own = "|".join([f"<@!?{me}>", *(f"<@&{role}>" for role in roles)])
    text = re.sub(rf"[ \t]*(?:{own})[ \t]*", " ", message.content)
    names = {str(user.id): user.display_name for user in message.mentions}
    return re.sub(r"<@!?(\d+)>", lambda found: f"@{names.get(found[1], 'somebody')}", text).strip()


def _attachments(message: discord.Message) -> tuple[Attachment, ...]:
    return (
        *(_attachment(one) for one in message.attachments),
        *(Attachment("sticker", sticker.name) for sticker in message.stickers),
    )


def _files_of(replied: discord.MessageReference | None) -> tuple[Attachment, ...]:
    """The files that a person's question about another message is about."""
    original = replied.resolved if replied else None
    if not isinstance(original, discord.Message) or original.author.bot:
        return ()
    return tuple(one for one in _attachments(original) if one.kind == FILE)


def _attachment(attachment: discord.Attachment) -> Attachment:
    kind = _kind(attachment.content_type or "")
    if attachment.is_voice_message():
        kind = "voice message"
    return Attachment(
        kind, attachment.filename, attachment.size, attachment.url, attachment.content_type or ""
    )


def _uploaded(file: Mapping[str, Any]) -> Attachment:
    """What came with a command, as Discord sent it."""
    media_type = str(file.get("content_type") or "")
    return Attachment(
        _kind(media_type), str(file.get("filename", "")), int(file.get("size", 0)),
        str(file.get("url", "")), media_type,
    )  # fmt: skip


def _kind(media_type: str) -> str:
    family = media_type.partition("/")[0]
    return {"image": "photo", "video": "video", "audio": "audio"}.get(family, FILE)
