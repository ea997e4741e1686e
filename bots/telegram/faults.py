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

from core.errors import DeliveryError, Fault, MovedError

__all__ = ["ServerError", "classify", "is_unmodified", "seconds"]

UNMODIFIED = "message is not modified"

# Told apart by their texts, for Telegram gives them all the same number, 400.
GONE = (
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
FORBIDDEN = (
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
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    RuntimeError,  # the client is closed
)

OTHERS: tuple[tuple[type[TelegramError], str, Fault], ...] = (
    (Forbidden, "Telegram does not let the bot write there", Fault.FORBIDDEN),
    (InvalidToken, "Telegram does not accept the token", Fault.TRANSIENT),
    (Conflict, "Telegram reports a conflict", Fault.TRANSIENT),
)


class ServerError(NetworkError):
    """Telegram, or a proxy before it, answered with a status of 500 or more."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Telegram answered with status {status}")
        self.status = status


def is_unmodified(error: BadRequest) -> bool:
    """Whether an edit was refused only because the message reads like this already."""
    return UNMODIFIED in error.message.lower()


def classify(error: TelegramError) -> DeliveryError:
    """Say what `error` means for the request that met it. BadRequest and TimedOut are
    NetworkErrors: the order matters.
    """
    if isinstance(error, RetryAfter):
        wait = seconds(error.retry_after)
        return DeliveryError("Telegram asks to wait", Fault.RATE, retry_after=wait)
    if isinstance(error, ChatMigrated):
        return MovedError(str(error.new_chat_id))
    if isinstance(error, BadRequest):
        return _refused(error.message)
    if isinstance(error, NetworkError):
        return _network(error)
    for kind, text, fault in OTHERS:
        if isinstance(error, kind):
            return DeliveryError(text, fault)
    return DeliveryError("Telegram's answer cannot be understood", Fault.UNKNOWN)


def seconds(wait: float | timedelta) -> float:
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def _refused(text: str) -> DeliveryError:
    known = text.lower()
    if any(sign in known for sign in GONE):
        fault = Fault.GONE
    elif any(sign in known for sign in FORBIDDEN):
        fault = Fault.FORBIDDEN
    else:
        fault = Fault.REJECTED
    return DeliveryError(f"Telegram refused: {text}", fault)


def _network(error: NetworkError) -> DeliveryError:
    cause = error.__cause__
    if isinstance(error, ServerError):
        # A gateway that gave up waiting (504, and a proxy's 52x) had passed the request on.
        passed_on = error.status == 504 or error.status >= 520
        return DeliveryError(error.message, Fault.UNKNOWN if passed_on else Fault.TRANSIENT)
    if isinstance(cause, NOT_SENT):
        return DeliveryError("Telegram cannot be reached", Fault.TRANSIENT)
    if isinstance(error, TimedOut) or cause is not None:
        return DeliveryError("The connection to Telegram broke off", Fault.UNKNOWN)
    if "too many requests" in error.message.lower():
        return DeliveryError("Telegram asks to wait", Fault.RATE, retry_after=1.0)
    return DeliveryError(f"Telegram refused: {error.message}", Fault.REJECTED)
