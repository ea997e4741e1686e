"""Discord's refusals as the closed list of `Fault`."""

from collections.abc import Mapping
from types import MappingProxyType

from core.errors import DeliveryError, DeliveryFailure

__all__ = [
    "ALREADY_ACKNOWLEDGED",
    "MISSING_ACCESS",
    "MISSING_PERMISSIONS",
    "THREAD_ARCHIVED",
    "UNKNOWN_MESSAGE",
    "RefusedError",
    "to_delivery_error",
]

ALREADY_ACKNOWLEDGED = 40060
THREAD_ARCHIVED = 50083
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
UNKNOWN_MESSAGE = 10008


FAILURES_BY_CODE: Mapping[int, tuple[DeliveryFailure, str]] = {
    10003: (DeliveryFailure.GONE, "The channel does not exist any more."),
    10004: (DeliveryFailure.GONE, "The server does not exist any more."),
    10008: (DeliveryFailure.GONE, "The message was deleted."),
    10015: (DeliveryFailure.GONE, "This command cannot be answered any more."),
    10062: (DeliveryFailure.GONE, "This command cannot be answered any more."),
    40094: (DeliveryFailure.GONE, "Discord allows no further messages in answer to this command."),
    50027: (DeliveryFailure.GONE, "This command cannot be answered any more."),
    20016: (DeliveryFailure.RATE, "Slow mode is on in this channel."),
    20028: (DeliveryFailure.RATE, "Too many messages in this channel."),
    30046: (DeliveryFailure.RATE, "Too many changes of an old message."),
    50001: (DeliveryFailure.FORBIDDEN, "I cannot see this channel."),
    50007: (DeliveryFailure.FORBIDDEN, "This person does not take direct messages from me."),
    50278: (DeliveryFailure.FORBIDDEN, "This person does not take direct messages from me."),
    50013: (DeliveryFailure.FORBIDDEN, "I lack the permission to write in this channel."),
    50005: (DeliveryFailure.FORBIDDEN, "I can change my own messages only."),
    50083: (DeliveryFailure.FORBIDDEN, "The thread is archived."),
    160005: (DeliveryFailure.FORBIDDEN, "The thread is locked."),
    40005: (DeliveryFailure.REJECTED, "Discord refuses the message: it is too large."),
    50006: (DeliveryFailure.REJECTED, "Discord refuses an empty message."),
    50035: (DeliveryFailure.REJECTED, "Discord refuses the form of the message."),
    200000: (DeliveryFailure.REJECTED, "AutoMod of this server blocked the message."),
    200001: (DeliveryFailure.REJECTED, "AutoMod of this server blocked the message."),
}
FAILURES_BY_STATUS: Mapping[int, tuple[DeliveryFailure, str]] = {
    401: (DeliveryFailure.TRANSIENT, "Discord does not accept the bot's token."),
    403: (DeliveryFailure.FORBIDDEN, "Discord does not allow it."),
    404: (DeliveryFailure.GONE, "It does not exist any more."),
    408: (DeliveryFailure.TRANSIENT, "Discord took too long."),
    429: (DeliveryFailure.RATE, "Discord asks for patience."),
}
DEFAULT_RETRY_SECONDS = 60.0
"""Seconds to wait where Discord, or Cloudflare before it, says wait without saying how long."""


class RefusedError(DeliveryError):
    """Discord answered, and said no: `status` by HTTP, `code` by its own list (0: none)."""

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
) -> RefusedError:
    """Turn a refusal (HTTP status, decoded body, headers) into an error.

    `repeatable`: sending it again cannot double it, so that a 5xx is certain to be harmless.
    `bot` False: made by an interaction's own right, which limits nothing but itself.
    """
    fields = body if isinstance(body, dict) else {}
    raw_code = fields.get("code")
    code = raw_code if isinstance(raw_code, int) else 0
    failure, text = FAILURES_BY_CODE.get(code, (None, ""))
    if status >= 500:
        failure, text = (
            DeliveryFailure.TRANSIENT if is_idempotent else DeliveryFailure.UNKNOWN,
            "Discord has a problem.",
        )
    elif status == 429:
        failure, text = FAILURES_BY_STATUS[429]
    elif failure is None:
        failure, text = FAILURES_BY_STATUS.get(status, (DeliveryFailure.REJECTED, "Discord refuses the message."))
    if failure is not DeliveryFailure.RATE:
        return RefusedError(text, failure, status, code)
    seconds = _retry_seconds(fields.get("retry_after"), headers.get("Retry-After"))
    # No object: Cloudflare before Discord, which refuses our address and not one channel.
    everywhere = bool(fields.get("global", not isinstance(body, dict)))
    everywhere = as_bot and (everywhere or "X-RateLimit-Global" in headers)
    return RefusedError(text, failure, status, code, seconds, account_wide=everywhere)


def _retry_seconds(*candidates: object) -> float:
    for candidate in candidates:
        try:
            seconds = float(candidate)  # type: ignore[arg-type]  # whatever a proxy put there
        except (TypeError, ValueError):
            continue
        if 0 <= seconds < 7 * 86_400:
            return seconds
    return DEFAULT_RETRY_SECONDS
