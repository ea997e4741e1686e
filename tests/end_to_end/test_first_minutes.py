"""The first minutes on both platforms: /start with examples, and the greeting where the bot is added."""

import pytest
import structlog

from tests.end_to_end.harness import Harness, bot_texts
from tests.waiting import wait_until


async def test_examples_of_start_are_buttons_that_ask_on_telegram(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/start")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat)))
    greeting = next(message for message in telegram.messages(chat) if message.from_bot)
    rows = (greeting.reply_markup or {})["inline_keyboard"]
    assert [len(row) for row in rows] == [1, 1, 1], "a phone would cut longer labels"
    await telegram.press_button(ann, greeting, rows[0][0]["callback_data"])
    await telegram.wait_for(lambda: len(bot_texts(telegram.messages(chat))) > 1)
    assert harness.model.requests[-1].body["messages"][-1]["content"] == "Explain black holes to a child"


@pytest.mark.parametrize("privacy_mode", [True, False])
async def test_group_that_adds_the_bot_is_greeted_on_telegram(harness: Harness, privacy_mode: bool) -> None:
    telegram = harness.telegram
    await harness.stop()
    telegram.privacy_mode = privacy_mode
    await harness.start()
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Home", ann)
    await telegram.add_bot(ann, group)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(group)))
    (greeting,) = bot_texts(telegram.messages(group))
    assert ("privacy mode" in greeting) is privacy_mode
    assert ("mention me or reply" in greeting) is not privacy_mode
    await telegram.promote_bot(ann, group)
    await telegram.send_message(ann, group, f"/ask@{telegram.bot.username} repeat: hello")
    await telegram.wait_for(lambda: "hello" in bot_texts(telegram.messages(group)))
    assert len(bot_texts(telegram.messages(group))) == 2


async def test_group_that_makes_the_bot_an_administrator_reads_that_it_receives_mentions(harness: Harness) -> None:
    telegram = harness.telegram
    assert telegram.privacy_mode
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Home", ann)
    await telegram.add_bot(ann, group)

    async def next_text(command: str = "") -> str:
        count = len(bot_texts(telegram.messages(group)))
        if command:
            await telegram.send_message(ann, group, f"{command}@{telegram.bot.username}")
        await telegram.wait_for(lambda: len(bot_texts(telegram.messages(group))) > count)
        return bot_texts(telegram.messages(group))[-1]

    assert "privacy mode" in await next_text()
    await telegram.promote_bot(ann, group)
    for command in ("/help", "/start"):
        assert "Use /ask, reply to me or mention me" in await next_text(command)
    await telegram.demote_bot(ann, group)
    assert "privacy mode" in await next_text("/help")


async def restart(harness: Harness) -> None:
    """Until then, discord.py does not tell a server that added the bot from one that it was on before."""
    await harness.stop()
    with structlog.testing.capture_logs() as logs:
        await harness.start()
        await wait_until(lambda: "discord.ready" in [entry["event"] for entry in logs])


async def test_server_that_adds_the_bot_is_greeted_on_discord(harness: Harness) -> None:
    discord = harness.discord
    await restart(harness)
    ann = discord.create_user("Ann")
    guild = discord.create_guild("Home", ann, has_bot=False)
    closed, general = discord.create_channel(guild, "closed"), discord.create_channel(guild, "general")
    closed.bot_permissions = 0
    await discord.add_bot(guild)
    await discord.wait_for(lambda: bot_texts(discord.messages(general)))
    (greeting,) = bot_texts(discord.messages(general))
    assert "mention me or reply" in greeting
    await discord.send_message(ann, general, f"{discord.mention} repeat: hello")
    await discord.wait_for(lambda: "hello" in bot_texts(discord.messages(general)))
    assert bot_texts(discord.messages(closed)) == []


async def test_greeting_is_not_repeated_after_a_restart(harness: Harness) -> None:
    discord = harness.discord
    await restart(harness)
    ann = discord.create_user("Ann")
    guild = discord.create_guild("Home", ann, has_bot=False)
    general = discord.create_channel(guild, "general")
    await discord.add_bot(guild)
    await discord.wait_for(lambda: bot_texts(discord.messages(general)))
    await restart(harness)
    await discord.send_message(ann, general, f"{discord.mention} repeat: hello")
    await discord.wait_for(lambda: "hello" in bot_texts(discord.messages(general)))
    assert len(bot_texts(discord.messages(general))) == 2
