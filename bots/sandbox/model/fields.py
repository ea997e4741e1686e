"""A request's fields, refused as FastAPI with pydantic refuses them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bots.sandbox.model.faults import Refusal

__all__ = ["CHAT", "EMBEDDINGS", "decoded"]

ROLES = ("system", "developer", "user", "assistant", "tool")
EFFORTS = ("none", "minimal", "low", "medium", "high")
Wrong = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Number:
    least: float
    most: float
    whole: bool = False


NUMBERS = {
    "temperature": Number(0, 2),
    "top_p": Number(0, 1),
    "presence_penalty": Number(-2, 2),
    "frequency_penalty": Number(-2, 2),
    "max_tokens": Number(-(2**31), 2**31, whole=True),
    "max_completion_tokens": Number(-(2**31), 2**31, whole=True),
    "n": Number(1, 20, whole=True),
}
CHAT, EMBEDDINGS = "messages", "input"


def decoded(raw: bytes, needed: str) -> dict[str, Any]:
    """The body of a request that needs a model and `needed`. Unknown fields pass. Raises
    `Refusal` with 422 and everything that is wrong.
    """
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(422, [_wrong("json_invalid", "JSON decode error", {}, 0)]) from None
    if not isinstance(body, dict):
        said = "Input should be a valid dictionary or object to extract fields from"
        raise Refusal(422, [_wrong("model_attributes_type", said, body)])
    wrong = [
        *_required(body, "model"),
        *_required(body, needed),
        *_numbers(body),
        *_switches(body),
        *(_messages(body) if needed == CHAT else _inputs(body)),
    ]
    if wrong:
        raise Refusal(422, wrong)
    return body


def _wrong(kind: str, said: str, given: object, *where: str | int) -> Wrong:
    return {"type": kind, "loc": ["body", *where], "msg": said, "input": given}


def _required(body: Mapping[str, Any], name: str) -> Iterator[Wrong]:
    if name not in body:
        yield _wrong("missing", "Field required", dict(body), name)
    elif name == "model" and not isinstance(body[name], str):
        yield _wrong("string_type", "Input should be a valid string", body[name], name)


def _numbers(body: Mapping[str, Any]) -> Iterator[Wrong]:
    for name, bounds in NUMBERS.items():
        value = body.get(name)
        if value is None:
            continue
        kind, word = ("int", "integer") if bounds.whole else ("float", "number")
        if isinstance(value, str):
            said = f"Input should be a valid {word}, unable to parse string as a {word}"
            yield _wrong(f"{kind}_parsing", said, value, name)
        elif not isinstance(value, int if bounds.whole else int | float):
            yield _wrong(f"{kind}_type", f"Input should be a valid {word}", value, name)
        elif value < bounds.least:
            said = f"Input should be greater than or equal to {bounds.least}"
            yield _wrong("greater_than_equal", said, value, name)
        elif value > bounds.most:
            said = f"Input should be less than or equal to {bounds.most}"
            yield _wrong("less_than_equal", said, value, name)


def _switches(body: Mapping[str, Any]) -> Iterator[Wrong]:
    for name in ("stream", "reasoning_content"):
        if not isinstance(body.get(name), bool | None):
            said = "Input should be a valid boolean, unable to interpret input"
            yield _wrong("bool_parsing", said, body[name], name)
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict):
        yield from _one_of(reasoning.get("effort"), EFFORTS, "reasoning", "effort")
    yield from _one_of(body.get("reasoning_effort"), EFFORTS, "reasoning_effort")
    yield from _one_of(body.get("encoding_format"), ("float", "base64"), "encoding_format")


def _one_of(value: object, known: tuple[str, ...], *where: str | int) -> Iterator[Wrong]:
    if value is not None and value not in known:
        said = "Input should be " + " or ".join(repr(one) for one in known)
        yield _wrong("literal_error", said, value, *where)


def _messages(body: Mapping[str, Any]) -> Iterator[Wrong]:
    messages = body.get("messages")
    if messages is None:
        return
    if not isinstance(messages, list):
        yield _wrong("list_type", "Input should be a valid list", messages, "messages")
        return
    if not messages:
        said = "List should have at least 1 item after validation, not 0"
        yield _wrong("too_short", said, messages, "messages")
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            said = "Input should be a valid dictionary"
            yield _wrong("dict_type", said, message, "messages", at)
            continue
        for name in ("role", "content"):
            if name not in message:
                yield _wrong("missing", "Field required", message, "messages", at, name)
        yield from _one_of(message.get("role"), ROLES, "messages", at, "role")
        if not isinstance(message.get("content"), str | list | None):
            said = "Input should be a valid string"
            yield _wrong("string_type", said, message["content"], "messages", at, "content")


def _inputs(body: Mapping[str, Any]) -> Iterator[Wrong]:
    given = body.get("input")
    if given is None or isinstance(given, str):
        return
    if not isinstance(given, list):
        yield _wrong("string_type", "Input should be a valid string", given, "input")
        return
    if not given:
        said = "List should have at least 1 item after validation, not 0"
        yield _wrong("too_short", said, given, "input")
    for at, text in enumerate(given):
        if not isinstance(text, str):
            yield _wrong("string_type", "Input should be a valid string", text, "input", at)
