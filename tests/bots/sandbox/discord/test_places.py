"""Threads, reactions, guilds and the registry of commands."""

import asyncio
from typing import Any

import discord
import pytest

from bots.sandbox.discord import DiscordStandIn, Limits
from bots.sandbox.discord.limits import Rule
from bots.sandbox.discord.world import MANAGE_MESSAGES, MANAGE_THREADS, REACT, WRITES
from tests import specs
from tests.bots.sandbox.discord.conftest import Bot, complaints, soon
from tests.bots.sandbox.discord.plain import Raw, talking


def said(found: dict[str, Any], raw: Raw, method: str, path: str, status: int) -> dict[str, Any]:
    if specs.FOLDER.is_dir():
        assert specs.discord_response_errors(method, path, status, found) == []
    return found


def command(name: str = "ask", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "d", "type": 1, **more}


async def test_the_client_starts_threads_from_a_message_and_without(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    await server.say(ann, channel, f"{server.mention} hi")
    heard = await soon(bot.heard)
    thread = await heard.create_thread(name="from it")
    assert thread.id == heard.id
    await thread.send("inside")
    first, inside = server.messages(server.channels[str(thread.id)])
    assert (first.type, inside.content) == (21, "inside")
    with pytest.raises(discord.HTTPException) as refused:
        await heard.create_thread(name="again")
    assert refused.value.code == 160004
    alone = await heard.channel.create_thread(name="alone", type=discord.ChannelType.public_thread)
    await alone.edit(archived=True)
    assert server.channels[str(alone.id)].archived
    await alone.send("wakes it")
    assert not server.channels[str(alone.id)].archived
    specs.required()
    assert complaints(server) == []


async def test_a_locked_thread_is_for_moderators(raw: Raw) -> None:
    server = raw.server
    parent = server.channel(server.guild("Home", raw.ann), "general")
    thread = server.thread(parent, "aside")
    at = f"/channels/{thread.id}"
    assert await raw.refused("PATCH", at, {"locked": True}) == (403, 50013)
    await server.permit(parent, WRITES | MANAGE_THREADS)
    assert (await raw.call("PATCH", at, {"locked": True, "archived": True}))[0] == 200
    await server.permit(parent, WRITES)
    assert await raw.refused("POST", f"{at}/messages", {"content": "x"}) == (400, 160005)
    assert await raw.refused("PATCH", at, {"archived": False}) == (400, 160005)


@pytest.mark.parametrize(
    "body", [{"name": "", "type": 11}, {"name": "n" * 101, "type": 11}, {"name": "n", "type": 12}]
)
async def test_a_thread_is_refused(raw: Raw, body: dict[str, Any]) -> None:
    server = raw.server
    parent = server.channel(server.guild("Home", raw.ann), "general")
    assert await raw.refused("POST", f"/channels/{parent.id}/threads", body) == (400, 50035)
    wrong = {"name": "n", "type": 11, "auto_archive_duration": 5}
    assert await raw.refused("POST", f"/channels/{parent.id}/threads", wrong) == (400, 50035)
    right = {"name": "n", "type": 11}
    assert (await raw.call("POST", f"/channels/{parent.id}/threads", right))[0] == 201
    assert await raw.refused("POST", f"/channels/{raw.home.id}/threads", right) == (400, 50024)


async def test_reactions_are_put_and_taken(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    message = await server.say(ann, channel, f"{server.mention} hi")
    heard = await soon(bot.heard)
    await heard.add_reaction("👍")
    await server.react(ann, message, "👍")
    assert message.reactions == {"👍": {server.bot.id, ann.id}}
    assert bot.user is not None
    await heard.remove_reaction("👍", bot.user)
    assert message.reactions == {"👍": {ann.id}}
    with pytest.raises(discord.HTTPException) as refused:
        await heard.add_reaction("nonsense")
    assert refused.value.code == 10014
    await server.permit(channel, WRITES & ~REACT)
    with pytest.raises(discord.Forbidden):
        await heard.add_reaction("👍")
    specs.required()
    assert complaints(server) == []


async def test_messages_are_deleted_together_by_who_may(raw: Raw) -> None:
    server = raw.server
    channel = server.channel(server.guild("Home", raw.ann), "general")
    sent = [await server.say(raw.ann, channel, str(n)) for n in range(3)]
    at = f"/channels/{channel.id}/messages/bulk-delete"
    ids = {"messages": [str(message.id) for message in sent[:2]]}
    assert await raw.refused("POST", at, ids) == (403, 50013)
    await server.permit(channel, WRITES | MANAGE_MESSAGES)
    assert await raw.refused("POST", at, {"messages": ids["messages"][:1]}) == (400, 50016)
    assert await raw.refused("POST", at, {"messages": ["1", "2"]}) == (400, 50034)
    assert (await raw.call("POST", at, ids))[0] == 204
    assert server.messages(channel) == sent[2:]


async def test_guilds_and_members_are_shown_to_members_only(raw: Raw) -> None:
    server = raw.server
    guild = server.guild("Home", raw.ann)
    away = server.guild("Away", raw.ann, joined=False)
    for path in (f"/guilds/{guild.id}", f"/guilds/{guild.id}/members/{raw.ann.id}"):
        status, found = await raw.call("GET", path)
        assert status == 200
        said(found, raw, "GET", path, 200)
    assert await raw.refused("GET", f"/guilds/{guild.id}/members/1") == (404, 10007)
    assert await raw.refused("GET", f"/guilds/{away.id}") == (404, 10004)


async def test_commands_are_registered_one_by_one_and_by_guild(raw: Raw) -> None:
    server = raw.server
    guild = server.guild("Home", raw.ann)
    channel = server.channel(guild, "general")
    everywhere = f"/applications/{server.application_id}/commands"
    here = f"/applications/{server.application_id}/guilds/{guild.id}/commands"
    status, made = await raw.call("POST", everywhere, command())
    assert status == 201
    said(made, raw, "POST", everywhere, 201)
    assert (await raw.call("POST", everywhere, command(description="new")))[0] == 200
    one = f"{everywhere}/{made['id']}"
    assert (await raw.call("GET", one))[1]["description"] == "new"
    assert (await raw.call("PATCH", one, {"description": "newer"}))[1]["description"] == "newer"
    assert await raw.refused("PATCH", one, {"description": ""}) == (400, 50035)
    _, local = await raw.call("PUT", here, [command("local")])
    said(local, raw, "PUT", here, 200)
    assert (await server.slash(raw.ann, channel, "local")).kind == 2
    with pytest.raises(ValueError, match="local"):
        await server.slash(raw.ann, raw.home, "local")
    assert (await raw.call("DELETE", one))[0] == 204
    assert await raw.refused("GET", one) == (404, 10063)
    assert (await raw.call("GET", everywhere))[1] == []
    other = here.replace(str(guild.id), "1")
    assert await raw.refused("PUT", other, []) == (403, 50001)


async def test_two_hundred_new_commands_a_day(raw: Raw) -> None:
    at = f"/applications/{raw.server.application_id}/commands"
    names = [command(f"b{n}") for n in range(100)]
    for commands in ([command(f"a{n}") for n in range(100)], names):
        assert (await raw.call("PUT", at, commands))[0] == 200
    # What is known by name costs nothing.
    assert (await raw.call("PUT", at, names))[0] == 200
    assert await raw.refused("PUT", at, [command("one-more")]) == (429, 30034)
    raw.clock.now += 86_400
    assert (await raw.call("PUT", at, [command("one-more")]))[0] == 200


async def test_a_form_is_shown_filled_in_and_answered(server: DiscordStandIn, bot: Bot) -> None:
    ann, eve = server.person("Ann"), server.person("Eve")
    channel = server.channel(server.guild("Home", ann, eve), "general")
    shown = await server.slash(ann, channel, "form")
    await server.wait(lambda: shown.modal)
    with pytest.raises(ValueError, match="form"):
        await server.submit(eve, shown, {"about": "x"})
    with pytest.raises(ValueError, match="characters"):
        await server.submit(ann, shown, {})
    sent = await server.submit(ann, shown, {"about": "cats"})
    await server.wait(lambda: sent.responses)
    assert [m.content for m in sent.responses] == ["about cats"]
    assert server.visible(channel, ann) == "Parley: about cats"
    assert server.visible(channel, eve) == ""
    with pytest.raises(ValueError, match="form"):
        await server.submit(ann, shown, {"about": "twice"})
    specs.required()
    assert complaints(server) == []


async def test_what_is_typed_is_completed_beside_what_was_chosen(raw: Raw) -> None:
    options = [
        {"name": "scope", "type": 3, "description": "d"},
        {"name": "name", "type": 3, "description": "d", "autocomplete": True},
    ]
    raw.server.commands = [{"id": "1", "type": 1, "name": "model", "options": options}]
    asking = asyncio.create_task(
        raw.server.autocomplete(raw.ann, raw.home, "model", "name", "ph", scope="here")
    )
    made = await raw.server.wait(lambda: next(iter(raw.server.interactions.values()), None))
    assert made is not None
    await raw.server.wait(lambda: raw.server.gateway.told)
    (told,) = [d for event, d in raw.server.gateway.told if event == "INTERACTION_CREATE"]
    typed = {one["name"]: one.get("focused", False) for one in told["data"]["options"]}
    assert typed == {"scope": False, "name": True}
    body = {"type": 8, "data": {"choices": [{"name": "phi", "value": "phi"}]}}
    await raw.call("POST", f"/interactions/{made.id}/{made.token}/callback", body)
    assert await asking == [{"name": "phi", "value": "phi"}]


async def test_around_is_as_many_before_as_after(raw: Raw) -> None:
    sent = [await raw.server.say(raw.ann, raw.home, str(n)) for n in range(7)]
    # Far apart in time on one side: places count, not distances.
    sent[4].id += 1 << 40
    sent[5].id += 1 << 41
    sent[6].id += 1 << 42
    _, found = await raw.call("GET", f"{raw.messages}?around={sent[3].id}&limit=3")
    assert [message["content"] for message in found] == ["4", "3", "2"]
    _, found = await raw.call("GET", f"{raw.messages}?around={sent[3].id}&limit=1")
    assert [message["content"] for message in found] == ["3"]


async def test_edits_of_old_messages_have_a_limit_of_their_own() -> None:
    async with talking(Limits(edit=None, everything=None, old_edit=Rule(2, 60))) as raw:
        _, made = await raw.call("POST", raw.messages, {"content": "x"})
        own = f"{raw.messages}/{made['id']}"
        for _ in range(4):
            assert (await raw.call("PATCH", own, {"content": "y"}))[0] == 200
        raw.clock.now += 3601
        edits = [await raw.call("PATCH", own, {"content": "z"}) for _ in range(3)]
        assert [status for status, _ in edits] == [200, 200, 429]
        assert (edits[2][1]["code"], edits[2][1]["retry_after"]) == (30046, 60.0)
        assert raw.server.invalid_requests == 1
        raw.clock.now += 601
        assert raw.server.invalid_requests == 0


async def test_a_client_that_floods_the_gateway_is_cut_off(raw: Raw) -> None:
    async with asyncio.timeout(15), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        for _ in range(121):
            await socket.send_json({"op": 1, "d": None})
        async for _ in socket:
            pass
        assert socket.close_code == 4008


async def test_sessions_of_a_day_are_counted(raw: Raw) -> None:
    async with asyncio.timeout(5), raw.http.ws_connect(raw.server.gateway_url) as socket:
        await socket.receive_json()
        await socket.send_json({"op": 2, "d": {"token": raw.server.token, "intents": 1}})
        assert (await socket.receive_json())["t"] == "READY"
        limit = (await raw.call("GET", "/gateway/bot"))[1]["session_start_limit"]
        assert (limit["total"], limit["remaining"], limit["max_concurrency"]) == (1000, 999, 1)
        raw.clock.now += 86_400
        limit = (await raw.call("GET", "/gateway/bot"))[1]["session_start_limit"]
        assert limit["remaining"] == 1000
