from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from core.api.plain_event import decode_plain_text

Payload = dict[str, Any]


def plain_payload() -> Payload:
    choice = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None, "logprobs": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "choices": [choice], "usage": None}


def test_text_of_a_plain_event() -> None:
    assert decode_plain_text(msgspec.json.encode(plain_payload())) == "Hi"


CHANGES: dict[str, Callable[[Payload], object]] = {
    "reasoning": lambda payload: payload["choices"][0]["delta"].update(reasoning_content="hm"),
    "refusal": lambda payload: payload["choices"][0]["delta"].update(refusal="no"),
    "typed parts": lambda payload: payload["choices"][0]["delta"].update(content=[{"type": "text", "text": "Hi"}]),
    "no text": lambda payload: payload["choices"][0]["delta"].update(content=None),
    "finish reason": lambda payload: payload["choices"][0].update(finish_reason="stop"),
    "another choice": lambda payload: payload["choices"][0].update(index=1),
    "two choices": lambda payload: payload["choices"].append(payload["choices"][0]),
    "older form": lambda payload: payload["choices"][0].update(text="Hi"),
    "complete answer": lambda payload: payload["choices"][0].update(message={"content": "Hi"}),
    "usage": lambda payload: payload.update(usage={"prompt_tokens": 1}),
    "error": lambda payload: payload.update(error={"message": "no"}),
    "error object": lambda payload: payload.update(object="error"),
    "status": lambda payload: payload.update(base_resp={"status_code": 1}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_event_with_more_than_text_is_left_to_the_parser(change: Callable[[Payload], object]) -> None:
    payload = plain_payload()
    change(payload)
    assert decode_plain_text(msgspec.json.encode(payload)) is None


@pytest.mark.parametrize("data", [b"", b"{", b'"text"', b'{"choices": "\xff"}', b"[" * 100_000])
def test_invalid_event_is_left_to_the_parser(data: bytes) -> None:
    assert decode_plain_text(data) is None
