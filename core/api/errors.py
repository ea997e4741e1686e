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

from core.errors import ModelError, ModelFailure

__all__ = ["from_exception", "from_payload", "from_response"]

MAX_RETRY_AFTER_SECONDS = 7 * 86_400.0  # seconds; whoever names more means: not today
MAX_ERROR_TEXT_CHARS = 8_000  # characters of an error that are looked at
QUOTA_RETRY_AFTER_SECONDS = 120.0  # seconds; a 429 that asks for more is the day's quota

OVERFLOW_PATTERN = re.compile(
    r"maximum context length|context length is only|maximum model length|context window"
    r"|context size|context_length_exceeded|exceed_context_size|max_tokens must be at least"
    r"|max_(?:completion_)?tokens'? is too large|longer than the model's context"
    r"|exceeds model's maximum|reduce the length of the|too large for model with"
    r"|exceeded model token limit|maximum prompt length is|input token count"
    r"|maximum number of tokens allowed|request_too_large|contextwindowexceeded",
    re.IGNORECASE,
)
RATE_LIMIT_PATTERN = re.compile(r"rate limit|too many requests", re.IGNORECASE)
LIMIT_PATTERNS = tuple(
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
PROMPT_TOKENS_PATTERNS = tuple(
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
UNKNOWN_MODEL_PATTERN = re.compile(
    r"model is not available|model .{0,200}(?:does not exist|not found)|unknown model"
    r"|model_not_found",
    re.IGNORECASE | re.DOTALL,
)
AVAILABLE_MODELS_PATTERN = re.compile(r"Available models: (\[.*?\])", re.DOTALL)
QUOTA_PATTERN = re.compile(r"quota|per day|daily|insufficient_quota|tokens? per day", re.IGNORECASE)

STATUS_BY_TEXT = {str(status): status for status in range(400, 600)}
FAILURE_BY_STATUS = {
    401: ModelFailure.AUTHENTICATION,
    402: ModelFailure.PAYMENT,
    403: ModelFailure.AUTHENTICATION,
    404: ModelFailure.UNKNOWN_MODEL,
    408: ModelFailure.UNAVAILABLE,
    409: ModelFailure.UNAVAILABLE,
    413: ModelFailure.OVERFLOW,
    429: ModelFailure.RATE_LIMITED,
}


def parse_error_body(body: Any) -> tuple[str, str | None]:
    """The text of an error body in any known shape, and the field a 422 names."""
    match body:
        case {"detail": [{"msg": msg}, *_] as items}:
            fields = [field for item in items if (field := _field_name(item))]
            return _to_text(msg), fields[0] if fields else None
        case {"detail": detail}:
            return _to_text(detail), None
        case {"error": {"message": message, **rest}} | {"message": str(message), **rest}:
            # The openai package hands on what is inside "error".
            texts = (_to_text(message), _to_text(rest.get("code")), _to_text(rest.get("type")))
            return " ".join(filter(None, texts)), None
        case {"error": str(message)} | str(message):
            return _to_text(message), None
        case _:
            return "", None


def _to_text(value: object) -> str:
    try:
        return "" if value is None else str(value)[:MAX_ERROR_TEXT_CHARS]
    except ValueError:  # a number with thousands of digits
        return ""


def _field_name(item: Any) -> str | None:
    """The request's field that one item of a 422 is about."""
    match item:
        case {"loc": ["body", field, *_]}:
            return _to_text(field)
        case _:
            return None


def _first_number(patterns: tuple[re.Pattern[str], ...], text: str) -> int | None:
    matches = (pattern.search(text) for pattern in patterns)
    return next((int(match[1]) for match in matches if match), None)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or `retry-after` (seconds or a date)."""
    try:
        if "retry-after-ms" in headers:
            return _bounded_seconds(float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return _bounded_seconds(float(value))
        date = parsedate_to_datetime(value)
        return _bounded_seconds(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _bounded_seconds(seconds: float) -> float | None:
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def from_response(status: int, body: Any, headers: Mapping[str, str]) -> ModelError:
    """An HTTP answer that is no success."""
    text, field = parse_error_body(body)
    wait = parse_retry_after(headers)
    failure = _classify(status, text, wait)
    error = ModelError(
        f"The model service answered {status}",
        failure,
        status=status,
        retry_after=wait,
        field=field,
        request_id=headers.get("x-request-id"),
    )
    return _with_details(error, text)


def from_payload(payload: Any) -> ModelError:
    """An error that came inside a stream, or instead of one with status 200."""
    text, _ = parse_error_body(payload)
    inner = payload.get("error") if isinstance(payload, dict) else None
    details = inner if isinstance(inner, dict) else payload
    code = details.get("code") if isinstance(details, dict) else None
    status = STATUS_BY_TEXT.get(_to_text(code))
    failure = _classify(status or 500, text, None)
    error = ModelError("The model service broke off with an error", failure, status=status)
    return _with_details(error, text)


def _classify(status: int, text: str, retry_after: float | None) -> ModelFailure:
    if OVERFLOW_PATTERN.search(text) and not RATE_LIMIT_PATTERN.search(text):
        return ModelFailure.OVERFLOW
    if UNKNOWN_MODEL_PATTERN.search(text):
        return ModelFailure.UNKNOWN_MODEL
    if status == 429:
        if (retry_after or 0) > QUOTA_RETRY_AFTER_SECONDS or QUOTA_PATTERN.search(text):
            return ModelFailure.QUOTA
        return ModelFailure.RATE_LIMITED
    if status in FAILURE_BY_STATUS:
        return FAILURE_BY_STATUS[status]
    return ModelFailure.UNAVAILABLE if status >= 500 else ModelFailure.REFUSED


def _with_details(error: ModelError, text: str) -> ModelError:
    if error.failure is ModelFailure.OVERFLOW:
        error.limit = _first_number(LIMIT_PATTERNS, text)
        error.prompt_tokens = _first_number(PROMPT_TOKENS_PATTERNS, text)
    if error.failure is ModelFailure.UNKNOWN_MODEL and (match := AVAILABLE_MODELS_PATTERN.search(text)):
        try:
            error.available = tuple(str(name) for name in ast.literal_eval(match[1]))
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
            return ModelError("The model service did not answer in time", ModelFailure.STALLED)
        case openai.APIConnectionError() | httpx2.TransportError():
            return ModelError("The model service cannot be reached", ModelFailure.UNAVAILABLE)
        case _:
            return ModelError("The model service sent something unknown", ModelFailure.MALFORMED)
