"""Threads, guilds, command registration, limits of the gateway."""

import asyncio
from typing import Any

import discord
import pytest

from bots.sandbox.discord import DiscordStandIn, Limits
from bots.sandbox.discord.limits import FixedWindow
from bots.sandbox.discord.state import (
    DEFAULT_PERMISSIONS,
    MANAGE_THREADS,
)
from tests import api_specs
from tests.bots.sandbox.discord.conftest import Bot, next_item, spec_violations
from tests.bots.sandbox.discord.raw_client import RawClient, raw_client


def check_response(body: Any, method: str, path: str, status: int) -> None:
    if api_specs.SPECS_DIR.is_dir():
        assert api_specs.discord_response_errors(method, path, status, body) == []


def command(name: str = "ask", **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "d", "type": 1, **fields}


async def test_threads_start_with_and_without_message(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    await server.send_message(ann, channel, f"{server.mention} hi")
    received = await next_item(bot.messages)
    thread = await received.create_thread(name="from it")
    assert thread.id == received.id
    await thread.send("inside")
    first, inside = server.messages(server.channels[str(thread.id)])
    assert (first.type, inside.content) == (21, "inside")
    with pytest.raises(discord.HTTPException) as raised:
        await received.create_thread(name="again")
    assert raised.value.code == 160004
    alone = await received.channel.create_thread(name="alone", type=discord.ChannelType.public_thread)
    await alone.edit(archived=True)
    assert server.channels[str(alone.id)].archived
    await alone.send("wakes it")
    assert not server.channels[str(alone.id)].archived
    api_specs.require_specs()
    assert spec_violations(server) == []


async def test_locked_thread_requires_moderator(raw: RawClient) -> None:
    server = raw.server
    parent = server.create_channel(server.create_guild("Home", raw.ann), "general")
    thread = server.create_thread(parent, "aside")
    at = f"/channels/{thread.id}"
    assert await raw.error_of("PATCH", at, {"locked": True}) == (403, 50013)
    await server.set_bot_permissions(parent, DEFAULT_PERMISSIONS | MANAGE_THREADS)
    assert (await raw.call("PATCH", at, {"locked": True, "archived": True}))[0] == 200
    await server.set_bot_permissions(parent, DEFAULT_PERMISSIONS)
    assert await raw.error_of("POST", f"{at}/messages", {"content": "x"}) == (400, 160005)
    assert await raw.error_of("PATCH", at, {"archived": False}) == (400, 160005)


@pytest.mark.parametrize("body", [{"name": "", "type": 11}, {"name": "n" * 101, "type": 11}, {"name": "n", "type": 12}])
async def test_invalid_thread_is_refused(raw: RawClient, body: dict[str, Any]) -> None:
    server = raw.server
    parent = server.create_channel(server.create_guild("Home", raw.ann), "general")
    assert await raw.error_of("POST", f"/channels/{parent.id}/threads", body) == (400, 50035)
    wrong = {"name": "n", "type": 11, "auto_archive_duration": 5}
    assert await raw.error_of("POST", f"/channels/{parent.id}/threads", wrong) == (400, 50035)
    right = {"name": "n", "type": 11}
    assert (await raw.call("POST", f"/channels/{parent.id}/threads", right))[0] == 201
    assert await raw.error_of("POST", f"/channels/{raw.dm.id}/threads", right) == (400, 50024)


async def test_guild_is_visible_to_members_only(raw: RawClient) -> None:
    server = raw.server
    guild = server.create_guild("Home", raw.ann)
    away = server.create_guild("Away", raw.ann, has_bot=False)
    for path in (f"/guilds/{guild.id}", f"/guilds/{guild.id}/members/{raw.ann.id}"):
        status, body = await raw.call("GET", path)
        assert status == 200
        check_response(body, "GET", path, 200)
    assert await raw.error_of("GET", f"/guilds/{guild.id}/members/1") == (404, 10007)
    assert await raw.error_of("GET", f"/guilds/{away.id}") == (404, 10004)


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


async def test_modal_is_submitted(server: DiscordStandIn, bot: Bot) -> None:
    ann, eve = server.create_user("Ann"), server.create_user("Eve")
    channel = server.create_channel(server.create_guild("Home", ann, eve), "general")
    interaction = await server.use_command(ann, channel, "form")
    await server.wait_for(lambda: interaction.modal)
    with pytest.raises(ValueError, match="form"):
        await server.submit_modal(eve, interaction, {"about": "x"})
    with pytest.raises(ValueError, match="characters"):
        await server.submit_modal(ann, interaction, {})
    submission = await server.submit_modal(ann, interaction, {"about": "cats"})
    await server.wait_for(lambda: submission.responses)
    assert [m.content for m in submission.responses] == ["about cats"]
    assert server.transcript(channel, ann) == "Parley: about cats"
    assert server.transcript(channel, eve) == ""
    with pytest.raises(ValueError, match="form"):
        await server.submit_modal(ann, interaction, {"about": "twice"})
    api_specs.require_specs()
    assert spec_violations(server) == []


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
