"""Errors of real services, by name: what a status code can mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bots.sandbox.model.faults import (
    ERROR_PAGE,
    Fault,
    close_connection,
    end_stream,
    gateway_error,
    http_error,
    keep_alive,
    rate_limited,
    reset_connection,
    respond_with,
    send_event,
    send_raw,
    stall,
)

REGION_ERROR = {
    "error": {
        "message": "Country, region, or territory not supported",
        "type": "request_forbidden",
        "param": None,
        "code": "unsupported_country_region_territory",
    }
}
NO_CREDIT_ERROR = {
    "error": {
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
}
PROVIDER_ERROR = {
    "error": {
        "message": "Provider returned error",
        "code": 402,
        "metadata": {"raw": '{"error": {"message": "Insufficient balance"}}', "provider_name": "sandbox"},
    }
}
BROKEN_CHOICE = {
    "choices": [
        {
            "index": 0,
            "delta": {"content": ""},
            "finish_reason": "error",
            "error": {"message": "The provider disconnected.", "code": 502},
        }
    ]
}
PROXY_PAGE = ERROR_PAGE.format(status=403, words="Forbidden")
MINUTE_QUOTA = "Quota exceeded for quota metric 'Generate requests' and limit 'Generate requests per minute'"

REFUSALS: Mapping[str, Fault] = {
    "region": respond_with(403, REGION_ERROR),
    "proxy": respond_with(403, PROXY_PAGE),
    "content": respond_with(403, {"error": "Content violates usage guidelines"}),
    "streaming": respond_with(403, {"error": "Streaming is not allowed"}),
    "credit": respond_with(429, NO_CREDIT_ERROR),
    "balance": respond_with(402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}),
    "minute": rate_limited(detail=MINUTE_QUOTA),
    "provider": respond_with(400, PROVIDER_ERROR),
    "guardrail": respond_with(403, {"error": "Request blocked by guardrail"}),
    "unsupported": respond_with(400, {"error": {"message": "The requested model is not supported.", "code": 400}}),
    "path": respond_with(404, "404 page not found", content_type="text/plain"),
    "key": http_error(401, "Invalid API Key"),
    "internal": http_error(500, "Internal Server Error"),
}
"""Each answers every request, except "streaming", which accepts those that ask for no stream."""


STREAM_FAULTS: Mapping[str, Fault] = {
    "gateway": gateway_error(502),
    "rate": rate_limited(3),
    "silence": stall(),
    "stall": stall(20),
    "alive": keep_alive(20),
    "reset": reset_connection(20),
    "close": close_connection(20),
    "end": end_stream(20),
    "event": send_event({"error": {"message": "The engine died.", "code": 500}}, after_pieces=20),
    "choice": send_event(BROKEN_CHOICE, after_pieces=20),
    "garbage": send_raw(b"data: {oops\n\n", after_pieces=20),
    "length": Fault(finish_reason="length"),
    "thought": Fault(only_reasoning=True),
}
"""What goes wrong with answers: before they begin, or after twenty pieces."""
FAULTS: Mapping[str, Fault] = {**REFUSALS, **STREAM_FAULTS}


@dataclass(frozen=True, slots=True)
class FaultHook:
    """A `ModelStandIn.fault_hook` that fails every request in the same way."""

    name: str

    def __call__(self, body: dict[str, Any]) -> Fault | None:
        return None if self.name == "streaming" and not body.get("stream") else FAULTS[self.name]


def refuse(name: str) -> FaultHook:
    return FaultHook(name)
