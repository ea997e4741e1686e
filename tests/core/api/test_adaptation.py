"""Which part of a request an error rejects, and what the request is without it."""

from typing import Any

import pytest

from core.api.adaptation import SYSTEM_ROLE, RequestAdapter, dropped_fields, find_rejected_parts, without_parts

FORBIDDEN = "[{'type':'extra_forbidden','loc':('body','max_completion_tokens'),'msg':'Extra inputs are not permitted'}]"
FULL_ECHO = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "input": {"temperature": 1, "max_tokens": 5}}


def openai_error(message: str, param: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_value"}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"detail": "Extra inputs are not permitted, field: 'stream_options'"}, "stream_options"),
        ({"message": FORBIDDEN}, "max_completion_tokens"),
        ({"detail": [{**FULL_ECHO, "msg": "Extra inputs are not permitted"}]}, "stream_options"),
        (openai_error("Unsupported value: 'temperature' does not support 0.3 with this model."), "temperature"),
        (openai_error("Unsupported value", "temperature"), "temperature"),
        (openai_error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."), "max_tokens"),
        (
            openai_error("Unsupported parameter: 'reasoning_effort' is not supported with this model."),
            "reasoning_effort",
        ),
        (openai_error("Unrecognized request argument supplied: reasoning_effort"), "reasoning_effort"),
        ({"error": "Model grok-4 does not support parameter reasoningEffort."}, "reasoning_effort"),
        ({"detail": "Reasoning cannot be disabled for model m"}, "reasoning_effort"),
        (
            {"error": {"message": 'Invalid JSON payload. Unknown name "stream_options": Cannot find field.'}},
            "stream_options",
        ),
        ("json: unknown field `stream_options`, expected one of `model`, `temperature`", "stream_options"),
        ({"message": "Additional properties are not allowed ('stream_options' was unexpected)"}, "stream_options"),
        ({"error": "invalid temperature: only 1 is allowed for this model"}, "temperature"),
        ({"object": "error", "message": "System role not supported", "code": 400}, "system role"),
        ({"error": {"message": "Developer instruction is not enabled for models/gemma-3-1b-it"}}, "system role"),
        ({"message": "Conversation roles must alternate user/assistant/user/assistant/..."}, "system role"),
        ({"message": "Only user and assistant roles are supported!"}, "system role"),
        ({"message": 'messages: Unexpected role "system".'}, "system role"),
        (
            {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}]},
            "system role",
        ),
        ({"message": "Allowed roles are 'user', 'assistant' and 'tool'"}, "system role"),
        ({"message": "Bad request", "param": "stream_options"}, "stream_options"),
        ({"message": "The first message must be from the user."}, "system role"),
        ({"error": "This model does not support system messages"}, "system role"),
        ({"error": "system is not a supported role"}, "system role"),
        ({"error": "'system' isn't an allowed role"}, "system role"),
        ({"error": "Unsupported role: system"}, "system role"),
        ({"error": "The model does not accept a system turn"}, "system role"),
        ({"error": "m does not support `system`"}, "system role"),
        ({"error": 'think value "high" is not supported'}, "reasoning_effort"),
        ({"error": "invalid think value: low"}, "reasoning_effort"),
        ({"error": "Thinking budget is not supported"}, "reasoning_effort"),
        ({"error": "`thinking` is unsupported for this model"}, "reasoning_effort"),
        ({"error": "Thinking isn't available for this model"}, "reasoning_effort"),
        ({"error": "reasoning_config: extra inputs are not permitted"}, "reasoning_effort"),
    ],
)
def test_named_part_is_found(body: Any, part: str) -> None:
    assert find_rejected_parts(body, is_certain_rejection=True)[0] == part


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Internal Server Error"},
        {"message": "The system is overloaded"},
        {"message": "property 'reasoning_content' is unsupported"},
        {"message": "The file system is not a supported storage"},
        {"message": "The model was still thinking: not finished in time"},
        {"message": "I think value is not supported by evidence"},
        {"detail": [{"loc": ["body"], "msg": "Invalid", "input": {"temperature": 0.3, "stream_options": {}}}]},
        {"message": "Invalid request: {'input': {'temperature': 0.3}}"},
        None,
        {"a": {"b": {"c": {"d": {"e": {"f": "temperature is not supported"}}}}}},
    ],
)
def test_other_errors_name_no_part(body: Any) -> None:
    assert find_rejected_parts(body, is_certain_rejection=True) == ()


def test_failing_service_must_say_that_it_rejects_something() -> None:
    for text, parts in (
        ("System role not supported", ("system role",)),
        ("Input should be 'user', 'assistant' or 'tool'", ("system role",)),
        ("temperature: illegal value", ("temperature",)),
        ("The system prompt cache is full", ()),
    ):
        assert find_rejected_parts({"message": text}, is_certain_rejection=False) == parts


def payload(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    return {"model": "m", "messages": messages, "stream": True, **fields}


def test_instructions_move_into_the_first_question() -> None:
    request = payload()
    adapted = without_parts(request, {"system role"})
    assert adapted["messages"] == [{"role": "user", "content": "Be kind.\n\nHi"}]
    assert len(request["messages"]) == 2
    assert without_parts(adapted, {"system role"}) == adapted


def test_length_is_renamed_then_dropped() -> None:
    request = payload(max_completion_tokens=5)
    assert without_parts(request, {"max_completion_tokens"}) == payload(max_tokens=5)
    assert dropped_fields(request, {"max_completion_tokens"}) == set()
    both = {"max_completion_tokens", "max_tokens"}
    assert without_parts(request, both) == payload()
    assert dropped_fields(request, both) == {"max_completion_tokens"}


def test_only_the_rejected_value_is_dropped() -> None:
    request = payload(temperature=0.3, reasoning_effort="low", stream_options={})
    assert without_parts(request, {"temperature=0.3", "reasoning_effort=none", "stream_options"}) == payload(
        reasoning_effort="low"
    )


def test_adaptation_ends() -> None:
    adapter = RequestAdapter(payload(temperature=0.3, stream_options={}, max_completion_tokens=5), {"stream_options"})
    names = ("temperature", "stream_options", "max_completion_tokens", "max_tokens", "system role", "reasoning_effort")
    steps = 0
    while adapter.adapt(names):
        steps += 1
    assert steps == 4
    assert adapter.new_parts == {"temperature=0.3", "max_completion_tokens", "max_tokens", "system role"}
    assert adapter.payload == {
        "model": "m",
        "messages": [{"role": "user", "content": "Be kind.\n\nHi"}],
        "stream": True,
    }


def test_instructions_come_before_question_with_pictures() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    question = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}
    payload = {"messages": [{"role": "system", "content": "Be brief."}, question]}
    (message,) = without_parts(payload, {SYSTEM_ROLE})["messages"]
    assert message["content"] == [{"type": "text", "text": "Be brief."}, *question["content"]]
