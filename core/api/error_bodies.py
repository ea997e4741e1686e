r"""Reads the bodies of a service's errors, whatever their format.

{"error": {"message": "slow down", "status": 429}}                    slow down; status 429
{"detail": [{"msg": "Field required", "loc": ["body"]}]}              Field required
[{"error": {"code": 400, "message": "API key not valid"}}]            API key not valid; status 400
{"error": {"metadata": {"raw": "{\"message\": \"too long\"}"}}}       too long

Only the names of fields that are listed here are read, because errors also repeat parts of the request.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from core.api.response_body import decode_json

MAX_TEXT_CHARS = 8_000
MAX_DEPTH, MAX_ITEMS = 8, 10

MESSAGE_KEYS = ("message", "msg", "detail", "error", "errors", "error_message", "error_msg", "errorMessage")
MORE_MESSAGE_KEYS = ("error_description", "description", "status_msg", "base_resp", "title", "metadata", "raw")
"""`metadata.raw` is the error of the provider behind OpenRouter."""
DETAIL_KEYS = ("details", "violations", "innererror")
TEXT_KEYS = (*MESSAGE_KEYS, *MORE_MESSAGE_KEYS, *DETAIL_KEYS)
CODE_KEYS = ("code", "type", "status", "status_code", "statusCode", "error_code", "reason", "quotaId")
STATUS_KEYS = ("code", "status", "status_code", "statusCode", "error_code", "type")
STATUS_BY_TEXT = {str(status): status for status in range(400, 600)} | {
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    message: str = ""
    codes: str = ""
    """Codes and types. Their numbers measure nothing."""
    status: int | None = None
    """The HTTP status that the body itself names."""

    @property
    def text(self) -> str:
        return " ".join(filter(None, (self.message, self.codes)))


def parse_error_body(body: Any) -> ErrorBody:
    messages: list[str] = []
    codes: list[str] = []
    statuses: list[int] = []
    _collect(body, 0, messages, codes, statuses)
    status = next(iter(statuses), None)
    return ErrorBody(" ".join(messages)[:MAX_TEXT_CHARS], " ".join(codes)[:MAX_TEXT_CHARS], status)


def _collect(value: Any, depth: int, messages: list[str], codes: list[str], statuses: list[int]) -> None:
    if depth > MAX_DEPTH:
        return
    match value:
        case str():
            inner = _decode_object(value)
            if inner is not None:
                _collect(inner, depth + 1, messages, codes, statuses)
            elif value:
                messages.append(value[:MAX_TEXT_CHARS].replace("\u2019", "'"))
        case list():
            for item in value[:MAX_ITEMS]:
                _collect(item, depth + 1, messages, codes, statuses)
        case dict():
            codes.extend(filter(None, (_code_text(value.get(key)) for key in CODE_KEYS)))
            statuses.extend(filter(None, (find_status(value.get(key)) for key in STATUS_KEYS)))
            for key in TEXT_KEYS:
                _collect(value.get(key), depth + 1, messages, codes, statuses)
            if depth and not messages and not codes:  # an unknown format inside a known one
                for item in islice(value.values(), MAX_ITEMS):
                    _collect(item, depth + 1, messages, codes, statuses)


def _decode_object(text: str) -> Any:
    """The object or list in a text of JSON; None if it is another text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return decode_json(text.encode(errors="replace"))
    except msgspec.DecodeError:
        return None


def _code_text(value: object) -> str:
    match value:
        case str():
            return value[:MAX_TEXT_CHARS]
        case bool():
            return ""
        case int() if abs(value) < 10**9:
            return str(value)
        case _:
            return ""


def find_status(value: object) -> int | None:
    """The HTTP status of an error, if a code is one."""
    return STATUS_BY_TEXT.get(_code_text(value).lower())
