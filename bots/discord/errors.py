"""Translates Discord's errors: to `DeliveryError` for requests, to `ConfigurationError` for the gateway."""

import os
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
import discord

from core.errors import ConfigurationError, DeliveryError, DeliveryFailure, UnavailableError
from core.i18n.translation import gettext_noop

UNKNOWN_MESSAGE = 10008
ALREADY_ACKNOWLEDGED = 40060
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
INVALID_FORM = 50035
THREAD_ARCHIVED = 50083
NO_MORE_FOLLOW_UPS = 40094
REFERENCE_NOT_READABLE, REFERENCE_NOT_ALLOWED = 160009, 160010
"""The bot may not reply to this message. Writing without a reply is allowed."""

COMMAND_EXPIRED_TEXT = "This command can no longer be answered"
CONNECTION_LOST_TEXT = gettext_noop("The connection to Discord was lost")
NO_WRITE_PERMISSION_TEXT = gettext_noop("I don't have permission to write in this channel")
RATE_LIMIT_TEXT = gettext_noop("Discord limits how often I may write")
TOKEN_REJECTED_TEXT = "Discord rejected the bot's token. Set DISCORD_BOT_TOKEN to the current one."  # noqa: S105 (no token)

# What people see is marked for translation: refused answers and files, and channels without permission.
TEXTS_BY_CODE: Mapping[DeliveryFailure, Mapping[int, str]] = {
    DeliveryFailure.GONE: {
        10003: "The channel no longer exists",
        10004: "The server no longer exists",
        10008: "The message was deleted",
        10015: COMMAND_EXPIRED_TEXT,
        10062: COMMAND_EXPIRED_TEXT,
        50027: COMMAND_EXPIRED_TEXT,
    },
    DeliveryFailure.RATE_LIMITED: {
        20016: "Slow mode is on in this channel",
        20028: "Too many messages in this channel",
        30046: "Too many edits of an old message",
    },
    DeliveryFailure.FORBIDDEN: {
        50001: gettext_noop("I can't see this channel"),
        50005: gettext_noop("I can only edit my own messages"),
        50007: gettext_noop("This person does not accept direct messages from me"),
        50013: NO_WRITE_PERMISSION_TEXT,
        50083: gettext_noop("The thread is archived"),
        50278: gettext_noop("This person does not accept direct messages from me"),
        160005: gettext_noop("The thread is locked"),
        160009: gettext_noop("I'm not allowed to read the messages of this channel"),
        160010: gettext_noop("I'm not allowed to reply to this message"),
    },
    DeliveryFailure.REJECTED: {
        40005: gettext_noop("The message is too large for Discord"),
        50006: gettext_noop("Discord does not accept empty messages"),
        INVALID_FORM: gettext_noop("Discord rejected the message as malformed"),
        200000: gettext_noop("This server's AutoMod blocked the message"),
        200001: gettext_noop("This server's AutoMod blocked the message"),
    },
}
FAILURES_BY_CODE = {code: (failure, text) for failure, texts in TEXTS_BY_CODE.items() for code, text in texts.items()}
FAILURES_BY_STATUS: Mapping[int, tuple[DeliveryFailure, str]] = {
    401: (DeliveryFailure.TRANSIENT, "Discord rejected the bot's token"),
    403: (DeliveryFailure.FORBIDDEN, gettext_noop("Discord does not allow this")),
    404: (DeliveryFailure.GONE, "Discord no longer has this"),
    408: (DeliveryFailure.TRANSIENT, "Discord took too long to respond"),
    429: (DeliveryFailure.RATE_LIMITED, RATE_LIMIT_TEXT),
}
PERMANENT_FAILURES = (DeliveryFailure.REJECTED, DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE)
"""Failures that repeating the request does not fix."""
DEFAULT_RETRY_SECONDS = 60.0
"""The wait after a 429 that does not specify one."""

