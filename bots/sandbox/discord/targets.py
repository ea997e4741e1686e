"""The channel and the message that a request names, if the bot may use them."""

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.errors import ApiError, locked_thread, missing_access, missing_permissions, not_found
from bots.sandbox.discord.state import SEND_MESSAGES, SEND_MESSAGES_IN_THREADS, VIEW_CHANNEL, Channel, Message


def visible_channel(backend: Backend, channel_id: str) -> Channel:
    channel = backend.channels.get(channel_id)
    if channel is None:
        raise not_found("channel")
    if not channel.bot_has_permission(VIEW_CHANNEL):
        raise missing_access()
    return channel


def writable_channel(backend: Backend, channel_id: str) -> Channel:
    channel = visible_channel(backend, channel_id)
    if not channel.bot_has_permission(SEND_MESSAGES if channel.parent is None else SEND_MESSAGES_IN_THREADS):
        raise missing_permissions()
    if channel.locked:
        raise locked_thread()
    if channel.guild is None and channel.recipients[0].has_closed_dms:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    return channel


def target_message(channel: Channel, message_id: str) -> Message:
    """A message of the channel; ephemeral ones do not exist here."""
    message = channel.find_message(message_id)
    if message is None or message.ephemeral_to is not None:
        raise not_found("message")
    return message
