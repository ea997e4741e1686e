"""discord.py and users at the stand-in."""

import asyncio
import io
from functools import partial

import aiohttp
import discord
import pytest

from bots.sandbox.discord import DiscordStandIn, Fault, FaultKind, Interaction, Limits
from bots.sandbox.discord.state import ATTACH_FILES, DEFAULT_PERMISSIONS, VIEW_CHANNEL
from tests import api_specs
from tests.bots.sandbox.discord.conftest import (
    INTENTS,
    Bot,
    Panel,
    next_item,
    running_bot,
    running_server,
    spec_violations,
)

pytestmark = pytest.mark.slow


async def test_mention_is_received_and_reply_edited(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    question = await server.send_message(ann, channel, f"{server.mention} hi")
    received = await next_item(bot.messages)
    assert (received.id, received.content, received.author.display_name) == (question.id, question.content, "Ann")
    assert bot.user in received.mentions
    async with received.channel.typing():
        answer = await received.reply("first")
    await answer.edit(content="second")
    (_, reply) = server.messages(channel)
    assert (reply.content, reply.previous_texts, reply.reply_to_id) == (
        "second",
        ["first"],
        question.id,
    )
    assert reply.mentions == [ann]
    assert (await next_item(bot.messages)).content == "first"
    assert (await next_item(bot.edits)).message.content == "second"
    assert server.transcript(channel).endswith("Parley: second")
    await answer.delete()
    assert server.messages(channel) == [question]


async def test_content_requires_intent_or_mention(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    await server.send_message(ann, channel, "among people")
    assert (await next_item(bot.messages)).content == ""
    own = await bot.get_partial_messageable(channel.id).send("mine")
    assert (await next_item(bot.messages)).content == "mine"
    mine = server.messages(channel)[-1]
    assert own.id == mine.id
    await server.send_message(ann, channel, "loud", reply_to=mine)
    assert (await next_item(bot.messages)).content == "loud"
    await server.send_message(ann, channel, "quiet", reply_to=mine, ping=False)
    assert (await next_item(bot.messages)).content == ""
    await server.send_message(ann, server.open_dm(ann), "private")
    assert (await next_item(bot.messages)).content == "private"


async def test_content_intent_shows_everything(server: DiscordStandIn) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    intents = discord.Intents(INTENTS.value, message_content=True)
    async with running_bot(server, Bot(intents=intents)) as bot:
        await server.send_message(ann, channel, "among people")
        assert (await next_item(bot.messages)).content == "among people"


async def test_disallowed_intent_and_wrong_token_end_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server(monkeypatch, message_content_allowed=False) as server:
        intents = discord.Intents(INTENTS.value, message_content=True)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            async with running_bot(server, Bot(intents=intents)):
                pass
        bot = Bot()
        with pytest.raises(discord.LoginFailure):
            await bot.start("wrong.token.here")
        await bot.close()
        assert server.calls_with_status(401)


async def test_command_is_deferred_followed_up_and_edited(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    interaction = await server.use_command(ann, channel, "ask", prompt="why")
    await server.wait_for(lambda: [m.content for m in interaction.responses] == ["answered why", "and more"])
    assert interaction.acknowledged_at is not None
    assert not interaction.has_failed
    assert interaction.responses[0].previous_texts == ["you asked why"]
    with pytest.raises(ValueError, match="no command"):
        await server.use_command(ann, channel, "nothing")
    with pytest.raises(ValueError, match="do not fit"):
        await server.use_command(ann, channel, "ask", wrong="x")


async def test_autocomplete_offers_choices(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    choices = await server.autocomplete(ann, server.open_dm(ann), "ask", "prompt", "x")
    assert [choice["value"] for choice in choices] == ["x0", "x1", "x2"]


async def test_buttons_and_menus_work(server: DiscordStandIn, bot: Bot) -> None:
    ann, eve = server.create_user("Ann"), server.create_user("Eve")
    channel = server.create_channel(server.create_guild("Home", ann, eve), "general")
    await server.send_message(ann, channel, server.mention)
    await (await next_item(bot.messages)).channel.send("panel", view=Panel())
    panel = server.messages(channel)[-1]
    with pytest.raises(ValueError, match="offers"):
        await server.select_options(ann, panel, "menu", ["blue"])
    with pytest.raises(ValueError, match="no component"):
        await server.press_button(ann, panel, "menu")
    selection = await server.select_options(ann, panel, "menu", ["green"])
    await server.wait_for(lambda: selection.responses)
    assert selection.responses[0].content == "chose ['green']"
    assert selection.responses[0].ephemeral_to == ann.id
    await server.press_button(eve, panel, "more")
    await server.wait_for(lambda: panel.content == "more")
    assert panel.components == []


async def test_threads_and_direct_messages_are_channels_too(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    thread = server.create_thread(channel, "aside")
    await server.send_message(ann, thread, f"{server.mention} here")
    received = await next_item(bot.messages)
    assert isinstance(received.channel, discord.Thread)
    assert received.channel.parent_id == channel.id
    await received.channel.send("there")
    assert server.messages(thread)[-1].content == "there"
    ann_in_guild = received.author
    await ann_in_guild.send("psst")
    assert [m.content for m in server.messages(server.open_dm(ann))] == ["psst"]
    ann.has_closed_dms = True
    with pytest.raises(discord.Forbidden) as raised:
        await ann_in_guild.send("again")
    assert raised.value.code == 50007


async def test_history_is_newest_first_and_limited(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.open_dm(ann)
    messages = [await server.send_message(ann, channel, str(n)) for n in range(8)]
    place = bot.get_partial_messageable(channel.id)
    assert [m.content async for m in place.history(limit=3)] == ["7", "6", "5"]
    after = place.history(limit=2, after=discord.Object(messages[3].id))
    assert [m.content async for m in after] == ["4", "5"]


async def test_files_can_be_fetched(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    place = bot.get_partial_messageable(server.open_dm(ann).id)
    sent = await place.send("whole", file=discord.File(io.BytesIO(b"# Answer"), "answer.md"))
    (attachment,) = sent.attachments
    assert (attachment.filename, await attachment.read()) == ("answer.md", b"# Answer")
    await sent.edit(content="still whole")
    assert [attachment["filename"] for attachment in server.messages(server.open_dm(ann))[-1].attachments] == [
        "answer.md"
    ]
    with pytest.raises(discord.HTTPException) as raised:
        await place.send(file=discord.File(io.BytesIO(bytes(11 << 20)), "large.bin"))
    assert raised.value.code == 40005


async def test_channel_can_forbid_files(server: DiscordStandIn, bot: Bot) -> None:
    channel = server.create_channel(server.create_guild("Home", server.create_user("Ann")), "general")
    await server.set_bot_permissions(channel, channel.bot_permissions & ~ATTACH_FILES)
    place = bot.get_partial_messageable(channel.id)
    with pytest.raises(discord.Forbidden) as raised:
        await place.send("whole", file=discord.File(io.BytesIO(b"# Answer"), "answer.md"))
    assert raised.value.code == 50013
    await place.send("hello")
    assert [message.content for message in server.messages(channel)] == ["hello"]


async def test_resume_replays_missed_events(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.open_dm(ann)
    await server.gateway.request_reconnect()
    await server.send_message(ann, channel, "meanwhile")
    assert (await next_item(bot.messages)).content == "meanwhile"
    await next_item(bot.resumes)
    assert len(server.gateway.identifies) == 1
    assert server.gateway.resumes


async def test_invalid_session_identifies_again(server: DiscordStandIn, bot: Bot) -> None:
    await server.gateway.invalidate_sessions()
    await next_item(bot.connects)
    assert len(server.gateway.identifies) == 2
    ann = server.create_user("Ann")
    await server.send_message(ann, server.open_dm(ann), "back?")
    assert (await next_item(bot.messages)).content == "back?"


async def test_silent_connection_is_replaced(server: DiscordStandIn) -> None:
    ann = server.create_user("Ann")
    async with running_bot(server, Bot(heartbeat_timeout=0.5)) as bot:
        server.gateway.go_silent()
        await server.send_message(ann, server.open_dm(ann), "anybody?")
        assert (await next_item(bot.messages)).content == "anybody?"
        assert server.gateway.resumes


async def test_each_guild_is_on_one_shard(server: DiscordStandIn) -> None:
    ann = server.create_user("Ann")
    one, two = server.create_guild("One", ann), server.create_guild("Two", ann)
    two.id = one.id + (1 << 22)
    guild_ids = []
    for number in range(2):
        async with running_bot(server, Bot(shard_id=number, shard_count=2)) as bot:
            guild_ids.append({guild.id for guild in bot.guilds})
            await server.send_message(ann, server.open_dm(ann), "private")
            if number == 0:
                assert (await next_item(bot.messages)).content == "private"
    assert sorted(map(len, guild_ids)) == [1, 1]
    assert guild_ids[0] | guild_ids[1] == {one.id, two.id}


async def test_client_respects_rate_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        running_server(monkeypatch, limits=Limits()) as server,
        running_bot(server, Bot()) as bot,
    ):
        ann = server.create_user("Ann")
        place = bot.get_partial_messageable(server.open_dm(ann).id)
        other = bot.get_partial_messageable(server.open_dm(server.create_user("Eve")).id)
        for number in range(4):
            await place.send(str(number))
        fifth = asyncio.create_task(place.send("fifth"))
        await server.wait_for(lambda: len(server.messages(server.open_dm(ann))) == 5)
        await other.send("another channel is free")
        assert not fifth.done()
        assert not server.calls_with_status()
        fifth.cancel()


async def test_nonce_deduplicates_retry_after_fault(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    place = bot.get_partial_messageable(server.open_dm(ann).id)
    faults = [Fault(FaultKind.RATE_LIMITED, 0.05), Fault(FaultKind.DROP_AFTER)]
    server.fault_hook = lambda call: faults.pop(0) if call.path.endswith("/messages") and faults else None
    with pytest.raises(aiohttp.ClientError):
        await place.send("once", nonce="job-1")
    assert len(server.calls_with_status(429)) == 1
    await place.send("once", nonce="job-1")
    assert [m.content for m in server.messages(server.open_dm(ann))] == ["once"]


async def test_missing_permissions_are_refused(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    place = bot.get_partial_messageable(channel.id)
    for permissions, code in ((VIEW_CHANNEL, 50013), (0, 50001)):
        await server.set_bot_permissions(channel, permissions)
        with pytest.raises(discord.Forbidden) as raised:
            await place.send("hello?")
        assert raised.value.code == code
    assert server.messages(channel) == []


async def test_channel_that_bot_may_not_view_is_hidden(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    channel.bot_permissions = 0
    thread = server.create_thread(channel, "secret plans")
    await server.send_message(ann, channel, "hello?")
    await server.wait_for(lambda: bot.get_channel(channel.id))
    hidden = bot.get_channel(channel.id)
    assert isinstance(hidden, discord.TextChannel)
    assert hidden.name == "___hidden___"
    assert channel.json()["flags"] == 1 << 17
    assert list(hidden.overwrites) == [hidden.guild.default_role]
    assert bot.get_channel(thread.id) is None
    with pytest.raises(discord.Forbidden):
        await bot.fetch_channel(channel.id)
    await server.set_bot_permissions(channel, DEFAULT_PERMISSIONS)
    await server.wait_for(lambda: hidden.name == "general")


async def test_pings_follow_allowed_mentions(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    place = bot.get_partial_messageable(channel.id)
    text = f"@everyone <@{ann.id}>"
    for allowed, pinged in (
        (discord.AllowedMentions.none(), False),
        (discord.AllowedMentions.all(), True),
    ):
        await place.send(text, allowed_mentions=allowed)
        message = server.messages(channel)[-1]
        assert (message.mention_everyone, message.mentions == [ann]) == (pinged, pinged)
    await place.send(f"`{text}`")
    assert not server.messages(channel)[-1].mention_everyone


async def test_watch_yields_events_in_order(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.create_user("Ann")
    channel = server.open_dm(ann)
    events = server.watch(channel)
    message = await server.send_message(ann, channel, "one")
    await server.edit_message(ann, message, "two")
    await server.delete_message(message)
    kinds = [(await anext(events)).kind for _ in range(3)]
    assert kinds == ["sent", "edited", "deleted"]


async def test_failed_wait_shows_messages(server: DiscordStandIn) -> None:
    ann = server.create_user("Ann")
    await server.send_message(ann, server.open_dm(ann), "the last words")
    with pytest.raises(TimeoutError, match="the last words"):
        await server.wait_for(lambda: False, 0.05)


async def test_traffic_matches_spec(server: DiscordStandIn, bot: Bot) -> None:
    api_specs.require_specs()

    def is_answered(interaction: Interaction) -> bool:
        return [m.content for m in interaction.responses] == ["answered why", "and more"]

    ann = server.create_user("Ann")
    channel = server.create_channel(server.create_guild("Home", ann), "general")
    thread = server.create_thread(channel, "aside")
    for place in (channel, thread, server.open_dm(ann)):
        question = await server.send_message(ann, place, f"{server.mention} hi")
        received = await next_item(bot.messages)
        sent = await received.reply("panel", view=Panel())
        await next_item(bot.messages)
        await sent.edit(content="panel two")
        interaction = await server.use_command(ann, place, "ask", prompt="why")
        await server.wait_for(partial(is_answered, interaction))
        await next_item(bot.messages), await next_item(bot.messages)
        selection = await server.select_options(ann, server.messages(place)[1], "menu", ["red"])
        await server.wait_for(partial(getattr, selection, "responses"))
        await server.autocomplete(ann, place, "ask", "prompt", "x")
        await server.delete_message(question)
        _ = [m async for m in received.channel.history()]
        with pytest.raises(discord.HTTPException):
            await received.channel.send("x" * 2001)
        await received.channel.send(file=discord.File(io.BytesIO(b"x"), "x.txt"))
        await next_item(bot.messages)
    await server.set_bot_permissions(channel, VIEW_CHANNEL)
    await server.gateway.request_reconnect()
    await next_item(bot.resumes)
    violations = spec_violations(server)
    assert not violations, "\n".join(violations[:20])
