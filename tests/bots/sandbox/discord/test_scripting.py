import asyncio

import discord
import pytest

from bots.sandbox.discord import DiscordStandIn, ScriptedReply
from tests import api_specs
from tests.bots.sandbox.discord.conftest import Bot, next_item, running_bot, spec_violations
from tests.bots.sandbox.discord.raw_client import RawClient


async def test_scripted_replies_are_used_in_order_and_once(raw: RawClient) -> None:
    raw.server.script.add("GET /users/@me", ScriptedReply.error(403, 50001), ScriptedReply(200, {"id": "1"}))
    assert (await raw.call("GET", "/users/@me"))[0] == 403
    assert (await raw.call("GET", "/users/@me"))[1] == {"id": "1"}
    status, own = await raw.call("GET", "/users/@me")
    assert (status, own["id"]) == (200, str(raw.server.bot.id))
    assert [call.status for call in raw.server.calls_to("GET", "/users/.*")] == [403, 200, 200]


async def test_held_call_gets_the_usual_reply(raw: RawClient) -> None:
    go = asyncio.Event()
    raw.server.script.add("GET /gateway/bot", ScriptedReply(None, hold_until=go))
    calling = asyncio.create_task(raw.call("GET", "/gateway/bot"))
    await raw.server.wait_for(lambda: raw.server.calls_to("GET", "/gateway/bot"))
    assert not calling.done()
    go.set()
    assert (await calling)[1]["url"] == raw.server.gateway_url


async def test_gateway_reports_scripted_limits(raw: RawClient) -> None:
    script = raw.server.gateway.script
    script.shard_count, script.max_concurrency = 4, 2
    script.remaining_sessions, script.session_reset_after = 3, 1.5
    _, reply = await raw.call("GET", "/gateway/bot")
    limit = {"total": 1000, "remaining": 3, "reset_after": 1500, "max_concurrency": 2}
    assert (reply["shards"], reply["session_start_limit"]) == (4, limit)


async def test_gateway_closes_with_scripted_code(server: DiscordStandIn) -> None:
    server.gateway.script.close_code = 4013
    bot = Bot()
    with pytest.raises(discord.ConnectionClosed) as caught:
        async with running_bot(server, bot):
            pass
    assert caught.value.code == 4013


async def test_guilds_are_withheld(server: DiscordStandIn) -> None:
    guild = server.create_guild("Home", server.create_user("Ann"))
    server.gateway.script.withholds_guilds = True
    async with running_bot(server, Bot()) as bot:
        [known] = bot.guilds
        assert (known.id, known.unavailable) == (guild.id, True)


async def test_bot_role_mention_and_group_chat_fit_the_description(server: DiscordStandIn) -> None:
    api_specs.require_specs()
    ann, bob = server.create_user("Ann"), server.create_user("Bob")
    guild = server.create_guild("Home", ann, bob)
    channel = server.create_channel(guild, "general")
    async with running_bot(
        server, Bot(intents=discord.Intents(guilds=True, guild_messages=True, message_content=True))
    ) as bot:
        await server.send_message(ann, channel, f"<@&{guild.bot_role_id}> greet <@{bob.id}>")
        message = await next_item(bot.messages)
        assert [role.is_bot_managed() for role in message.role_mentions] == [True]
        assert [user.name for user in message.mentions] == ["bob"]
        group = server.create_group("Friends", ann, bob)
        interaction = await server.use_command(ann, group, "ask", is_user_installed=True, prompt="why?")
        await server.wait_for(lambda: interaction.acknowledged_at is not None)
        assert server.messages(group)[0].author is server.bot
    assert spec_violations(server) == []


async def test_backdated_message_has_an_older_id(server: DiscordStandIn) -> None:
    ann = server.create_user("Ann")
    dm = server.open_dm(ann)
    old = await server.send_message(ann, dm, "long ago", age=60)
    new = await server.send_message(ann, dm, "now")
    assert 60_000 <= (new.id >> 22) - (old.id >> 22) < 70_000
