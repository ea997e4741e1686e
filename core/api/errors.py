"""Classifies errors of a model service or its connection.

The status alone is not enough: a context window overflow has status 400, 413, 422 or 500, or arrives inside a
stream; 403 means a wrong key, a country, a firewall or a content filter. The error's text decides then. The texts of
`ModelError` appear in logs; `core.texts.answers` has the messages for people, `core.api.advice` those for the operator.
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
from core.api.adaptation import STREAM, find_rejected_parts
from core.errors import ModelError, ModelFailure

MAX_RETRY_AFTER_SECONDS = 7 * 86_400.0
MAX_ERROR_TEXT_CHARS = 8_000
QUOTA_RETRY_AFTER_SECONDS = 120.0
"""A 429 with a longer delay than this means that today's quota is used up."""

RATE_LIMIT_PATTERN = re.compile(r"rate limit|too many requests", re.IGNORECASE)
UNKNOWN_MODEL_PATTERN = re.compile(
    r"model is not available|model .{0,200}(?:does not exist|not found|decommissioned)"
    r"|(?:unknown|invalid|no such) model|model_not_found|no endpoints found"
    r"|deployment .{0,80}(?:does not exist|not found)|deploymentnotfound",
    re.IGNORECASE | re.DOTALL,
)
CREDIT_PATTERN = re.compile(
    r"insufficient[ _-]?(?:\w{1,20} )?(?:quota|balance|credit|fund)|exceeded_current_quota"
    r"|(?:not enough|out of|no|low|negative|more) (?:\w{1,20} ){0,2}(?:credits?|balance|funds)\b"
    r"|(?:credits?|balance) .{0,40}(?:too low|exhausted|depleted|insufficient|used up|expired|negative)"
    r"|payment[ _]required|billing_(?:hard_limit|not_active)|billing hard limit|arrearage|overdue payment"
    r"|top up|recharge|余额不足|欠费",
    re.IGNORECASE,
)
BILLING_PATTERN = re.compile(r"billing|exceeded your current quota", re.IGNORECASE)
PLAN_PATTERN = re.compile(
    r"\bplan\b|\btier\b|upgrade|subscri"
    r"|model.{0,80}(?:not allowed|no access|gated|restricted|permission)"
    r"|(?:access|permission).{0,40}\bmodel",
    re.IGNORECASE,
)
REGION_PATTERN = re.compile(
    r"unsupported_country|(?:country|region|territory|location)\b.{0,60}not (?:supported|available|allowed|served)"
    r"|not (?:supported|available|allowed|served) in (?:your|this) (?:country|region|territory|location)",
    re.IGNORECASE,
)
FILTER_PATTERN = re.compile(
    r"content[ _-]?(?:filter|polic|violat|management polic)|usage (?:guidelines|polic)|acceptable use"
    r"|data_?inspection|(?:inappropriate|prohibited|unsafe|harmful|sensitive)[ _](?:content|text|information|words?)"
    r"|safety (?:system|filter|polic|check|reasons|settings)|moderation|(?:was|been|is) flagged"
    r"|violat\w{1,5} .{0,40}(?:guidelines|polic)|敏感|不安全",
    re.IGNORECASE,
)
STREAMING_PATTERN = re.compile(
    r"\bstream(?:ing)?\b.{0,40}(?:not|never|n't) (?:\w{1,20} )?(?:allow|support|availab|enabl|permit)"
    r"|\bstream(?:ing)?\b (?:\w{1,20} ){0,2}(?:disabled|unsupported)|verified to stream"
    r"|(?:not|n't) (?:support|allow)\w{0,3} (?:\w{1,20} ){0,2}stream(?:ing)?\b",
    re.IGNORECASE,
)
ADDRESS_PATTERN = re.compile(
    r"page not found|unexpected endpoint|invalid url|no route matched|cannot (?:get|post) /"
    r"|unknown (?:path|endpoint|url)",
    re.IGNORECASE,
)
NETWORK_PATTERN = re.compile(
    r"\bip\b.{0,60}(?:allowed|block|denied|whitelist|allowlist|banned)|firewall|access denied by|error code: 10\d\d"
    r"|just a moment|captcha",
    re.IGNORECASE,
)
SHORT_PERIOD_PATTERN = re.compile(
    r"(?:per|a|each|every)[ _-]?(?:second|minute|hour)|/ ?(?:s|sec|min|h|hour)\b|\b[rt]p[sm]\b"
    r"|(?:in|after) \d{1,6}(?:\.\d{1,6})? ?(?:ms|s|sec|seconds?)\b",
    re.IGNORECASE,
)
"""A limit that ends within minutes, whatever else the text says about quotas."""
DAY_PATTERN = re.compile(r"(?:per|a|each|every)[ _-]?day|daily|today|/ ?day\b|\b[rt]pd\b", re.IGNORECASE)
QUOTA_PATTERN = re.compile(r"quota", re.IGNORECASE)
MODEL_PATTERN = re.compile(r"\bmodels?\b", re.IGNORECASE)
OVERLOAD_PATTERN = re.compile(r"overload|unavailable|capacity|too busy", re.IGNORECASE)

