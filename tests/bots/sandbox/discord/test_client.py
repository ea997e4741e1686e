"""What discord.py and people live through at the stand-in."""

import asyncio
import io
from functools import partial

import aiohttp
import discord
import pytest

from bots.sandbox.discord import DiscordStandIn, Fault, Interaction, Limits
from bots.sandbox.discord.world import VIEW
from tests import specs
from tests.bots.sandbox.discord.conftest import (
    INTENTS,
    Bot,
    Panel,
    complaints,
    connected,
    soon,
    standing,
)


async def test_a_mention_is_heard_and_the_reply_is_sent_and_edited(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    said = await server.say(ann, channel, f"{server.mention} hi")
    heard = await soon(bot.heard)
    assert (heard.id, heard.content, heard.author.display_name) == (said.id, said.content, "Ann")
    assert bot.user in heard.mentions
    async with heard.channel.typing():
        answer = await heard.reply("first")
    await answer.edit(content="second")
    (_, shown) = server.messages(channel)
    assert (shown.content, shown.edits, shown.reference) == ("second", ["first"], said.id)
    assert shown.mentions == [ann]
    assert (await soon(bot.heard)).content == "first"
    assert (await soon(bot.edited)).message.content == "second"
    assert server.visible(channel).endswith("Parley: second")
    await answer.delete()
    assert server.messages(channel) == [said]


async def test_content_is_blank_without_the_intent_unless_meant_for_the_bot(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    await server.say(ann, channel, "among people")
    assert (await soon(bot.heard)).content == ""
    own = await bot.get_partial_messageable(channel.id).send("mine")
    assert (await soon(bot.heard)).content == "mine"
    mine = server.messages(channel)[-1]
    assert own.id == mine.id
    await server.say(ann, channel, "loud", reply_to=mine)
    assert (await soon(bot.heard)).content == "loud"
    await server.say(ann, channel, "quiet", reply_to=mine, ping=False)
    assert (await soon(bot.heard)).content == ""
    await server.say(ann, server.dm(ann), "private")
    assert (await soon(bot.heard)).content == "private"


async def test_with_the_intent_everything_is_shown(server: DiscordStandIn) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    intents = discord.Intents(INTENTS.value, message_content=True)
    async with connected(server, Bot(intents=intents)) as bot:
        await server.say(ann, channel, "among people")
        assert (await soon(bot.heard)).content == "among people"


async def test_a_forbidden_intent_and_a_wrong_token_end_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with standing(monkeypatch, message_content_allowed=False) as server:
        intents = discord.Intents(INTENTS.value, message_content=True)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            async with connected(server, Bot(intents=intents)):
                pass
        bot = Bot()
        with pytest.raises(discord.LoginFailure):
            await bot.start("wrong.token.here")
        await bot.close()
        assert server.refused(401)


async def test_a_command_is_deferred_followed_up_and_edited(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    asked = await server.slash(ann, channel, "ask", prompt="why")
    await server.wait(lambda: [m.content for m in asked.responses] == ["answered why", "and more"])
    assert asked.acknowledged_at is not None
    assert not asked.failed
    assert asked.responses[0].edits == ["you asked why"]
    with pytest.raises(ValueError, match="no command"):
        await server.slash(ann, channel, "nothing")
    with pytest.raises(ValueError, match="do not fit"):
        await server.slash(ann, channel, "ask", wrong="x")


async def test_autocomplete_offers_choices(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    choices = await server.autocomplete(ann, server.dm(ann), "ask", "prompt", "x")
    assert [choice["value"] for choice in choices] == ["x0", "x1", "x2"]


async def test_an_interaction_nobody_acknowledges_fails_for_the_person(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    asked = await server.slash(ann, server.dm(ann), "slow")
    assert not asked.failed
    await server.wait(lambda: asked.failed, 5)


async def test_buttons_and_menus_work_and_only_as_people_can_use_them(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann, eve = server.person("Ann"), server.person("Eve")
    channel = server.channel(server.guild("Home", ann, eve), "general")
    await server.say(ann, channel, server.mention)
    await (await soon(bot.heard)).channel.send("panel", view=Panel())
    panel = server.messages(channel)[-1]
    with pytest.raises(ValueError, match="offers"):
        await server.select(ann, panel, "menu", ["blue"])
    with pytest.raises(ValueError, match="no component"):
        await server.press(ann, panel, "menu")
    chose = await server.select(ann, panel, "menu", ["green"])
    await server.wait(lambda: chose.responses)
    assert chose.responses[0].content == "chose ['green']"
    assert chose.responses[0].ephemeral_to == ann.id
    await server.press(eve, panel, "more")
    await server.wait(lambda: panel.content == "more")
    assert panel.components == []


async def test_threads_and_direct_messages_are_channels_too(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    thread = server.thread(channel, "aside")
    await server.say(ann, thread, f"{server.mention} here")
    heard = await soon(bot.heard)
    assert isinstance(heard.channel, discord.Thread)
    assert heard.channel.parent_id == channel.id
    await heard.channel.send("there")
    assert server.messages(thread)[-1].content == "there"
    user = await bot.fetch_user(ann.id)
    await user.send("psst")
    assert [m.content for m in server.messages(server.dm(ann))] == ["psst"]
    ann.closed = True
    with pytest.raises(discord.Forbidden) as closed:
        await user.send("again")
    assert closed.value.code == 50007


async def test_history_is_newest_first_and_cut_as_asked(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.dm(ann)
    said = [await server.say(ann, channel, str(n)) for n in range(8)]
    place = bot.get_partial_messageable(channel.id)
    assert [m.content async for m in place.history(limit=3)] == ["7", "6", "5"]
    after = place.history(limit=2, after=discord.Object(said[3].id))
    assert [m.content async for m in after] == ["4", "5"]
    around = place.history(limit=3, around=discord.Object(said[3].id))
    assert sorted([m.content async for m in around]) == ["2", "3", "4"]


async def test_files_arrive_and_can_be_fetched(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    place = bot.get_partial_messageable(server.dm(ann).id)
    sent = await place.send("whole", file=discord.File(io.BytesIO(b"# Answer"), "answer.md"))
    (attachment,) = sent.attachments
    assert (attachment.filename, await attachment.read()) == ("answer.md", b"# Answer")
    await sent.edit(content="still whole")
    assert [one["filename"] for one in server.messages(server.dm(ann))[-1].attachments] == [
        "answer.md"
    ]
    with pytest.raises(discord.HTTPException) as large:
        await place.send(file=discord.File(io.BytesIO(bytes(11 << 20)), "large.bin"))
    assert large.value.code == 40005


async def test_what_was_missed_is_replayed_on_resume(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.dm(ann)
    await server.force_reconnect()
    await server.say(ann, channel, "meanwhile")
    assert (await soon(bot.heard)).content == "meanwhile"
    await soon(bot.resumed)
    assert len(server.gateway.identifies) == 1
    assert server.gateway.resumes


async def test_an_invalid_session_is_identified_anew(
    server: DiscordStandIn, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(
        "discord.client.asyncio.sleep", lambda seconds, *more: real(min(seconds, 0.05), *more)
    )
    await server.invalidate_session()
    await soon(bot.connects)
    assert len(server.gateway.identifies) == 2
    ann = server.person("Ann")
    await server.say(ann, server.dm(ann), "back?")
    assert (await soon(bot.heard)).content == "back?"


async def test_a_silent_line_is_given_up_for_a_new_one(server: DiscordStandIn) -> None:
    ann = server.person("Ann")
    async with connected(server, Bot(heartbeat_timeout=0.5)) as bot:
        server.go_silent()
        await server.say(ann, server.dm(ann), "anybody?")
        assert (await soon(bot.heard)).content == "anybody?"
        assert server.gateway.resumes


async def test_shards_hear_each_guild_once(server: DiscordStandIn) -> None:
    ann = server.person("Ann")
    one, two = server.guild("One", ann), server.guild("Two", ann)
    two.id = one.id + (1 << 22)
    heard = []
    for number in range(2):
        async with connected(server, Bot(shard_id=number, shard_count=2)) as bot:
            heard.append({guild.id for guild in bot.guilds})
            await server.say(ann, server.dm(ann), "private")
            if number == 0:
                assert (await soon(bot.heard)).content == "private"
    assert sorted(map(len, heard)) == [1, 1]
    assert heard[0] | heard[1] == {one.id, two.id}


async def test_the_client_reads_the_limits_and_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with standing(monkeypatch, limits=Limits()) as server, connected(server, Bot()) as bot:
        ann = server.person("Ann")
        place = bot.get_partial_messageable(server.dm(ann).id)
        other = bot.get_partial_messageable(server.dm(server.person("Eve")).id)
        for number in range(4):
            await place.send(str(number))
        fifth = asyncio.create_task(place.send("fifth"))
        await server.wait(lambda: len(server.messages(server.dm(ann))) == 5)
        await other.send("another channel is free")
        assert not fifth.done()
        assert not server.refused()
        fifth.cancel()


async def test_faults_are_ordered_and_the_nonce_keeps_a_retry_single(
    server: DiscordStandIn, bot: Bot
) -> None:
    ann = server.person("Ann")
    place = bot.get_partial_messageable(server.dm(ann).id)
    faults = [Fault("429", 0.05), Fault("drop_after")]
    server.faults = lambda call: (
        faults.pop(0) if call.path.endswith("/messages") and faults else None
    )
    with pytest.raises(aiohttp.ClientError):
        await place.send("once", nonce="job-1")
    assert len(server.refused(429)) == 1
    await place.send("once", nonce="job-1")
    assert [m.content for m in server.messages(server.dm(ann))] == ["once"]


async def test_lost_permissions_refuse(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    place = bot.get_partial_messageable(channel.id)
    for permissions, code in ((VIEW, 50013), (0, 50001)):
        await server.permit(channel, permissions)
        with pytest.raises(discord.Forbidden) as refused:
            await place.send("hello?")
        assert refused.value.code == code
    assert server.messages(channel) == []


async def test_pings_are_those_allowed(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
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


async def test_watching_shows_what_happens_in_order(server: DiscordStandIn, bot: Bot) -> None:
    ann = server.person("Ann")
    channel = server.dm(ann)
    events = server.watch(channel)
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    message = await server.say(ann, channel, "one")
    await server.edit(ann, message, "two")
    await server.delete(message)
    kinds = [(await first).kind] + [(await anext(events)).kind for _ in range(2)]
    assert kinds == ["sent", "edited", "deleted"]
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_wait_that_fails_tells_what_was_said(server: DiscordStandIn) -> None:
    ann = server.person("Ann")
    await server.say(ann, server.dm(ann), "the last words")
    with pytest.raises(TimeoutError, match="the last words"):
        await server.wait(lambda: False, 0.05)


async def test_all_of_it_fits_the_descriptions(server: DiscordStandIn, bot: Bot) -> None:
    specs.required()

    def answered(asked: Interaction) -> bool:
        return [m.content for m in asked.responses] == ["answered why", "and more"]

    ann = server.person("Ann")
    channel = server.channel(server.guild("Home", ann), "general")
    thread = server.thread(channel, "aside")
    for place in (channel, thread, server.dm(ann)):
        said = await server.say(ann, place, f"{server.mention} hi")
        heard = await soon(bot.heard)
        sent = await heard.reply("panel", view=Panel())
        await soon(bot.heard)
        await sent.edit(content="panel two")
        asked = await server.slash(ann, place, "ask", prompt="why")
        await server.wait(partial(answered, asked))
        await soon(bot.heard), await soon(bot.heard)
        chose = await server.select(ann, server.messages(place)[1], "menu", ["red"])
        await server.wait(partial(getattr, chose, "responses"))
        await server.autocomplete(ann, place, "ask", "prompt", "x")
        await server.delete(said)
        _ = [m async for m in heard.channel.history()]
        with pytest.raises(discord.HTTPException):
            await heard.channel.send("x" * 2001)
        await heard.channel.send(file=discord.File(io.BytesIO(b"x"), "x.txt"))
        await soon(bot.heard)
    await server.permit(channel, VIEW)
    await server.force_reconnect()
    await soon(bot.resumed)
    found = complaints(server)
    assert not found, "\n".join(found[:20])
