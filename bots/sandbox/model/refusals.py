"""Errors of real services, by name: what a status code can mean."""

from collections.abc import Callable, Mapping
from typing import Any

from bots.sandbox.model.faults import ERROR_PAGE, Fault, http_error, rate_limited, respond_with

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
    "path": respond_with(404, "404 page not found", content_type="text/plain"),
    "key": http_error(401, "Invalid API Key"),
    "internal": http_error(500, "Internal Server Error"),
}
"""Each answers every request, except "streaming", which accepts those that ask for no stream."""


def refuse(name: str) -> Callable[[dict[str, Any]], Fault | None]:
    """A `ModelStandIn.fault_hook`."""

    def hook(body: dict[str, Any]) -> Fault | None:
        return None if name == "streaming" and not body.get("stream") else REFUSALS[name]

    return hook
