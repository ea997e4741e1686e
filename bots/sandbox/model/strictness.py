"""What some services refuse in requests for chat completions, with their wordings."""

from dataclasses import dataclass, field
from typing import Any

from bots.sandbox.model.validation import ApiError

UNSUPPORTED_VALUE_FIELDS = ("temperature", "reasoning_effort")
"""Models know these fields, but not all of their values."""


@dataclass(slots=True)
class Strictness:
    """Nothing is refused by default."""

    rejects_system_role: bool = False
    requires_alternation: bool = False
    """Of questions and answers, after the optional system message."""
    rejected_fields: set[str] = field(default_factory=set)
    """Of the request or its messages."""
    system_role_status: int = 400

    def check(self, body: dict[str, Any]) -> None:
        """Raises `ApiError`."""
        self._check_fields(body)
        roles = [message["role"] for message in body["messages"]]
        if self.rejects_system_role and "system" in roles:
            raise _error(self.system_role_status, "System role not supported")
        if self.requires_alternation:
            rest = roles[1:] if roles[0] == "system" else roles
            if rest != [("user", "assistant")[index % 2] for index in range(len(rest))]:
                raise _error(400, "Conversation roles must alternate user/assistant/user/assistant/...")

    def _check_fields(self, body: dict[str, Any]) -> None:
        sent = [*body, *(name for message in body["messages"] for name in message)]
        for name in sorted(self.rejected_fields.intersection(sent)):
            value = body.get(name)
            if name not in UNSUPPORTED_VALUE_FIELDS:
                extra = {"type": "extra_forbidden", "loc": ("body", name), "msg": "Extra inputs are not permitted"}
                raise _error(400, str([{**extra, "input": value}]))
            message = f"Unsupported value: '{name}' does not support {value} with this model."
            details = {"message": message, "type": "invalid_request_error", "param": name, "code": "unsupported_value"}
            raise ApiError(400, {"error": details})


def _error(status: int, message: str) -> ApiError:
    """In the format of vLLM."""
    body = {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status}
    return ApiError(status, body)
