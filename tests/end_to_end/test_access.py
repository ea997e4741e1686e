"""Strangers ask for access, and the operator lets them in, on the real libraries."""

from pathlib import Path

from core.store import grants
from core.store.database import Store
from core.texts.access import ACCESS_GRANTED, ACCESS_REQUESTED
from tests.end_to_end.harness import Harness, bot_texts, running_harness


async def make_operator(harness: Harness, *subjects: str) -> None:
    store = Store(harness.settings().core.database_url)
    await store.open()
    for subject in subjects:
        await store.write(grants.grant, subject, grants.Role.OPERATOR, "Olga")
    await store.close()


async def test_operator_lets_a_stranger_in_on_telegram(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        olga, eve = telegram.create_user("Olga"), telegram.create_user("Eve")
        operators_chat, chat = telegram.open_private_chat(olga), telegram.open_private_chat(eve)
        await make_operator(harness, f"telegram:person:{olga.id}")
        await harness.start(access="pairing")
        for text in ("hello", "hello?"):
            await telegram.send_message(eve, chat, text)
        await telegram.wait_for(lambda: bot_texts(telegram.messages(operators_chat)))
        (request,) = telegram.messages(operators_chat)
        assert request.text == f"Eve wants to use this bot: telegram:person:{eve.id}"
        assert [button["text"] for button in request.buttons] == ["Approve", "Decline"]
        await telegram.press_button(olga, request, request.buttons[0]["callback_data"])
        await telegram.wait_for(lambda: ACCESS_GRANTED in "".join(bot_texts(telegram.messages(chat))))
        assert bot_texts(telegram.messages(operators_chat)) == ["Approved: Eve can use this bot now."]
        await telegram.send_message(eve, chat, "repeat: thank you")
        await telegram.wait_for(lambda: "thank you" in bot_texts(telegram.messages(chat)))
        assert bot_texts(telegram.messages(chat))[0] == ACCESS_REQUESTED
        assert len(bot_texts(telegram.messages(chat))) == 3


async def test_operator_lets_a_stranger_in_on_discord(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        discord = harness.discord
        olga, eve = discord.create_user("Olga"), discord.create_user("Eve")
        channel = discord.create_channel(discord.create_guild("Home", olga, eve), "general")
        operators_chat = discord.open_dm(olga)
        await make_operator(harness, f"discord:person:{olga.id}")
        await harness.start(access="pairing")
        await discord.send_message(eve, channel, f"{discord.mention} hello")
        await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == [ACCESS_REQUESTED])
        await discord.wait_for(lambda: bot_texts(discord.messages(operators_chat)))
        (request,) = discord.messages(operators_chat)
        approve, refuse = (one for row in request.components for one in row["components"])
        assert (approve["label"], refuse["label"]) == ("Approve", "Decline")
        await discord.press_button(olga, request, approve["custom_id"])
        await discord.wait_for(lambda: ACCESS_GRANTED in "".join(bot_texts(discord.messages(channel))))
        await discord.send_message(eve, channel, f"{discord.mention} repeat: thank you")
        await discord.wait_for(lambda: "thank you" in bot_texts(discord.messages(channel)))
