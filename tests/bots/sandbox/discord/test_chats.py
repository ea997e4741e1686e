"""Threads, command registration, limits of the gateway."""

import asyncio
from typing import Any

import pytest

from bots.sandbox.discord import Limits
from bots.sandbox.discord.limits import FixedWindow
from tests import api_specs
from tests.bots.sandbox.discord.raw_client import RawClient, raw_client


def check_response(body: Any, method: str, path: str, status: int) -> None:
    if api_specs.SPECS_DIR.is_dir():
        assert api_specs.discord_response_errors(method, path, status, body) == []


def command(name: str = "ask", **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "d", "type": 1, **fields}


async def test_thread_is_reopened_unless_locked(raw: RawClient) -> None:
    server = raw.server
    parent = server.create_channel(server.create_guild("Home", raw.ann), "general")
    thread = server.create_thread(parent, "aside")
    at = f"/channels/{thread.id}"
    assert await raw.error_of("PATCH", at, {"locked": True}) == (403, 50013)
    thread.archived = True
    assert (await raw.call("PATCH", at, {"archived": False}))[0] == 200
    assert not thread.archived
    thread.archived = True
    assert (await raw.call("POST", f"{at}/messages", {"content": "wakes it"}))[0] == 200
    assert not thread.archived
    thread.locked = True
    assert await raw.error_of("POST", f"{at}/messages", {"content": "x"}) == (400, 160005)
    assert await raw.error_of("PATCH", at, {"archived": False}) == (400, 160005)


async def test_bot_names_only_threads_that_it_has_created(raw: RawClient) -> None:
    server = raw.server
    parent = server.create_channel(server.create_guild("Home", raw.ann), "general")
    own, other = server.create_thread(parent, "own", owner=server.bot), server.create_thread(parent, "aside")
    assert (await raw.call("PATCH", f"/channels/{own.id}", {"name": "new"}))[1]["name"] == "new"
    assert await raw.error_of("PATCH", f"/channels/{other.id}", {"name": "new"}) == (403, 50013)
    assert await raw.error_of("PATCH", f"/channels/{parent.id}", {"name": "new"}) == (403, 50013)


async def test_daily_command_limit(raw: RawClient) -> None:
    at = f"/applications/{raw.server.application_id}/commands"
    names = [command(f"b{n}") for n in range(100)]
    for commands in ([command(f"a{n}") for n in range(100)], names):
        status, body = await raw.call("PUT", at, commands)
        assert (status, len(body)) == (200, 100)
        check_response(body, "PUT", at, 200)
    # Existing commands do not count.
    assert (await raw.call("PUT", at, names))[0] == 200
    assert await raw.error_of("PUT", at, [command("one-more")]) == (429, 30034)
    raw.clock.now += 86_400
    assert (await raw.call("PUT", at, [command("one-more")]))[0] == 200


async def test_autocomplete_receives_other_options(raw: RawClient) -> None:
    options = [
        {"name": "scope", "type": 3, "description": "d"},
        {"name": "name", "type": 3, "description": "d", "autocomplete": True},
    ]
    raw.server.commands = [{"id": "1", "type": 1, "name": "model", "options": options}]
    task = asyncio.create_task(raw.server.autocomplete(raw.ann, raw.dm, "model", "name", "ph", scope="here"))
    interaction = await raw.server.wait_for(lambda: next(iter(raw.server.interactions.values()), None))
    assert interaction is not None
    await raw.server.wait_for(lambda: raw.server.gateway.dispatches)
    (payload,) = [data for event, data in raw.server.gateway.dispatches if event == "INTERACTION_CREATE"]
    focused = {option["name"]: option.get("focused", False) for option in payload["data"]["options"]}
    assert focused == {"scope": False, "name": True}
    body = {"type": 8, "data": {"choices": [{"name": "phi", "value": "phi"}]}}
    await raw.call("POST", f"/interactions/{interaction.id}/{interaction.token}/callback", body)
    assert await task == [{"name": "phi", "value": "phi"}]


async def test_old_message_edits_have_own_limit() -> None:
    async with raw_client(Limits(edit=None, overall=None, old_edit=FixedWindow(2, 60))) as raw:
        _, message = await raw.call("POST", raw.messages_path, {"content": "x"})
        path = f"{raw.messages_path}/{message['id']}"
        for _ in range(4):
            assert (await raw.call("PATCH", path, {"content": "y"}))[0] == 200
        raw.clock.now += 3601
        edits = [await raw.call("PATCH", path, {"content": "z"}) for _ in range(3)]
        assert [status for status, _ in edits] == [200, 200, 429]
        assert (edits[2][1]["code"], edits[2][1]["retry_after"]) == (30046, 60.0)


@pytest.mark.slow
async def test_gateway_flood_is_disconnected(raw: RawClient) -> None:
    async with asyncio.timeout(15), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        for _ in range(121):
            await socket.send_json({"op": 1, "d": None})
        async for _ in socket:
            pass
        assert socket.close_code == 4008


async def test_daily_sessions_are_counted(raw: RawClient) -> None:
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": raw.server.token, "intents": 1}})
        assert (await socket.receive_json())["t"] == "READY"
        limit = (await raw.call("GET", "/gateway/bot"))[1]["session_start_limit"]
        assert (limit["total"], limit["remaining"], limit["max_concurrency"]) == (1000, 999, 1)
        raw.clock.now += 86_400
        limit = (await raw.call("GET", "/gateway/bot"))[1]["session_start_limit"]
        assert limit["remaining"] == 1000
