"""Everything Parley raises on purpose.

    ParleyError
    ├── ConfigurationError     the operator must change something; exit code 78
    ├── UnavailableError       a service does not answer; exit code 69
    │   └── StoreError         the database cannot be read or written
    ├── DeniedError            who said it is not let in
    ├── DeliveryError          a platform did not take what was sent; see `Fault`
    │   └── MovedError         the chat goes on under another id
    ├── ModelError             a model did not answer; see `Failure`
    └── DocumentError          a file cannot be read; see `Unreadable`

Every class carries a text fit to be shown to a person: no secret, no address, no stack.
"""

from enum import StrEnum

__all__ = [
    "AccessDeniedError",
    "ChatMovedError",
    "ConfigurationError",
    "DeliveryError",
    "DeliveryFailure",
    "DocumentError",
    "DocumentFailure",
    "ModelError",
    "ModelFailure",
    "ParleyError",
    "StoreError",
    "UnavailableError",
]


class ParleyError(Exception):
    """The root; `str(error)` may be shown to a person."""


class ConfigurationError(ParleyError):
    """A setting, a token or a file is wrong. Restarting does not help."""

    exit_code = 78


class UnavailableError(ParleyError):
    """A service that Parley stands on does not answer. Restarting may help."""

    exit_code = 69


class StoreError(UnavailableError):
    """The database cannot be read or written: full disk, read-only file, lost connection."""


class AccessDeniedError(ParleyError):
    """Who said it is not let in, or not in this minute; nothing of it was kept."""

    def __init__(self, message: str = "This bot answers only people its operator let in.") -> None:
        super().__init__(message)


class DeliveryFailure(StrEnum):
    """Why a platform did not take a request: the closed list every adapter maps to."""

    TRANSIENT = "transient"
    """It certainly did not arrive (no connection, 5xx before acceptance): try again."""
    RATE = "rate"
    """Too many requests: nothing to this place before `retry_after` has passed."""
    FORBIDDEN = "forbidden"
    """Blocked, kicked, or a permission is missing."""
    GONE = "gone"
    """The message, chat or interaction does not exist any more."""
    REJECTED = "rejected"
    """The platform refuses this content; sending it again is refused again."""
    UNKNOWN = "unknown"
    """It may or may not have arrived (a time-out after the request was written)."""


class DeliveryError(ParleyError):
    """A platform did not take a message."""

    def __init__(
        self,
        message: str,
        failure: DeliveryFailure,
        *,
        retry_after: float | None = None,
        account_wide: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.retry_after = retry_after
        """Seconds during which nothing may be sent to the place; with `Fault.RATE` only."""
        self.account_wide = account_wide
        """The wait is for the whole account, not for one place."""


class ChatMovedError(DeliveryError):
    """The chat goes on under another id, `chat`: everything known of it belongs there now."""

    def __init__(self, new_chat: str) -> None:
        super().__init__(f"The chat has moved and is now {new_chat}", DeliveryFailure.GONE)
        self.new_chat = new_chat


class ModelFailure(StrEnum):
    """Why a model did not answer: the closed list that retries and messages are decided on."""

    AUTHENTICATION = "authentication"
    """401, 403: the API key is wrong."""
    PAYMENT = "payment"
    """402: the model needs a higher plan."""
    RATE = "rate"
    """429 that passes soon."""
    QUOTA = "quota"
    """429 for the rest of the day."""
    UNKNOWN_MODEL = "unknown model"
    """The model vanished or never was."""
    OVERFLOW = "overflow"
    """The request is longer than the model's context window."""
    REFUSED = "refused"
    """400, 413, 422: the request itself is not taken."""
    FILTERED = "filtered"
    """The model's answer was withheld by a content filter."""
    UNAVAILABLE = "unavailable"
    """5xx, no connection, an HTML page instead of an answer."""
    STALLED = "stalled"
    """Nothing came within the time allowed."""
    TRUNCATED = "truncated"
    """The stream ended without saying so."""
    MALFORMED = "malformed"
    """What came cannot be understood."""
    EMPTY = "empty"
    """The stream ended well and held no text."""


class ModelError(ParleyError):
    """A model did not answer, or not to the end.

    `limit` and `prompt_tokens` are numbers read from an overflow error, in tokens.
    `available` lists the models the server named when it did not know the one asked for.
    `request_id` is the server's, for the log.
    """

    def __init__(
        self,
        message: str,
        failure: ModelFailure,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        limit: int | None = None,
        prompt_tokens: int | None = None,
        available: tuple[str, ...] = (),
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.retry_after = retry_after
        self.limit = limit
        self.prompt_tokens = prompt_tokens
        self.available = available
        self.field = field
        """The request field a 422 complains about, e.g. `temperature`."""
        self.request_id = request_id


class DocumentFailure(StrEnum):
    """Why a file cannot be read: the closed list."""

    TOO_LARGE = "too large"
    ENCRYPTED = "encrypted"
    """It wants a password."""
    NO_TEXT = "no text"
    """It is empty, or pictures of pages."""
    BROKEN = "broken"
    UNKNOWN = "unknown"
    """Not a kind we read."""
    SLOW = "slow"
    """Reading it took too long, or too much memory."""
    FULL = "full"
    """There is no room for more in this conversation."""


class DocumentError(ParleyError):
    """A file cannot be read."""

    def __init__(self, message: str, failure: DocumentFailure) -> None:
        super().__init__(message)
        self.failure = failure
