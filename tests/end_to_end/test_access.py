"""Strangers ask for access, and the operator lets them in, on the real libraries."""

from pathlib import Path

import pytest

from bots.sandbox.telegram import Message
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


async def approve_stranger(harness: Harness, text: str, *, in_group: bool) -> Message:
    """The message to a stranger who has written `text` on Telegram and whom the operator has let in."""
    telegram = harness.telegram
    olga, eve = telegram.create_user("Olga"), telegram.create_user("Eve")
    operators_chat = telegram.open_private_chat(olga)
    chat = telegram.create_supergroup("Home", olga, eve) if in_group else telegram.open_private_chat(eve)
    await make_operator(harness, f"telegram:person:{olga.id}")
    await harness.start(access="pairing")
    await telegram.send_message(eve, chat, text)
    await telegram.wait_for(lambda: bot_texts(telegram.messages(operators_chat)))
    (request,) = telegram.messages(operators_chat)
    await telegram.press_button(olga, request, request.buttons[0]["callback_data"])
    await telegram.wait_for(lambda: ACCESS_GRANTED in "".join(bot_texts(telegram.messages(chat))))
    return next(message for message in telegram.messages(chat) if ACCESS_GRANTED in message.text)


@pytest.mark.parametrize(
    ("text", "buttons"),
    [
        ("hello", ["Explain black holes to a child", "Plan a weekend in Lisbon", "Write a polite reminder"]),
        ("/start model_phi-4", ["phi-4"]),
    ],
)
async def test_approved_stranger_is_greeted_as_by_start(tmp_path: Path, text: str, buttons: list[str]) -> None:
    async with running_harness(tmp_path) as harness:
        welcome = await approve_stranger(harness, text, in_group=False)
        assert [button["text"] for button in welcome.buttons] == buttons
        assert ("The link that brought you here" in welcome.text) is text.startswith("/start")


async def test_approved_stranger_reads_what_arrives_in_the_group(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        assert harness.telegram.privacy_mode
        text = f"/ask@{harness.telegram.bot.username} hello"
        welcome = await approve_stranger(harness, text, in_group=True)
        assert "Use /ask or reply to me, and" in welcome.text
        assert "mention" not in welcome.text


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
