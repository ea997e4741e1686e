"""Translates Discord's events to `Incoming`. Pure functions of discord.py's objects."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import discord

from bots.discord.commands import PRIVATE_OPTION, join_arguments
from bots.discord.content import command_attachments, describe_poll, message_attachments
from bots.discord.interaction_responder import TOKEN_LIFETIME_SECONDS, InteractionToken, ResponseMode
from bots.discord.mentions import names_in_command, names_in_message, replace_mentions
from bots.discord.payloads import CUSTOM_ID_PREFIX, is_menu
from bots.discord.quotes import (
    forwarded_files,
    quote_message,
    quoted_files,
    replied_files,
    replied_message,
    translate_quotes,
)
from core.commands.branches import CONTINUE_FROM_COMMAND
from core.commands.declarations import Command, find_command, is_ephemeral
from core.port import Attachment, Batch, EventKind, Incoming, Place, Quote, QuoteKind, Sender

PLATFORM = "discord"

Interaction: TypeAlias = "discord.Interaction[discord.Client]"

USER_MESSAGE_TYPES = (discord.MessageType.default, discord.MessageType.reply)
"""Messages written by people; all other types are system messages."""


@dataclass(frozen=True, slots=True)
class CommandCall:
    name: str
    options: Sequence[Mapping[str, Any]]
    """Unchanged from Discord."""


def translate_message(message: discord.Message, account: str, bot_id: int) -> Incoming | None:
    """A message for the bot, whose user ID is `bot_id`; None if it is not for the bot."""
    if message.author.bot or message.webhook_id is not None or message.type not in USER_MESSAGE_TYPES:
        return None
    roles = _mentioned_bot_roles(message, bot_id)
    is_addressed = _is_addressed(message, bot_id, roles)
    if not (is_addressed or message.message_snapshots):
        return None
    return Incoming(
        kind=EventKind.PROMPT if is_addressed else EventKind.FORWARD,
        key=f"m{message.id}",
        place=_place(message.channel, message.guild.id if message.guild else None, account),
        sender=_sender(message.author, is_on_server=message.guild is not None),
        text=_message_text(message, bot_id, roles),
        message_id=str(message.id),
        quotes=translate_quotes(message, bot_id),
        attachments=message_attachments(message) or forwarded_files(message) or replied_files(message),
        # What the person writes about a forwarded message comes before or after it.
        batch=Batch() if message.message_snapshots else None,
        place_language=str(message.guild.preferred_locale) if message.guild else None,
    )


def translate_edit(message: discord.Message, account: str, bot_id: int) -> Incoming | None:
    """The new text of a message for the bot; None for other messages, or if its text has never changed."""
    incoming = translate_message(message, account, bot_id)
    if incoming is None or incoming.kind is EventKind.FORWARD or message.edited_at is None:
        return None
    key = f"e{message.id}-{int(message.edited_at.timestamp() * 1000)}"
    return replace(incoming, kind=EventKind.EDIT, key=key)


def translate_guild_join(guild: discord.Guild, account: str) -> Incoming | None:
    """The bot was added to a server; None if there is no channel in which it may write.

    Discord does not say who added it, so that the server's owner has to be somebody who may use it.
    """
    candidates = [guild.system_channel, *guild.text_channels]
    channel = next((channel for channel in candidates if channel is not None and _may_write(channel, guild.me)), None)
    if channel is None or guild.owner_id is None:
        return None
    joined_at = guild.me.joined_at
    return Incoming(
        kind=EventKind.ADDED,
        key=f"g{guild.id}-{int(joined_at.timestamp() * 1000) if joined_at else 0}",
        place=_place(channel, guild.id, account),
        sender=Sender(PLATFORM, str(guild.owner_id), "", roles=None),
        text="",
        place_language=str(guild.preferred_locale),
    )


def _may_write(channel: discord.TextChannel, member: discord.Member) -> bool:
    permissions = channel.permissions_for(member)
    return permissions.view_channel and permissions.send_messages


def translate_command(interaction: Interaction, account: str, commands: Mapping[str, Command]) -> Incoming:
    """A slash command; its interaction token says how to answer it."""
    call = command_call(interaction)
    command = commands.get(call.name)
    names = names_in_command(interaction.guild, interaction.user, _data(interaction))
    text = replace_mentions(join_arguments(command, call.options), names)
    attachments = command_attachments(_data(interaction))
    return _command(
        interaction,
        account,
        call.name,
        text,
        is_ephemeral=is_ephemeral(command, has_question=bool(text or attachments)),
        is_confidential=not _is_direct_message(interaction)
        and any(option.get("name") == PRIVATE_OPTION and option.get("value") is True for option in call.options),
        attachments=attachments,
    )


def translate_message_command(interaction: Interaction, account: str) -> Incoming:
    """A command from the context menu of a message: a question about the message, still without text."""
    messages: Mapping[str, Any] = (_data(interaction).get("resolved") or {}).get("messages") or {}
    # Discord sends its text even without the intent for it.
    message = messages.get(str(_data(interaction).get("target_id")))
    return with_quoted_message(_command(interaction, account, "ask", ""), interaction, message)


def with_quoted_message(question: Incoming, interaction: Interaction, data: Mapping[str, Any] | None) -> Incoming:
    """A question about a message of the interaction's channel, which is Discord's own JSON."""
    me = interaction.client.user
    if data is None or interaction.channel is None or me is None:
        return question
    state = interaction._state  # noqa: SLF001 (as the library does for its own commands)
    message = discord.Message(state=state, channel=interaction.channel, data=data)  # type: ignore[arg-type]
    quote = quote_message(message, QuoteKind.REPLY, me.id, interaction.user)
    return replace(question, quotes=(quote,) if quote.text else (), attachments=quoted_files(message))


def translate_continue_from(interaction: Interaction, account: str) -> Incoming:
    """The command from the context menu of an answer, from which the conversation continues."""
    target = str(_data(interaction).get("target_id", ""))
    return _command(interaction, account, CONTINUE_FROM_COMMAND, target, is_ephemeral=True)


def translate_submission(interaction: Interaction, account: str, command: str, text: str) -> Incoming:
    """The text of a modal, as `command` with this text."""
    declared = find_command(command)
    return _command(interaction, account, command, text, is_ephemeral=is_ephemeral(declared, has_question=bool(text)))


def _command(
    interaction: Interaction,
    account: str,
    name: str,
    text: str,
    *,
    is_ephemeral: bool = False,
    is_confidential: bool = False,
    quotes: tuple[Quote, ...] = (),
    attachments: tuple[Attachment, ...] = (),
) -> Incoming:
    can_post = _can_post(interaction)
    public_mode = ResponseMode.CHANNEL if can_post else ResponseMode.PUBLIC
    mode = ResponseMode.EPHEMERAL if is_ephemeral else public_mode
    if is_confidential:
        mode = ResponseMode.CONFIDENTIAL
    return Incoming(
        kind=EventKind.COMMAND,
        key=f"i{interaction.id}",
        place=_interaction_place(interaction, account),
        sender=_interaction_sender(interaction),
        text=text,
        command=name,
        quotes=quotes,
        attachments=attachments,
        is_confidential=is_confidential,
        interaction_token=_interaction_token(interaction, mode, can_post=can_post).encode(),
    )


def translate_button(interaction: Interaction, account: str) -> Incoming | None:
    """A press of a button or a choice in a menu; None if the bot did not make the button."""
    data = _data(interaction)
    custom_id, values = str(data.get("custom_id", "")), data.get("values")
    action = values[0] if is_menu(custom_id) and values else custom_id.removeprefix(CUSTOM_ID_PREFIX)
    if action == custom_id:
        return None
    token = _interaction_token(interaction, ResponseMode.COMPONENT, can_post=_can_post(interaction))
    return Incoming(
        kind=EventKind.BUTTON,
        key=f"i{interaction.id}",
        place=_interaction_place(interaction, account),
        sender=_interaction_sender(interaction),
        text=action,
        message_id=str(interaction.message.id) if interaction.message else None,
        interaction_token=token.encode(),
    )


def translate_form_press(interaction: Interaction, account: str, action: str, text: str) -> Incoming:
    """What somebody entered in the form that a button opened; answered like a command."""
    is_own = bool(interaction.message and interaction.message.flags.ephemeral) and not _is_direct_message(interaction)
    command = _command(interaction, account, "", "", is_confidential=is_own)
    return replace(command, kind=EventKind.BUTTON, text=action, form_text=text)


def is_message_command(interaction: Interaction) -> bool:
    return _data(interaction).get("type") == discord.AppCommandType.message.value


def command_call(interaction: Interaction) -> CommandCall:
    data = _data(interaction)
    return CommandCall(str(data.get("name", "")), data.get("options") or ())


def channel_id(place: Place) -> str:
    """The channel in which to write; for Discord, a thread is a channel."""
    return place.thread or place.chat


def _data(interaction: Interaction) -> Mapping[str, Any]:
    return interaction.data or {}


def _interaction_place(interaction: Interaction, account: str) -> Place:
    return _place(interaction.channel, interaction.guild_id, account, _is_direct_message(interaction))


def _interaction_sender(interaction: Interaction) -> Sender:
    return _sender(
        interaction.user,
        interaction.permissions,
        is_on_server=interaction.guild_id is not None,
        language=str(interaction.locale),
    )


def _is_direct_message(interaction: Interaction) -> bool:
    """Whether it happened between one person and the bot."""
    if interaction.guild_id is not None or interaction.context.private_channel:
        return False
    return bool(interaction.context.dm_channel) or isinstance(interaction.channel, discord.DMChannel)


def _can_post(interaction: Interaction) -> bool:
    """Whether the bot may write normal messages where the interaction happened."""
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
        is_card=bool(message and message.flags.components_v2),
    )


def _place(channel: Any, guild_id: int | None, account: str, private: bool | None = None) -> Place:
    is_thread = isinstance(channel, discord.Thread)
    if guild_id is None:
        guild_id = getattr(channel, "guild_id", None)
    if private is None:
        private = guild_id is None and isinstance(channel, discord.DMChannel)
    return Place(
        platform=PLATFORM,
        account=account,
        chat=str(channel.parent_id if is_thread else channel.id),
        thread=str(channel.id) if is_thread else None,
        is_private=private,
        server=str(guild_id) if guild_id is not None else None,
    )


def _sender(
    user: discord.User | discord.Member,
    permissions: discord.Permissions | None = None,
    *,
    is_on_server: bool,
    language: str | None = None,
) -> Sender:
    """`permissions`: those in the channel of the event; by default, those in the whole guild."""
    guild_permissions = user.guild_permissions if isinstance(user, discord.Member) else discord.Permissions()
    if permissions is None:
        permissions = guild_permissions
    return Sender(
        platform=PLATFORM,
        user=str(user.id),
        name=user.display_name,
        language=language,
        is_manager=_manages_server(permissions) or permissions.manage_channels,
        is_server_manager=_manages_server(guild_permissions),
        may_create_threads=permissions.create_public_threads or permissions.administrator,
        roles=_role_ids(user, is_on_server=is_on_server),
    )


def _role_ids(user: discord.User | discord.Member, *, is_on_server: bool) -> tuple[str, ...] | None:
    """Without the role that every member has. None for a message that backfill found: Discord leaves the roles out."""
    if isinstance(user, discord.Member):
        return tuple(str(role.id) for role in user.roles if not role.is_default())
    return None if is_on_server else ()


def _manages_server(permissions: discord.Permissions) -> bool:
    return permissions.administrator or permissions.manage_guild


def _mentioned_bot_roles(message: discord.Message, bot_id: int) -> frozenset[int]:
    """The mentioned roles that Discord created for this bot."""
    return frozenset(role.id for role in message.role_mentions if role.tags is not None and role.tags.bot_id == bot_id)


def _is_addressed(message: discord.Message, bot_id: int, roles: frozenset[int]) -> bool:
    """Whether the message is a direct message, mentions the bot, replies to it, or is to nobody in the bot's thread."""
    if message.guild is None and isinstance(message.channel, discord.DMChannel):
        return True
    if roles or any(user.id == bot_id for user in message.mentions):
        return True
    original = replied_message(message)
    if original is not None:
        return original.author.id == bot_id
    return is_addressed_by_thread(message, bot_id)


def is_addressed_by_thread(message: discord.Message, bot_id: int) -> bool:
    """Whether the message is to nobody in particular, in a thread that the bot created.

    The bot needs the intent for it: the message has its text.
    """
    if message.reference is not None or message.mentions or message.role_mentions or message.mention_everyone:
        return False
    is_own = isinstance(message.channel, discord.Thread) and message.channel.owner_id == bot_id
    return is_own and bool(message.content or message.attachments)


def _message_text(message: discord.Message, bot_id: int, roles: frozenset[int]) -> str:
    """The text as clients show it, without mentions of the bot."""
    bot_mention = "|".join([f"<@!?{bot_id}>", *(f"<@&{role}>" for role in roles)])
    text = re.sub(rf"(?:(?<![ \t])[ \t]++)?(?:{bot_mention})[ \t]*+", " ", message.content)
    text = replace_mentions(text, names_in_message(message, message.author)).strip()
    return "\n\n".join(filter(None, (text, describe_poll(message))))
