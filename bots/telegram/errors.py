"""What Telegram's refusals mean, in the closed list of `Fault`."""

from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from core.errors import ChatMovedError, DeliveryError, DeliveryFailure

__all__ = ["ServerError", "is_not_modified", "to_delivery_error", "to_seconds"]

NOT_MODIFIED_TEXT = "message is not modified"

# Told apart by their texts, for Telegram gives them all the same number, 400.
GONE_TEXTS = (
    "message to edit not found",
    "message can't be edited",
    "message to delete not found",
    "message to be replied not found",
    "message to reply not found",
    "replied message not found",
    "message thread not found",
    "message_id_invalid",
    "topic_deleted",
    "topic_id_invalid",
    "chat not found",
    "user not found",
    "peer_id_invalid",
)
FORBIDDEN_TEXTS = (
    "not enough rights",
    "have no rights",
    "need administrator rights",
    "chat_write_forbidden",
    "chat_restricted",
    "chat_send_plain_forbidden",
    "topic_closed",
    "bot is not a member",
    "bot was kicked",
    "user is deactivated",
)

# The request never left: there was no connection to write it to.
NOT_SENT_ERRORS = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    RuntimeError,  # the client is closed
)

OTHER_ERRORS: tuple[tuple[type[TelegramError], str, DeliveryFailure], ...] = (
    (Forbidden, "Telegram does not let the bot write there", DeliveryFailure.FORBIDDEN),
    (InvalidToken, "Telegram does not accept the token", DeliveryFailure.TRANSIENT),
    (Conflict, "Telegram reports a conflict", DeliveryFailure.TRANSIENT),
)


class ServerError(NetworkError):
    """Telegram, or a proxy before it, answered with a status of 500 or more."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Telegram answered with status {status}")
        self.status = status


def is_not_modified(error: BadRequest) -> bool:
    """Whether an edit was refused only because the message reads like this already."""
    return NOT_MODIFIED_TEXT in error.message.lower()


def to_delivery_error(error: TelegramError) -> DeliveryError:
    """Say what `error` means for the request that met it. BadRequest and TimedOut are
    NetworkErrors: the order matters.
    """
    if isinstance(error, RetryAfter):
        wait = to_seconds(error.retry_after)
        return DeliveryError("Telegram asks to wait", DeliveryFailure.RATE_LIMITED, retry_after=wait)
    if isinstance(error, ChatMigrated):
        return ChatMovedError(str(error.new_chat_id))
    if isinstance(error, BadRequest):
        return _from_bad_request(error.message)
    if isinstance(error, NetworkError):
        return _from_network_error(error)
    for error_type, text, failure in OTHER_ERRORS:
        if isinstance(error, error_type):
            return DeliveryError(text, failure)
    return DeliveryError("Telegram's answer cannot be understood", DeliveryFailure.UNKNOWN)


def to_seconds(wait: float | timedelta) -> float:
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def _from_bad_request(text: str) -> DeliveryError:
    lowered = text.lower()
    if any(phrase in lowered for phrase in GONE_TEXTS):
        failure = DeliveryFailure.GONE
    elif any(sign in lowered for sign in FORBIDDEN_TEXTS):
        failure = DeliveryFailure.FORBIDDEN
    else:
        failure = DeliveryFailure.REJECTED
    return DeliveryError(f"Telegram refused: {text}", failure)


def _from_network_error(error: NetworkError) -> DeliveryError:
    cause = error.__cause__
    if isinstance(error, ServerError):
        # A gateway that gave up waiting (504, and a proxy's 52x) had passed the request on.
        was_forwarded = error.status == 504 or error.status >= 520
        return DeliveryError(error.message, DeliveryFailure.UNKNOWN if was_forwarded else DeliveryFailure.TRANSIENT)
    if isinstance(cause, NOT_SENT_ERRORS):
        return DeliveryError("Telegram cannot be reached", DeliveryFailure.TRANSIENT)
    if isinstance(error, TimedOut) or cause is not None:
        return DeliveryError("The connection to Telegram broke off", DeliveryFailure.UNKNOWN)
    if "too many requests" in error.message.lower():
        return DeliveryError("Telegram asks to wait", DeliveryFailure.RATE_LIMITED, retry_after=1.0)
    return DeliveryError(f"Telegram refused: {error.message}", DeliveryFailure.REJECTED)
