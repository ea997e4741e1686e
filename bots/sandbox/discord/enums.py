"""Discord's numbers, named as in discord.py."""

from enum import IntEnum


class ChannelType(IntEnum):
    TEXT = 0
    PRIVATE = 1
    GROUP = 3
    ANNOUNCEMENT = 5
    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    FORUM = 15


class MessageType(IntEnum):
    DEFAULT = 0
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    """The response to a command."""


class InteractionType(IntEnum):
    APPLICATION_COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL_SUBMIT = 5


class ResponseType(IntEnum):
    """Responses to an interaction."""

    CHANNEL_MESSAGE = 4
    DEFERRED_CHANNEL_MESSAGE = 5
    DEFERRED_MESSAGE_UPDATE = 6
    MESSAGE_UPDATE = 7
    AUTOCOMPLETE_RESULT = 8
    MODAL = 9


class CommandType(IntEnum):
    CHAT_INPUT = 1
    MESSAGE = 3
    """In the context menu of messages."""


class OptionType(IntEnum):
    ATTACHMENT = 11


class ComponentType(IntEnum):
    ACTION_ROW = 1
    BUTTON = 2
    SELECT = 3
    TEXT_INPUT = 4
    SECTION = 9
    TEXT_DISPLAY = 10
    SEPARATOR = 14
    CONTAINER = 17
    LABEL = 18


class Opcode(IntEnum):
    """Frames of the gateway."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE = 3
    VOICE_STATE = 4
    RESUME = 6
    RECONNECT = 7
    REQUEST_MEMBERS = 8
    INVALIDATE_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11


class CloseCode(IntEnum):
    """Why the gateway closes a connection."""

    UNKNOWN_OPCODE = 4001
    DECODE_ERROR = 4002
    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    ALREADY_AUTHENTICATED = 4005
    INVALID_SEQUENCE = 4007
    RATE_LIMITED = 4008
    INVALID_SHARD = 4010
    DISALLOWED_INTENTS = 4014


CLOSE_REASONS = {
    CloseCode.UNKNOWN_OPCODE: b"Unknown opcode.",
    CloseCode.DECODE_ERROR: b"Decode error.",
    CloseCode.NOT_AUTHENTICATED: b"Not authenticated.",
    CloseCode.AUTHENTICATION_FAILED: b"Authentication failed.",
    CloseCode.ALREADY_AUTHENTICATED: b"Already authenticated.",
    CloseCode.INVALID_SEQUENCE: b"Invalid seq.",
    CloseCode.RATE_LIMITED: b"You are being rate limited.",
    CloseCode.INVALID_SHARD: b"Invalid shard.",
    CloseCode.DISALLOWED_INTENTS: b"Disallowed intent(s).",
}