FATAL_CLOSE_CODES = {
    4004: TOKEN_REJECTED_TEXT,
    4010: "Discord rejected the shard: it expects another number of shards.",
    4011: "Discord requires sharding: the bot is in too many servers for one connection.",
    4012: "Discord rejected the gateway version. Update discord.py.",
    4013: "Discord does not know the requested intents. Update discord.py.",
    4014: (
        "Discord did not grant the message content intent. Switch it on in the developer portal "
        "(Bot, Privileged Gateway Intents) or leave DISCORD_MESSAGE_CONTENT unset."
    ),
}


RESHARD_CLOSE_CODES = (4010, 4011)
"""Discord wants another number of shards. It says how many when it is asked for the gateway's URL."""


class DiscordApiError(DeliveryError):
    """Discord answered with an error: the HTTP `status`, and a `code` from Discord's own list or 0."""

    def __init__(
        self,
        message: str,
        failure: DeliveryFailure,
        status: int,
        code: int,
        retry_after: float | None = None,
        *,
        account_wide: bool = False,
    ) -> None:
        super().__init__(message, failure, retry_after=retry_after, account_wide=account_wide)
        self.status = status
        self.code = code


def to_delivery_error(
    status: int,
    body: object,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    is_idempotent: bool = True,
    as_bot: bool = True,
) -> DiscordApiError:
    """Classify a response with an error status by its status, decoded body and headers.

    `is_idempotent`: repeating the request has no further effect, so a 5xx may count as "not
    arrived". `as_bot` is False if the request used an interaction's token: a rate limit then does
    not concern the bot's account.
    """
    fields = body if isinstance(body, dict) else {}
    raw_code = fields.get("code")
    code = raw_code if isinstance(raw_code, int) else 0
    if status >= 500:
        failure = DeliveryFailure.TRANSIENT if is_idempotent else DeliveryFailure.UNKNOWN
        text = "Discord reported an internal error"
    elif status != 429 and code in FAILURES_BY_CODE:
        failure, text = FAILURES_BY_CODE[code]
    else:
        failure, text = FAILURES_BY_STATUS.get(
            status, (DeliveryFailure.REJECTED, gettext_noop("Discord rejected the request"))
        )
    if failure is not DeliveryFailure.RATE_LIMITED:
        return DiscordApiError(text, failure, status, code)
    seconds = _retry_seconds(fields.get("retry_after"), headers.get("Retry-After"))
    # A body that is not an object comes from Cloudflare, which blocks the IP address, not one channel.
    is_global = bool(fields.get("global", not isinstance(body, dict))) or "X-RateLimit-Global" in headers
    return DiscordApiError(text, failure, status, code, seconds, account_wide=as_bot and is_global)


def to_configuration_error(error: BaseException) -> ConfigurationError | None:
    """What the operator must change, or None if reconnecting may help."""
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, discord.LoginFailure):
        return ConfigurationError(TOKEN_REJECTED_TEXT)
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return ConfigurationError(FATAL_CLOSE_CODES[4014])
    if isinstance(error, discord.ConnectionClosed) and error.code in FATAL_CLOSE_CODES:
        return ConfigurationError(FATAL_CLOSE_CODES[error.code])
    return None


def describe_connection_error(error: BaseException) -> str:
    """Why there is no connection, for the log. Never the error's own text, which may hold a proxy's password."""
    match error:
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno or 0
            cause = os.strerror(number) if number > 0 else error.os_error.strerror
            return f"cannot connect to {error.host}:{error.port}: {cause}"
        case aiohttp.ClientResponseError() | discord.HTTPException():  # the server, or the proxy before it
            return f"answered with status {error.status}"
        case discord.ConnectionClosed():
            return f"closed with code {error.code}"
        case TimeoutError():
            return "no answer in time"
        case UnavailableError() | DeliveryError():
            return str(error)
        case _:
            return type(error).__name__


def _retry_seconds(*candidates: object) -> float:
    """The first candidate that is a plausible number of seconds."""
    for candidate in candidates:
        try:
            seconds = float(candidate)  # type: ignore[arg-type]  # a proxy may have put anything there
        except (TypeError, ValueError):
            continue
        if 0 <= seconds < 7 * 86_400:
            return seconds
    return DEFAULT_RETRY_SECONDS