FAILURES_BY_TEXT = (
    (UNKNOWN_MODEL_PATTERN, ModelFailure.UNKNOWN_MODEL),
    (CREDIT_PATTERN, ModelFailure.CREDIT),
    (REGION_PATTERN, ModelFailure.REGION),
    (STREAMING_PATTERN, ModelFailure.NO_STREAMING),
    (FILTER_PATTERN, ModelFailure.FILTERED),
    (ADDRESS_PATTERN, ModelFailure.WRONG_ADDRESS),
)
"""What a text means whatever the status is. The first match counts."""
ADAPTABLE_FAILURES = (ModelFailure.REFUSED, ModelFailure.SERVER_ERROR, ModelFailure.UNAVAILABLE)
"""Another form of the same request may succeed. Some services answer 500 to a role or a field that they do not know."""
STATUS_BY_TEXT = {str(status): status for status in range(400, 600)}
FAILURE_BY_STATUS = {
    401: ModelFailure.AUTHENTICATION,
    405: ModelFailure.WRONG_ADDRESS,
    407: ModelFailure.BLOCKED,
    408: ModelFailure.UNAVAILABLE,
    409: ModelFailure.UNAVAILABLE,
    410: ModelFailure.UNKNOWN_MODEL,
    413: ModelFailure.OVERFLOW,
    451: ModelFailure.REGION,
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


def _rejected_parts(failure: ModelFailure, body: Any) -> tuple[str, ...]:
    if failure is ModelFailure.NO_STREAMING:
        return (STREAM,)
    return find_rejected_parts(body) if failure in ADAPTABLE_FAILURES else ()


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
    text = "" if is_page else parse_error_body(body)
    retry_after = parse_retry_after(headers, now=now)
    failure = ModelFailure.BLOCKED if is_page and status == 403 else _classify(status, text, retry_after)
    return ModelError(
        f"The model service answered {status}",
        failure,
        status=status,
        retry_after=retry_after,
        limit=_context_limit(failure, text),
        rejected_parts=_rejected_parts(failure, body),
        request_id=headers.get("x-request-id"),
    )


def is_html(body: Any, headers: Mapping[str, str]) -> bool:
    """Whether a body is a page, which the API itself never sends."""
    return "html" in headers.get("content-type", "") or (isinstance(body, str) and body.lstrip().startswith("<"))


def is_error_payload(payload: Any) -> bool:
    """Whether a JSON value that came with status 200 reports an error."""
    if not isinstance(payload, dict):
        return False
    if payload.get("object") == "error" or payload.get("error"):
        return True
    return "detail" in payload and "choices" not in payload


def from_payload(payload: Any) -> ModelError:
    """Classify an error inside a stream, or in a response with status 200."""
    text = parse_error_body(payload)
    inner = payload.get("error") if isinstance(payload, dict) else None
    details = inner if isinstance(inner, dict) else payload
    code = details.get("code") if isinstance(details, dict) else None
    status = STATUS_BY_TEXT.get(_to_text(code))
    failure = _classify(status or 500, text, None)
    return ModelError(
        "The model service reported an error",
        failure,
        status=status,
        limit=_context_limit(failure, text),
        rejected_parts=_rejected_parts(failure, payload),
    )


def _classify(status: int, text: str, retry_after: float | None) -> ModelFailure:
    if context_overflow.is_overflow(text) and not RATE_LIMIT_PATTERN.search(text):
        return ModelFailure.OVERFLOW
    for pattern, failure in FAILURES_BY_TEXT:
        if pattern.search(text):
            return failure
    if status in FAILURE_BY_STATUS:
        return FAILURE_BY_STATUS[status]
    if status in CLASSIFIERS_BY_STATUS:
        return CLASSIFIERS_BY_STATUS[status](text, retry_after)
    return _classify_server_error(status, text, retry_after) if status >= 500 else ModelFailure.REFUSED


def _classify_server_error(status: int, text: str, retry_after: float | None) -> ModelFailure:
    if _mentions_limit(text):
        return _classify_limit(text, retry_after)
    is_overloaded = status > 501 or OVERLOAD_PATTERN.search(text)
    return ModelFailure.UNAVAILABLE if is_overloaded else ModelFailure.SERVER_ERROR


def _mentions_limit(text: str) -> bool:
    return bool(RATE_LIMIT_PATTERN.search(text) or QUOTA_PATTERN.search(text))


def _classify_payment(text: str, _retry_after: float | None) -> ModelFailure:
    return ModelFailure.PAYMENT if PLAN_PATTERN.search(text) else ModelFailure.CREDIT


def _classify_forbidden(text: str, retry_after: float | None) -> ModelFailure:
    if NETWORK_PATTERN.search(text):
        return ModelFailure.BLOCKED
    if _mentions_limit(text):
        return _classify_limit(text, retry_after)
    return ModelFailure.PAYMENT if PLAN_PATTERN.search(text) else ModelFailure.AUTHENTICATION


def _classify_not_found(text: str, _retry_after: float | None) -> ModelFailure:
    return ModelFailure.UNKNOWN_MODEL if MODEL_PATTERN.search(text) else ModelFailure.WRONG_ADDRESS


def _classify_limit(text: str, retry_after: float | None) -> ModelFailure:
    """Whether a limit ends soon, tomorrow, or when somebody pays."""
    if SHORT_PERIOD_PATTERN.search(text):
        return ModelFailure.RATE_LIMITED
    if DAY_PATTERN.search(text):
        return ModelFailure.QUOTA
    if BILLING_PATTERN.search(text):
        return ModelFailure.CREDIT
    if retry_after is None:
        return ModelFailure.QUOTA if QUOTA_PATTERN.search(text) else ModelFailure.RATE_LIMITED
    return ModelFailure.QUOTA if retry_after > QUOTA_RETRY_AFTER_SECONDS else ModelFailure.RATE_LIMITED


CLASSIFIERS_BY_STATUS = {
    402: _classify_payment,
    403: _classify_forbidden,
    404: _classify_not_found,
    429: _classify_limit,
}


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
            return ModelError("The model service cannot be reached", ModelFailure.UNREACHABLE)
        case _:
            return ModelError("The model service sent an invalid response", ModelFailure.MALFORMED)
