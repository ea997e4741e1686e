"""Translates the library's exceptions into `DeliveryError`, and repeats requests that failed.

Telegram gives most refusals the status 400, so their texts determine the meaning.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import aiohttp
import structlog
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

from bots.telegram.timings import TelegramTimings
from core.backoff import Backoff
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from core.i18n.translation import gettext_noop

log = structlog.get_logger(__name__)

NOT_MODIFIED_TEXT = "message is not modified"

TOPIC_GONE_TEXTS = ("message thread not found", "topic_deleted", "topic_id_invalid")
GONE_TEXTS = (
    *TOPIC_GONE_TEXTS,
    "message to edit not found",
    "message can't be edited",
    "message to delete not found",
    "message to be replied not found",
    "message to reply not found",
    "replied message not found",
    "message_id_invalid",
    "chat not found",
    "user not found",
    "peer_id_invalid",
    "query is too old",
    "query id is invalid",
    "query_id_invalid",
    "invalid file_id",
    "wrong file_id",
)
FORBIDDEN_TEXTS = (
    "not enough rights",
    "have no rights",
    "need administrator rights",
    "chat_write_forbidden",
    "chat_restricted",
    "chat_send_plain_forbidden",
    "chat_send_docs_forbidden",
    "topic_closed",
    "bot is not a member",
    "bot was kicked",
    "user is deactivated",
)

# The request was not sent: there was no connection.
NOT_SENT_ERRORS = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    RuntimeError,  # the client is closed
)

OTHER_ERRORS: tuple[tuple[type[TelegramError], DeliveryFailure, str], ...] = (
    (Forbidden, DeliveryFailure.FORBIDDEN, gettext_noop("Telegram does not let me write here")),
    (InvalidToken, DeliveryFailure.TRANSIENT, "Telegram rejected the bot's token"),
    (Conflict, DeliveryFailure.TRANSIENT, "Telegram reported a conflict"),
)
REJECTED_TEXT = gettext_noop("Telegram rejected the request")
CONNECTION_LOST_TEXT = gettext_noop("The connection to Telegram was lost")
UNREADABLE_TEXT = gettext_noop("Telegram sent an unreadable response")
RATE_LIMIT_TEXT = gettext_noop("Telegram limits how often I may write")

T = TypeVar("T")


class ServerError(NetworkError):
    """Telegram, or a proxy before it, answered with a status of 500 or more."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Telegram answered with status {status}")
        self.status = status


class UpdateNotStoredError(Exception):
    """The update was not stored, so Telegram has to deliver it again."""

    def __init__(self) -> None:
        super().__init__("The update was not stored")


@contextmanager
def delivery_errors() -> Iterator[None]:
    """Translate all exceptions of a request to Telegram to `DeliveryError`."""
    try:
        yield
    except TelegramError as error:
        raise to_delivery_error(error) from error
    except TimeoutError as error:
        raise DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.UNKNOWN) from error
    except DeliveryError:
        raise
    except Exception as error:
        # Telegram accepted the request, but the library cannot parse the answer.
        log.error("telegram.response_unreadable", error=type(error).__name__)
        raise DeliveryError(UNREADABLE_TEXT, DeliveryFailure.UNKNOWN) from error


def to_delivery_error(error: TelegramError) -> DeliveryError:
    """The order matters: `BadRequest` and `TimedOut` are subclasses of `NetworkError`."""
    if isinstance(error, RetryAfter):
        return DeliveryError(RATE_LIMIT_TEXT, DeliveryFailure.RATE_LIMITED, retry_after=retry_after(error))
    if isinstance(error, ChatMigrated):
        return ChatMovedError(str(error.new_chat_id))
    if isinstance(error, BadRequest):
        return _from_bad_request(error.message)
    if isinstance(error, NetworkError):
        return _from_network_error(error)
    for error_type, failure, text in OTHER_ERRORS:
        if isinstance(error, error_type):
            return DeliveryError(text, failure)
    return DeliveryError(UNREADABLE_TEXT, DeliveryFailure.UNKNOWN)


def is_not_modified(error: BadRequest) -> bool:
    """Whether Telegram refused an edit only because it changes nothing."""
    return NOT_MODIFIED_TEXT in error.message.lower()


def is_topic_gone(error: BadRequest) -> bool:
    return any(text in error.message.lower() for text in TOPIC_GONE_TEXTS)


def retry_after(error: Exception) -> float:
    """The seconds that Telegram wants the bot to wait; 0 if unspecified."""
    if not isinstance(error, RetryAfter):
        return 0.0
    seconds = error.retry_after
    return seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)


def redact_token(text: str, token: str) -> str:
    return text.replace(token.partition(":")[2], "<token>")


def _from_bad_request(text: str) -> DeliveryError:
    lowered = text.lower()
    if any(phrase in lowered for phrase in GONE_TEXTS):
        failure = DeliveryFailure.GONE
    elif any(phrase in lowered for phrase in FORBIDDEN_TEXTS):
        failure = DeliveryFailure.FORBIDDEN
    else:
        failure = DeliveryFailure.REJECTED
    return _refused(text, failure)


def _from_network_error(error: NetworkError) -> DeliveryError:
    cause = error.__cause__
    if isinstance(error, ServerError):
        # A gateway that timed out (504, or a proxy's 52x) has forwarded the request.
        was_forwarded = error.status == 504 or error.status >= 520
        return DeliveryError(error.message, DeliveryFailure.UNKNOWN if was_forwarded else DeliveryFailure.TRANSIENT)
    if isinstance(cause, NOT_SENT_ERRORS):
        return DeliveryError(gettext_noop("Telegram cannot be reached"), DeliveryFailure.TRANSIENT)
    if isinstance(error, TimedOut) or cause is not None:
        return DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.UNKNOWN)
    if "too many requests" in error.message.lower():
        return DeliveryError(RATE_LIMIT_TEXT, DeliveryFailure.RATE_LIMITED, retry_after=1.0)
    return _refused(error.message, DeliveryFailure.REJECTED)


def _refused(text: str, failure: DeliveryFailure) -> DeliveryError:
    return DeliveryError(f"{REJECTED_TEXT}: {text}", failure)


async def retry(
    method: str,
    request: Callable[[], Awaitable[T]],
    token: str,
    timings: TelegramTimings,
    *,
    permanent: tuple[type[TelegramError], ...] = (),
) -> T:
    """Repeat `request`, a call of `method`, until it succeeds, and return its result.

    Raises `InvalidToken` and the `permanent` errors.
    """
    backoff = Backoff(timings.first_retry_delay, timings.max_retry_delay)
    while True:
        try:
            return await request()
        except InvalidToken:
            raise
        except (TelegramError, UpdateNotStoredError) as error:
            if isinstance(error, permanent):
                raise
            # The time-out was a sufficient delay.
            delay = 0.0 if isinstance(error, TimedOut) else max(backoff.next_delay(), retry_after(error))
            log.warning(
                "telegram.request_failed",
                method=method,
                error=redact_token(str(error), token),
                retry_in=round(delay, 1),
            )
            await timings.clock.sleep(delay)
