"""Discord's refusals as the closed list of `Fault`."""

from collections.abc import Mapping
from types import MappingProxyType

from core.errors import DeliveryError, Fault

__all__ = [
    "ALREADY_ACKNOWLEDGED",
    "ARCHIVED",
    "MISSING_ACCESS",
    "MISSING_PERMISSIONS",
    "NO_MESSAGE",
    "RefusedError",
    "classify",
]

ALREADY_ACKNOWLEDGED = 40060
ARCHIVED = 50083
MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013
NO_MESSAGE = 10008


CODES: Mapping[int, tuple[Fault, str]] = {
    10003: (Fault.GONE, "The channel does not exist any more."),
    10004: (Fault.GONE, "The server does not exist any more."),
    10008: (Fault.GONE, "The message was deleted."),
    10015: (Fault.GONE, "This command cannot be answered any more."),
    10062: (Fault.GONE, "This command cannot be answered any more."),
    40094: (Fault.GONE, "Discord allows no further messages in answer to this command."),
    50027: (Fault.GONE, "This command cannot be answered any more."),
    20016: (Fault.RATE, "Slow mode is on in this channel."),
    20028: (Fault.RATE, "Too many messages in this channel."),
    30046: (Fault.RATE, "Too many changes of an old message."),
    50001: (Fault.FORBIDDEN, "I cannot see this channel."),
    50007: (Fault.FORBIDDEN, "This person does not take direct messages from me."),
    50278: (Fault.FORBIDDEN, "This person does not take direct messages from me."),
    50013: (Fault.FORBIDDEN, "I lack the permission to write in this channel."),
    50005: (Fault.FORBIDDEN, "I can change my own messages only."),
    50083: (Fault.FORBIDDEN, "The thread is archived."),
    160005: (Fault.FORBIDDEN, "The thread is locked."),
    40005: (Fault.REJECTED, "Discord refuses the message: it is too large."),
    50006: (Fault.REJECTED, "Discord refuses an empty message."),
    50035: (Fault.REJECTED, "Discord refuses the form of the message."),
    200000: (Fault.REJECTED, "AutoMod of this server blocked the message."),
    200001: (Fault.REJECTED, "AutoMod of this server blocked the message."),
}
STATUSES: Mapping[int, tuple[Fault, str]] = {
    401: (Fault.TRANSIENT, "Discord does not accept the bot's token."),
    403: (Fault.FORBIDDEN, "Discord does not allow it."),
    404: (Fault.GONE, "It does not exist any more."),
    408: (Fault.TRANSIENT, "Discord took too long."),
    429: (Fault.RATE, "Discord asks for patience."),
}
PATIENCE = 60.0
"""Seconds to wait where Discord, or Cloudflare before it, says wait without saying how long."""


class RefusedError(DeliveryError):
    """Discord answered, and said no: `status` by HTTP, `code` by its own list (0: none)."""

    def __init__(
        self,
        message: str,
        fault: Fault,
        status: int,
        code: int,
        retry_after: float | None = None,
        *,
        everywhere: bool = False,
    ) -> None:
        super().__init__(message, fault, retry_after=retry_after, everywhere=everywhere)
        self.status = status
        self.code = code


def classify(
    status: int,
    body: object,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    repeatable: bool = True,
    bot: bool = True,
) -> RefusedError:
    """Turn a refusal (HTTP status, decoded body, headers) into an error.

    `repeatable`: sending it again cannot double it, so that a 5xx is certain to be harmless.
    `bot` False: made by an interaction's own right, which limits nothing but itself.
    """
    fields = body if isinstance(body, dict) else {}
    given = fields.get("code")
    code = given if isinstance(given, int) else 0
    fault, words = CODES.get(code, (None, ""))
    if status >= 500:
        fault, words = Fault.TRANSIENT if repeatable else Fault.UNKNOWN, "Discord has a problem."
    elif status == 429:
        fault, words = STATUSES[429]
    elif fault is None:
        fault, words = STATUSES.get(status, (Fault.REJECTED, "Discord refuses the message."))
    if fault is not Fault.RATE:
        return RefusedError(words, fault, status, code)
    seconds = _seconds(fields.get("retry_after"), headers.get("Retry-After"))
    # No object: Cloudflare before Discord, which refuses our address and not one channel.
    everywhere = bool(fields.get("global", not isinstance(body, dict)))
    everywhere = bot and (everywhere or "X-RateLimit-Global" in headers)
    return RefusedError(words, fault, status, code, seconds, everywhere=everywhere)


def _seconds(*candidates: object) -> float:
    for candidate in candidates:
        try:
            seconds = float(candidate)  # type: ignore[arg-type]  # whatever a proxy put there
        except (TypeError, ValueError):
            continue
        if 0 <= seconds < 7 * 86_400:
            return seconds
    return PATIENCE
