"""From what went wrong on the wire to the closed list of failures."""

import ast
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from core.errors import Failure, ModelError

__all__ = ["from_exception", "from_payload", "from_response"]

LONGEST_WAIT = 7 * 86_400.0  # seconds; whoever names more means: not today
LONGEST = 8_000  # characters of an error that are looked at
LONG_WAIT = 120.0  # seconds; a 429 that asks for more is the day's quota

OVERFLOW = re.compile(
    r"maximum context length|context length is only|maximum model length|context window"
    r"|context size|context_length_exceeded|exceed_context_size|max_tokens must be at least"
    r"|max_(?:completion_)?tokens'? is too large|longer than the model's context"
    r"|exceeds model's maximum|reduce the length of the|too large for model with"
    r"|exceeded model token limit|maximum prompt length is|input token count"
    r"|maximum number of tokens allowed|request_too_large|contextwindowexceeded",
    re.IGNORECASE,
)
NOT_OVERFLOW = re.compile(r"rate limit|too many requests", re.IGNORECASE)
LIMITS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"context length (?:is only|is|of) (\d{1,12})",
        r"context length \((\d{1,12})",
        r"model length of (\d{1,12})",
        r"context size \((\d{1,12})",
        r"model with (\d{1,12}) maximum",
        r"token limit: (\d{1,12})",
        r"prompt length is (\d{1,12})",
        r"tokens allowed \((\d{1,12})",
    )
)
PROMPTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\((\d{1,12}) in the messages",
        r"contains (?:at least )?(\d{1,12}) (?:input )?tokens",
        r"passed (\d{1,12}) input",
        r"(?:prompt|input) \(?(?:length )?\(?(\d{1,12})",
        r"request \((\d{1,12}) tokens",
        r"messages resulted in (\d{1,12})",
        r"prompt is (\d{1,12}) tokens",
        r"requested:? (?:about )?(\d{1,12})",
        r"input token count \((\d{1,12})",
        r"request contains (\d{1,12})",
    )
)
UNKNOWN = re.compile(
    r"model is not available|model .{0,200}(?:does not exist|not found)|unknown model"
    r"|model_not_found",
    re.IGNORECASE | re.DOTALL,
)
AVAILABLE = re.compile(r"Available models: (\[.*?\])", re.DOTALL)
QUOTA = re.compile(r"quota|per day|daily|insufficient_quota|tokens? per day", re.IGNORECASE)

STATUSES = {str(status): status for status in range(400, 600)}
BY_STATUS = {
    401: Failure.AUTHENTICATION,
    402: Failure.PAYMENT,
    403: Failure.AUTHENTICATION,
    404: Failure.UNKNOWN_MODEL,
    408: Failure.UNAVAILABLE,
    409: Failure.UNAVAILABLE,
    413: Failure.OVERFLOW,
    429: Failure.RATE,
}


def words_of(body: Any) -> tuple[str, str | None]:
    """The text of an error body in any known shape, and the field a 422 names."""
    match body:
        case {"detail": [{"msg": msg}, *_] as items}:
            fields = [field for item in items if (field := _field(item))]
            return _text(msg), fields[0] if fields else None
        case {"detail": detail}:
            return _text(detail), None
        case {"error": {"message": message, **rest}} | {"message": str(message), **rest}:
            # The openai package hands on what is inside "error".
            said = (_text(message), _text(rest.get("code")), _text(rest.get("type")))
            return " ".join(filter(None, said)), None
        case {"error": str(message)} | str(message):
            return _text(message), None
        case _:
            return "", None


def _text(value: object) -> str:
    try:
        return "" if value is None else str(value)[:LONGEST]
    except ValueError:  # a number with thousands of digits
        return ""


def _field(item: Any) -> str | None:
    """The request's field that one item of a 422 is about."""
    match item:
        case {"loc": ["body", field, *_]}:
            return _text(field)
        case _:
            return None


def _number(patterns: tuple[re.Pattern[str], ...], said: str) -> int | None:
    found = (pattern.search(said) for pattern in patterns)
    return next((int(match[1]) for match in found if match), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or `retry-after` (seconds or a date)."""
    try:
        if "retry-after-ms" in headers:
            return _seconds(float(headers["retry-after-ms"]) / 1000)
        given = headers.get("retry-after")
        if given is None:
            return None
        if re.fullmatch(r"\d+(\.\d+)?", given.strip()):
            return _seconds(float(given))
        date = parsedate_to_datetime(given)
        return _seconds(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _seconds(wait: float) -> float | None:
    return min(max(0.0, wait), LONGEST_WAIT) if math.isfinite(wait) else None


def from_response(status: int, body: Any, headers: Mapping[str, str]) -> ModelError:
    """An HTTP answer that is no success."""
    said, field = words_of(body)
    wait = retry_after(headers)
    failure = _failure(status, said, wait)
    error = ModelError(
        f"The model service answered {status}",
        failure,
        status=status,
        retry_after=wait,
        field=field,
        request_id=headers.get("x-request-id"),
    )
    return _with_figures(error, said)


def from_payload(payload: Any) -> ModelError:
    """An error that came inside a stream, or instead of one with status 200."""
    said, _ = words_of(payload)
    inner = payload.get("error") if isinstance(payload, dict) else None
    about = inner if isinstance(inner, dict) else payload
    code = about.get("code") if isinstance(about, dict) else None
    status = STATUSES.get(_text(code))
    failure = _failure(status or 500, said, None)
    error = ModelError("The model service broke off with an error", failure, status=status)
    return _with_figures(error, said)


def _failure(status: int, said: str, wait: float | None) -> Failure:
    if OVERFLOW.search(said) and not NOT_OVERFLOW.search(said):
        return Failure.OVERFLOW
    if UNKNOWN.search(said):
        return Failure.UNKNOWN_MODEL
    if status == 429:
        if (wait or 0) > LONG_WAIT or QUOTA.search(said):
            return Failure.QUOTA
        return Failure.RATE
    if status in BY_STATUS:
        return BY_STATUS[status]
    return Failure.UNAVAILABLE if status >= 500 else Failure.REFUSED


def _with_figures(error: ModelError, said: str) -> ModelError:
    if error.failure is Failure.OVERFLOW:
        error.limit = _number(LIMITS, said)
        error.prompt_tokens = _number(PROMPTS, said)
    if error.failure is Failure.UNKNOWN_MODEL and (named := AVAILABLE.search(said)):
        try:
            error.available = tuple(str(name) for name in ast.literal_eval(named[1]))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            error.available = ()
    return error


def from_exception(error: Exception) -> ModelError:
    """What the openai package or its transport raised."""
    match error:
        case ModelError():
            return error
        case openai.APIStatusError():
            return from_response(error.status_code, error.body, error.response.headers)
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelError("The model service did not answer in time", Failure.STALLED)
        case openai.APIConnectionError() | httpx2.TransportError():
            return ModelError("The model service cannot be reached", Failure.UNAVAILABLE)
        case _:
            return ModelError("The model service sent something unknown", Failure.MALFORMED)
