"""Classifies errors of a model service or its connection.

`core.api.error_kinds` decides what a status and a text mean. The texts of `ModelError` appear in logs;
`core.texts.answers` has the messages for people, `core.api.advice` those for the operator.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from core.api import context_overflow
from core.api.adaptation import STREAM, find_rejected_parts
from core.api.error_bodies import MESSAGE_KEYS, STATUS_KEYS, ErrorBody, find_status, parse_error_body
from core.api.error_kinds import classify
from core.api.response_body import decode_json
from core.errors import ModelError, ModelFailure

MAX_RETRY_AFTER_SECONDS = 7 * 86_400.0

ADAPTABLE_FAILURES = (ModelFailure.REFUSED, ModelFailure.SERVER_ERROR, ModelFailure.UNAVAILABLE)
"""Another form of the same request may succeed. Some services answer 500 to a role or a field that they do not know."""
SUCCESS_CODES = (0, 200, "0", "200")


def _context_limit(failure: ModelFailure, message: str) -> int | None:
    """The model's context window, in tokens, if it is an overflow and the error names it."""
    return context_overflow.find_limit(message) if failure is ModelFailure.OVERFLOW else None


def _rejected_parts(failure: ModelFailure, body: Any) -> tuple[str, ...]:
    if failure is ModelFailure.NO_STREAMING:
        return (STREAM,)
    if failure not in ADAPTABLE_FAILURES:
        return ()
    return find_rejected_parts(body, is_certain_rejection=failure is ModelFailure.REFUSED)


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
    is_page = is_html(body, headers)
    error_body = ErrorBody() if is_page else parse_error_body(body)
    retry_after = parse_retry_after(headers, now=now)
    failure = classify(status, error_body.text, retry_after, is_json=not is_page and _is_json(headers))
    return ModelError(
        f"The model service answered {status}",
        failure,
        status=status,
        retry_after=retry_after,
        limit=_context_limit(failure, error_body.message),
        rejected_parts=_rejected_parts(failure, body),
        request_id=headers.get("x-request-id"),
    )


def is_html(body: Any, headers: Mapping[str, str]) -> bool:
    """Whether a body is a page, which the API itself never sends."""
    return "html" in headers.get("content-type", "") or (isinstance(body, str) and body.lstrip().startswith("<"))


def _is_json(headers: Mapping[str, str]) -> bool:
    """Whether a body is called JSON, or not called anything."""
    return "json" in headers.get("content-type", "json")


def is_error_payload(payload: Any) -> bool:
    """Whether a JSON value that came with status 200 reports an error."""
    match payload:
        case {"object": "error"}:
            return True
        case {"error": error} if error:
            return True
        case {"base_resp": {"status_code": int(code)}}:
            return code != 0
        case dict() if "choices" not in payload:
            return _is_failure(payload)
        case _:
            return False


def _is_failure(fields: dict[str, Any]) -> bool:
    """Whether fields without an answer report an error."""
    if "detail" in fields or fields.get("errors") or fields.get("success") is False or fields.get("error_code"):
        return True
    if isinstance(fields.get("message"), str) and fields.get("code") not in (None, *SUCCESS_CODES):
        return True
    return any(key in fields for key in MESSAGE_KEYS) and any(find_status(fields.get(key)) for key in STATUS_KEYS)


def from_payload(payload: Any) -> ModelError:
    """Classify an error inside a stream, or in a response with status 200."""
    error_body = parse_error_body(payload)
    failure = classify(error_body.status or 500, error_body.text)
    return ModelError(
        "The model service reported an error",
        failure,
        status=error_body.status,
        limit=_context_limit(failure, error_body.message),
        rejected_parts=_rejected_parts(failure, payload),
    )


def from_exception(error: Exception, *, now: float) -> ModelError:
    """Classify an exception of the openai package or its transport."""
    import openai  # see `core.api.openai_client`

    match error:
        case ModelError():
            return error
        case openai.APIStatusError():
            return from_response(error.status_code, _whole_body(error), error.response.headers, now=now)
        case openai.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return ModelError("The model service did not answer in time", ModelFailure.STALLED)
        case openai.APIConnectionError() | httpx2.TransportError():
            return ModelError("The model service cannot be reached", ModelFailure.UNREACHABLE)
        case _:
            return ModelError("The model service sent an invalid response", ModelFailure.MALFORMED)


def _whole_body(error: Any) -> Any:
    """The body of a response. The package passes only what is inside "error", even if the reason stands beside it."""
    if isinstance(error.body, dict):
        return error.body
    try:
        return decode_json(error.response.content)
    except msgspec.DecodeError:
        return error.body
