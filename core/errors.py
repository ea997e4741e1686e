"""The exceptions that Parley raises on purpose.

    ParleyError
    ├── ConfigurationError     the operator must change something; exit code 78
    ├── UnavailableError       a service does not answer; exit code 69
    │   └── StoreError         the database cannot be read or written
    │       └── DamagedStoreError  its file is damaged; exit code 78
    ├── AccessDeniedError      the sender may not use the bot
    │   └── PressRefusedError  the sender may use the bot, but the press has no effect
    ├── DeliveryError          a platform refused a request; see `DeliveryFailure`
    │   └── ChatMovedError     the chat has a new ID
    ├── ModelError             a model did not answer; see `ModelFailure`
    └── DocumentError          a file cannot be read; see `DocumentFailure`

The text of every exception may be shown to people: it holds no secret, no address and no stack.
"""

from enum import StrEnum


class ParleyError(Exception):
    exit_code = 1
    """The status of a process that ends with this error; the numbers are those of `sysexits.h`."""


class ConfigurationError(ParleyError):
    """A setting, a token or a file is wrong. A restart does not help."""

    exit_code = 78


class UnavailableError(ParleyError):
    """A service that Parley depends on does not answer. A restart may help."""

    exit_code = 69


class StoreError(UnavailableError):
    """The database cannot be read or written: full disk, read-only file, lost connection."""


class DamagedStoreError(StoreError):
    """The database file is damaged, or is not a database. Only a backup helps, not a restart."""

    exit_code = ConfigurationError.exit_code


class AccessDeniedError(ParleyError):
    """The sender may not use the bot, or sends too fast. Nothing was stored."""


class PressRefusedError(AccessDeniedError):
    """The sender may use the bot, but this press has no effect. The text, for them alone, says why."""


class DeliveryFailure(StrEnum):
    """Why a request to a platform failed. Adapters translate every exception to one of these."""

    TRANSIENT = "transient"
    """It certainly had no effect (no connection, 5xx). The core tries again."""
    RATE_LIMITED = "rate"
    """Too many requests. It had no effect; the core sends nothing to the chat for `retry_after` seconds."""
    FORBIDDEN = "forbidden"
    """The person blocked the bot, the bot was removed, or it lacks a permission."""
    GONE = "gone"
    """The message, chat or interaction no longer exists."""
    REJECTED = "rejected"
    """The platform refuses the content and would refuse it again."""
    UNKNOWN = "unknown"
    """It may have had its effect (a time-out after the request was sent)."""


RETRYABLE_DELIVERY_FAILURES = (DeliveryFailure.TRANSIENT, DeliveryFailure.RATE_LIMITED, DeliveryFailure.UNKNOWN)
"""For requests that may be repeated even if the first one had its effect."""


class DeliveryError(ParleyError):
    """A request to a platform failed."""

    def __init__(
        self,
        message: str,
        failure: DeliveryFailure,
        *,
        retry_after: float | None = None,
        account_wide: bool = False,
        is_foreseen: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.retry_after = retry_after
        """Seconds to wait, with `DeliveryFailure.RATE_LIMITED` only; None: the platform does not say."""
        self.account_wide = account_wide
        """The wait applies to the whole account instead of one chat."""
        self.is_foreseen = is_foreseen
        """The platform has announced that it would refuse the request, so nothing was sent."""


class ChatMovedError(DeliveryError):
    """The chat has a new ID (a Telegram group became a supergroup)."""

    def __init__(self, new_chat: str) -> None:
        super().__init__(f"The chat has moved to {new_chat}", DeliveryFailure.GONE)
        self.new_chat = new_chat


class RichRejectedError(DeliveryError):
    """The platform does not support rich messages, or rejects this one. It can be sent with `Adapter.dialect`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The rich message was rejected: {reason}", DeliveryFailure.REJECTED)


class MessageLimitError(DeliveryError):
    """The platform allows no more messages in answer to this event. Those that exist can still be edited."""

    def __init__(self, message: str) -> None:
        super().__init__(message, DeliveryFailure.REJECTED)


class ModelFailure(StrEnum):
    """Why a model did not answer. Retries, substitutes and messages depend on it."""

    AUTHENTICATION = "authentication"
    """401, or 403 without another reason: the API key is wrong."""
    CREDIT = "credit"
    """402 and others: the account has no credit left."""
    PAYMENT = "payment"
    """402, 403: the model needs a higher plan."""
    REGION = "region"
    """403, 451: the service does not serve the country of the bot."""
    BLOCKED = "blocked"
    """403, 407: a proxy or a firewall answered, or the service refuses the bot's network address."""
    WRONG_ADDRESS = "wrong address"
    """404, 405: the service does not know the path."""
    NO_STREAMING = "no streaming"
    """The service sends this model's answers only as a whole."""
    RATE_LIMITED = "rate"
    """429 for some seconds."""
    QUOTA = "quota"
    """429 for the rest of the day."""
    ALLOWANCE = "allowance"
    """The request would exceed the person's or the chat's daily limit; it was not sent."""
    UNKNOWN_MODEL = "unknown model"
    """The service does not offer the model."""
    OVERFLOW = "overflow"
    """The request is longer than the model's context window."""
    REFUSED = "refused"
    """400, 413, 422: the service rejects the request itself."""
    FILTERED = "filtered"
    """A content filter withheld the answer."""
    UNREACHABLE = "unreachable"
    """No connection."""
    SERVER_ERROR = "server error"
    """500, or an error without a status inside a stream."""
    UNAVAILABLE = "unavailable"
    """502 and above; nothing, or an HTML page, instead of an answer."""
    STALLED = "stalled"
    """A time-out: no token arrived in time."""
    TRUNCATED = "truncated"
    """The stream broke off without its end mark."""
    MALFORMED = "malformed"
    """The response cannot be parsed."""
    EMPTY = "empty"
    """The stream is complete and contains no text."""


class ModelError(ParleyError):
    """A model did not answer, or not completely.

    `limit` is the model's context window in tokens, if an overflow error names it, or the count of a prompt that was
    cut (`is_limit_counted`). `rejected_parts` are the parts of the request that the error names
    (`core.api.adaptation`). `request_id` is the service's, for the log.
    """

    def __init__(
        self,
        message: str,
        failure: ModelFailure,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        limit: int | None = None,
        is_limit_counted: bool = False,
        rejected_parts: tuple[str, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.retry_after = retry_after
        self.limit = limit
        self.is_limit_counted = is_limit_counted
        self.rejected_parts = rejected_parts
        self.request_id = request_id


class DocumentFailure(StrEnum):
    """Why a file cannot be read."""

    TOO_LARGE = "too large"
    ENCRYPTED = "encrypted"
    """It needs a password."""
    EMPTY = "empty"
    NO_TEXT = "no text"
    """Its pages are pictures."""
    BROKEN = "broken"
    UNKNOWN = "unknown"
    """Not a supported type."""
    SLOW = "slow"
    """Reading it takes too long or too much memory."""
    FULL = "full"
    """The conversation has no room for more."""


class DocumentError(ParleyError):
    """A file cannot be read."""

    def __init__(self, message: str, failure: DocumentFailure) -> None:
        super().__init__(message)
        self.failure = failure
