"""The client and services that reject a part of its requests: each is asked again at once, and only once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn, faults
from core.api.client import ChatRequest, Message, ModelApi
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.core.api.stream_result import read_stream

LLAMA, PHI = "meta-llama/Llama-3.3-70B-Instruct", "microsoft/phi-4"
REQUEST = ChatRequest(LLAMA, (Message("system", "Be kind."), Message("user", "repeat: hello")))
FULL_REQUEST = replace(REQUEST, temperature=0.3, max_tokens=50, reasoning_effort="low")


@pytest.fixture
async def server() -> AsyncIterator[ModelStandIn]:
    stand_in = ModelStandIn(tokens_per_second=100_000, answer=lambda _body: "hello")
    await stand_in.start()
    yield stand_in
    await stand_in.close()


@pytest.fixture
async def api(server: ModelStandIn) -> AsyncIterator[ModelApi]:
    # A long delay shows that an adapted request does not wait.
    api = ModelApi(server.base_url, server.api_key, timings=Timings(model_retry_delay=1000, max_model_retry_delay=2000))
    yield api
    await api.close()


async def ask(api: ModelApi, request: ChatRequest = REQUEST) -> None:
    async for _ in api.stream(request):
        pass


def last_body(server: ModelStandIn) -> dict[str, Any]:
    return server.requests[-1].body


@pytest.mark.parametrize("status", [400, 500])
async def test_instructions_move_into_the_question(server: ModelStandIn, api: ModelApi, status: int) -> None:
    server.strictness.rejects_system_role, server.strictness.system_role_status = True, status
    await ask(api)
    assert last_body(server)["messages"] == [{"role": "user", "content": "Be kind.\n\nrepeat: hello"}]
    await ask(api)
    assert len(server.rejected_requests) == 1, "the service rejects only the first request"


@pytest.mark.parametrize("field", ["stream_options", "temperature", "reasoning_effort"])
async def test_rejected_field_is_left_out(server: ModelStandIn, api: ModelApi, field: str) -> None:
    server.strictness.rejected_fields = {field}
    await ask(api, FULL_REQUEST)
    assert field not in last_body(server)
    assert {"stream_options", "temperature", "reasoning_effort"} - {field} < last_body(server).keys()
    await ask(api, FULL_REQUEST)
    assert len(server.rejected_requests) == 1


async def test_length_has_an_older_name(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejected_fields = {"max_completion_tokens"}
    await ask(api, FULL_REQUEST)
    assert last_body(server)["max_tokens"] == 50
    assert "max_completion_tokens" not in last_body(server)


async def test_reasoning_that_cannot_be_disabled_takes_place(server: ModelStandIn, api: ModelApi) -> None:
    await ask(api, replace(REQUEST, model="deepseek-ai/DeepSeek-R1", reasoning_effort="none"))
    assert "reasoning_effort" not in last_body(server)
    assert len(server.rejected_requests) == 1


async def test_everything_may_be_rejected_at_once(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejects_system_role = True
    server.strictness.rejected_fields = {
        "stream_options",
        "temperature",
        "reasoning_effort",
        "max_completion_tokens",
        "max_tokens",
    }
    await ask(api, FULL_REQUEST)
    assert last_body(server).keys() == {"model", "messages", "stream"}
    assert len(server.rejected_requests) == 6
    await ask(api, FULL_REQUEST)
    assert len(server.rejected_requests) == 6


async def test_other_value_is_tried(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejected_fields = {"temperature"}
    await ask(api, FULL_REQUEST)
    server.strictness.rejected_fields = set()
    await ask(api, FULL_REQUEST)
    assert "temperature" not in last_body(server)
    await ask(api, replace(FULL_REQUEST, temperature=0.7))
    assert last_body(server)["temperature"] == 0.7


async def test_other_model_is_not_affected(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejects_system_role = True
    await ask(api)
    server.strictness.rejects_system_role = False
    await ask(api, replace(REQUEST, model=PHI))
    assert last_body(server)["messages"][0]["role"] == "system"


async def test_what_did_not_help_is_not_remembered(server: ModelStandIn, api: ModelApi) -> None:
    attempts: list[dict[str, Any]] = []

    def reject(body: dict[str, Any]) -> faults.Fault:
        attempts.append(body)
        return faults.http_error(400, "stream_options and temperature are not supported")

    server.fault_hook = reject
    with pytest.raises(ModelError) as caught:
        await ask(api, FULL_REQUEST)
    assert caught.value.failure is ModelFailure.REFUSED
    assert len(attempts) == 3
    assert api.facts.rejected_parts(LLAMA) == frozenset()


async def test_rejected_part_is_remembered_when_the_prompt_is_too_long(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejected_fields = {"stream_options"}
    with pytest.raises(ModelError) as caught:
        await ask(api, replace(REQUEST, messages=(Message("user", "word " * 150_000),)))
    assert caught.value.failure is ModelFailure.OVERFLOW
    assert api.facts.rejected_parts(LLAMA) == {"stream_options"}


async def test_key_is_probed_in_a_form_that_the_service_accepts(server: ModelStandIn, api: ModelApi) -> None:
    server.strictness.rejected_fields = {"stream_options", "max_completion_tokens"}
    await api.with_key(server.api_key).probe(LLAMA)


async def test_reasoning_is_never_sent_back(server: ModelStandIn) -> None:
    server.strictness.rejected_fields = {"reasoning_content"}
    messages = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "more"))
    assert (await read_stream(server.base_url, replace(REQUEST, messages=messages), key=server.api_key)).error is None
