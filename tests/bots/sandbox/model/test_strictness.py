"""What the stand-in refuses when it plays a stricter service."""

from typing import Any

import pytest

from bots.sandbox.model import ModelStandIn
from tests.bots.sandbox.model.conftest import LLAMA, OpenAIClient, conversation

SYSTEM = {"role": "system", "content": "Be kind."}


async def post(client: OpenAIClient, messages: list[Any] | None = None, **fields: object) -> tuple[int, Any]:
    body = {"model": LLAMA, "messages": messages or conversation("hello"), **fields}
    status, answer, _ = await client.http("POST", "chat/completions", body)
    return status, answer


@pytest.mark.parametrize("status", [400, 500])
async def test_system_role_can_be_refused(server: ModelStandIn, client: OpenAIClient, status: int) -> None:
    server.strictness.rejects_system_role, server.strictness.system_role_status = True, status
    refused, body = await post(client, [SYSTEM, *conversation("hello")])
    assert (refused, body["message"], body["code"]) == (status, "System role not supported", status)
    assert (await post(client))[0] == 200


@pytest.mark.parametrize("texts", [("a", "b", "c"), ("a",)])
async def test_alternating_roles_pass(server: ModelStandIn, client: OpenAIClient, texts: tuple[str, ...]) -> None:
    server.strictness.requires_alternation = True
    assert (await post(client, [SYSTEM, *conversation(*texts)]))[0] == 200
    assert (await post(client, conversation(*texts)))[0] == 200


async def test_alternation_can_be_required(server: ModelStandIn, client: OpenAIClient) -> None:
    question = conversation("hello")
    assert (await post(client, question * 2))[0] == 200
    server.strictness.requires_alternation = True
    status, body = await post(client, [SYSTEM, *question * 2])
    assert status == 400
    assert body["message"].startswith("Conversation roles must alternate")


async def test_fields_can_be_refused(server: ModelStandIn, client: OpenAIClient) -> None:
    server.strictness.rejected_fields = {"stream_options", "temperature", "reasoning_content"}
    status, body = await post(client, stream_options={"include_usage": True})
    assert (status, "extra_forbidden" in body["message"], "'stream_options'" in body["message"]) == (400, True, True)
    status, body = await post(client, temperature=0.3)
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, "temperature", "unsupported_value")
    status, body = await post(client, [{**conversation("hello")[0], "reasoning_content": "hm"}])
    assert (status, "'reasoning_content'" in body["message"]) == (400, True)
    assert (await post(client))[0] == 200


async def test_scripted_commands_work_without_system_role(client: OpenAIClient) -> None:
    answer = await client.stream("Be kind.\n\nrepeat: one\n\ntwo")
    assert answer.text == "one\n\ntwo"
