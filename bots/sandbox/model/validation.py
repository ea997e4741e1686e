"""Error answers, and checks of request bodies with the errors of FastAPI and pydantic."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, Field, ValidationError

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high"]
TokenCount = Annotated[int, Field(ge=-(2**31), le=2**31)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Any] | None


class Reasoning(BaseModel):
    effort: ReasoningEffort | None = None


class ChatRequest(BaseModel):
    """Unknown fields pass."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    n: int | None = Field(None, ge=1, le=20)
    reasoning: Reasoning | None = None
    reasoning_content: bool | None = None
    reasoning_effort: ReasoningEffort | None = None


class EmbeddingsRequest(BaseModel):
    model: str
    input: str | Annotated[list[str], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None


def parse_body(body_bytes: bytes, request_type: type[BaseModel]) -> dict[str, Any]:
    """The body of a request, unchanged. Raises `ApiError` with status 422 and all errors."""
    try:
        body: dict[str, Any] = msgspec.json.decode(body_bytes)
        request_type.model_validate(body, from_attributes=True)
        # No client needs the service's conversions, such as that of "1" to 1.
        request_type.model_validate(body, from_attributes=True, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}
        raise ApiError(422, [error]) from None
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_context=False)
        raise ApiError(422, [{**error, "loc": ["body", *error["loc"]]} for error in errors]) from None
    return body


class ApiError(Exception):
    """`detail` is the body: a dictionary as it is, a text that begins with "<" as HTML, anything
    else inside `{"detail": ...}`.
    """

    def __init__(self, status: int, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
