"""Classifies errors of a model service or its connection.

The status alone is not enough: a context window overflow has status 400, 413, 422 or 500, or arrives inside a
stream. The error's text decides then. The texts of `ModelError` appear in logs; `core.texts.answers` has the
messages for people.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from core.api import context_overflow
from core.errors import ModelError, ModelFailure

MAX_RETRY_AFTER_SECONDS = 7 * 86_400.0
MAX_ERROR_TEXT_CHARS = 8_000
QUOTA_RETRY_AFTER_SECONDS = 120.0
"""A 429 with a longer delay than this means that today's quota is used up."""

RATE_LIMIT_PATTERN = re.compile(r"rate limit|too many requests", re.IGNORECASE)
UNKNOWN_MODEL_PATTERN = re.compile(
    r"model is not available|model .{0,200}(?:does not exist|not found)|unknown model"
    r"|model_not_found",
    re.IGNORECASE | re.DOTALL,
)
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


def parse_error_body(body: Any) -> str:
    """The message of an error body in any known format."""
    match body:
        case {"detail": [{"msg": message}, *_]} | {"detail": message}:
            return _to_text(message)
        case {"error": {"message": message, **rest}} | {"message": str(message), **rest}:
            # The openai package passes the content of "error" only.
            texts = (_to_text(message), _to_text(rest.get("code")), _to_text(rest.get("type")))
            return " ".join(filter(None, texts))
        case {"error": str(message)} | str(message):
            return _to_text(message)
        case _:
            return ""


def _to_text(value: object) -> str:
    try:
        return "" if value is None else str(value)[:MAX_ERROR_TEXT_CHARS]
    except ValueError:  # a number with thousands of digits
        return ""


def _context_limit(failure: ModelFailure, text: str) -> int | None:
    """The model's context window, in tokens, if it is an overflow and the error names it."""
    return context_overflow.find_limit(text) if failure is ModelFailure.OVERFLOW else None


def parse_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The delay in seconds that `retry-after-ms` or `retry-after` (seconds or a date) asks for.

    `now` is in seconds since the epoch.
    """
    try:
        if "retry-after-ms" in headers:
            return _bounded_seconds(float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
            return _bounded_seconds(float(value))
        date = parsedate_to_datetime(value)
        return _bounded_seconds(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
    except (ValueError, TypeError):
        return None


def _bounded_seconds(seconds: float) -> float | None:
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def from_response(status: int, body: Any, headers: Mapping[str, str], *, now: float) -> ModelError:
    """Classify a response that reports a failure by its status."""
    text = parse_error_body(body)
    retry_after = parse_retry_after(headers, now=now)
    failure = _classify(status, text, retry_after)
    return ModelError(
        f"The model service answered {status}",
        failure,
        status=status,
        retry_after=retry_after,
        limit=_context_limit(failure, text),
        request_id=headers.get("x-request-id"),
    )


def from_payload(payload: Any) -> ModelError:
    """Classify an error inside a stream, or in a response with status 200."""
    text = parse_error_body(payload)
    inner = payload.get("error") if isinstance(payload, dict) else None
    details = inner if isinstance(inner, dict) else payload
    code = details.get("code") if isinstance(details, dict) else None
    status = STATUS_BY_TEXT.get(_to_text(code))
    failure = _classify(status or 500, text, None)
    limit = _context_limit(failure, text)
    return ModelError("The model service reported an error", failure, status=status, limit=limit)


def _classify(status: int, text: str, retry_after: float | None) -> ModelFailure:
    if context_overflow.is_overflow(text) and not RATE_LIMIT_PATTERN.search(text):
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


def from_exception(error: Exception, *, now: float) -> ModelError:
    """Classify an exception of the openai package or its transport."""
    match error:
        case ModelError():
            return error
        case openai.APIStatusError():
            return from_response(error.status_code, error.body, error.response.headers, now=now)
        case openai.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return ModelError("The model service did not answer in time", ModelFailure.STALLED)
        case openai.APIConnectionError() | httpx2.TransportError():
            return ModelError("The model service cannot be reached", ModelFailure.UNAVAILABLE)
        case _:
            return ModelError("The model service sent an invalid response", ModelFailure.MALFORMED)
