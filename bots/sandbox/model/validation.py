"""Checks of request bodies, with the errors of FastAPI and pydantic."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bots.sandbox.model.errors import ApiError

__all__ = ["CHAT_REQUIRED_FIELD", "EMBEDDINGS_REQUIRED_FIELD", "parse_body"]

ROLES = ("system", "developer", "user", "assistant", "tool")
REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high")
INVALID_STRING = "Input should be a valid string"
EMPTY_LIST = "List should have at least 1 item after validation, not 0"
FieldError = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NumberRange:
    minimum: float
    maximum: float
    is_integer: bool = False


NUMBER_RANGES = {
    "temperature": NumberRange(0, 2),
    "top_p": NumberRange(0, 1),
    "presence_penalty": NumberRange(-2, 2),
    "frequency_penalty": NumberRange(-2, 2),
    "max_tokens": NumberRange(-(2**31), 2**31, is_integer=True),
    "max_completion_tokens": NumberRange(-(2**31), 2**31, is_integer=True),
    "n": NumberRange(1, 20, is_integer=True),
}
CHAT_REQUIRED_FIELD, EMBEDDINGS_REQUIRED_FIELD = "messages", "input"


def parse_body(body_bytes: bytes, required_field: str) -> dict[str, Any]:
    """The body of a request that needs a model and `required_field`. Unknown fields pass.

    Raises `ApiError` with status 422 and all errors.
    """
    try:
        body = msgspec.json.decode(body_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError(422, [_field_error("json_invalid", "JSON decode error", {}, 0)]) from None
    if not isinstance(body, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        raise ApiError(422, [_field_error("model_attributes_type", text, body)])
    errors = [
        *_check_required(body, "model"),
        *_check_required(body, required_field),
        *_check_numbers(body),
        *_check_choices(body),
        *(_check_messages(body) if required_field == CHAT_REQUIRED_FIELD else _check_inputs(body)),
    ]
    if errors:
        raise ApiError(422, errors)
    return body


def _field_error(error_type: str, message: str, value: object, *location: str | int) -> FieldError:
    return {"type": error_type, "loc": ["body", *location], "msg": message, "input": value}


def _check_required(body: Mapping[str, Any], name: str) -> Iterator[FieldError]:
    if name not in body:
        yield _field_error("missing", "Field required", dict(body), name)
    elif name == "model" and not isinstance(body[name], str):
        yield _field_error("string_type", INVALID_STRING, body[name], name)


def _check_numbers(body: Mapping[str, Any]) -> Iterator[FieldError]:
    for name, bounds in NUMBER_RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        type_name, word = ("int", "integer") if bounds.is_integer else ("float", "number")
        if isinstance(value, str):
            message = f"Input should be a valid {word}, unable to parse string as a {word}"
            yield _field_error(f"{type_name}_parsing", message, value, name)
        elif not isinstance(value, int if bounds.is_integer else int | float):
            yield _field_error(f"{type_name}_type", f"Input should be a valid {word}", value, name)
        elif value < bounds.minimum:
            message = f"Input should be greater than or equal to {bounds.minimum}"
            yield _field_error("greater_than_equal", message, value, name)
        elif value > bounds.maximum:
            message = f"Input should be less than or equal to {bounds.maximum}"
            yield _field_error("less_than_equal", message, value, name)


def _check_choices(body: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in ("stream", "reasoning_content"):
        if not isinstance(body.get(name), bool | None):
            text = "Input should be a valid boolean, unable to interpret input"
            yield _field_error("bool_parsing", text, body[name], name)
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict):
        yield from _check_one_of(reasoning.get("effort"), REASONING_EFFORTS, "reasoning", "effort")
    yield from _check_one_of(body.get("reasoning_effort"), REASONING_EFFORTS, "reasoning_effort")
    yield from _check_one_of(body.get("encoding_format"), ("float", "base64"), "encoding_format")


def _check_one_of(value: object, allowed: tuple[str, ...], *location: str | int) -> Iterator[FieldError]:
    if value is not None and value not in allowed:
        text = "Input should be " + " or ".join(map(repr, allowed))
        yield _field_error("literal_error", text, value, *location)


def _check_messages(body: Mapping[str, Any]) -> Iterator[FieldError]:
    messages = body.get("messages")
    if messages is None:
        return
    if not isinstance(messages, list):
        yield _field_error("list_type", "Input should be a valid list", messages, "messages")
        return
    if not messages:
        yield _field_error("too_short", EMPTY_LIST, messages, "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            yield _field_error("dict_type", "Input should be a valid dictionary", message, "messages", index)
            continue
        for name in ("role", "content"):
            if name not in message:
                yield _field_error("missing", "Field required", message, "messages", index, name)
        yield from _check_one_of(message.get("role"), ROLES, "messages", index, "role")
        if not isinstance(message.get("content"), str | list | None):
            yield _field_error("string_type", INVALID_STRING, message["content"], "messages", index, "content")


def _check_inputs(body: Mapping[str, Any]) -> Iterator[FieldError]:
    value = body.get("input")
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list):
        yield _field_error("string_type", INVALID_STRING, value, "input")
        return
    if not value:
        yield _field_error("too_short", EMPTY_LIST, value, "input")
    for index, text in enumerate(value):
        if not isinstance(text, str):
            yield _field_error("string_type", INVALID_STRING, text, "input", index)
