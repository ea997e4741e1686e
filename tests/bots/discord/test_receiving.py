"""What people write reaches the inbox, and nothing else does."""

import asyncio
from typing import Any

import pytest

from core.port import Attachment, EventKind, Incoming
from tests.bots.discord.conftest import AdapterHarness
from tests.bots.discord.scripted_discord import BOT, CHANNEL, DM, GUILD, PERSON, ROLE, THREAD, user

MENTIONS_BOT: dict[str, Any] = {"mentions": [user(BOT, "parley", bot=True)]}


async def test_mention_is_stripped_from_prompt(world: AdapterHarness) -> None:
    await world.start()
    message = await world.discord.say(f"<@{BOT}> what is a monad?", **MENTIONS_BOT)
    heard = await world.inbox.next()
    assert (heard.kind, heard.text) == (EventKind.PROMPT, "what is a monad?")
    assert (heard.key, heard.message_id) == (f"m{message}", message)
    assert (heard.place.chat, heard.place.server, heard.place.thread) == (CHANNEL, GUILD, None)
    assert not heard.place.is_private
    assert (heard.sender.user, heard.sender.name, heard.sender.is_manager) == (PERSON, "Ada", False)


async def test_mentions_become_names_and_bot_role_counts(world: AdapterHarness) -> None:
    await world.start()
    bob = user("100000000000000099", "bob")
    await world.discord.say(f"<@&{ROLE}> greet <@{bob['id']}>", mentions=[bob], mention_roles=[ROLE])
    assert (await world.inbox.next()).text == "greet @Bob"


async def test_direct_message_is_prompt(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.say("hello", channel=DM)
    heard = await world.inbox.next()
    assert (heard.text, heard.place.chat, heard.place.is_private) == ("hello", DM, True)
    assert heard.place.server is None


async def test_thread_is_own_place(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.say(f"<@{BOT}> hi", channel=THREAD, **MENTIONS_BOT)
    place = (await world.inbox.next()).place
    assert (place.chat, place.thread) == (CHANNEL, THREAD)


async def test_reply_to_bot_is_prompt(world: AdapterHarness) -> None:
    await world.start()
    mine: dict[str, Any] = {
        "id": "150000000000000000",
        "channel_id": CHANNEL,
        "author": user(BOT, "parley", bot=True),
        "content": "an answer",
        "type": 0,
        "timestamp": "2024-01-01T00:00:00Z",
        "attachments": [],
        "embeds": [],
        "mentions": [],
        "mention_roles": [],
        "edited_timestamp": None,
        "pinned": False,
        "tts": False,
        "mention_everyone": False,
    }
    reference = {"message_id": mine["id"], "channel_id": CHANNEL, "guild_id": GUILD, "type": 0}
    await world.discord.say("go on", type=19, message_reference=reference, referenced_message=mine)
    heard = await world.inbox.next()
    assert (heard.text, heard.reply_to) == ("go on", mine["id"])


@pytest.mark.parametrize(
    "not_for_us",
    [
        pytest.param({"content": "just talking"}, id="unaddressed"),
        pytest.param({"content": "x", "author": user(bot=True), **MENTIONS_BOT}, id="another bot"),
        pytest.param({"content": "x", "webhook_id": "7", **MENTIONS_BOT}, id="webhook"),
        pytest.param({"content": "x", "type": 6, **MENTIONS_BOT}, id="system message"),
        pytest.param({"content": "@everyone", "mention_everyone": True}, id="everyone"),
    ],
)
async def test_unrelated_messages_are_ignored(world: AdapterHarness, not_for_us: Any) -> None:
    await world.start()
    await world.discord.say(**not_for_us)
    await world.discord.say("the next one", channel=DM)
    assert (await world.inbox.next()).text == "the next one"


async def test_attachments_and_stickers_are_named(world: AdapterHarness) -> None:
    await world.start()
    file = {
        "id": "1",
        "filename": "a.png",
        "size": 99,
        "url": "x",
        "proxy_url": "x",
        "content_type": "image/png",
    }
    sticker = {"id": "2", "name": "wave", "format_type": 1}
    await world.discord.say("", channel=DM, attachments=[file], sticker_items=[sticker])
    assert (await world.inbox.next()).attachments == (
        Attachment("photo", "a.png", 99, "x"),
        Attachment("sticker", "wave"),
    )


async def test_sender_is_manager(world: AdapterHarness) -> None:
    await world.start()
    boss = user("1", "boss")
    await world.discord.say(f"<@{BOT}> x", author=boss, **MENTIONS_BOT)
    assert (await world.inbox.next()).sender.is_manager


async def test_unstored_message_is_reported(world: AdapterHarness) -> None:
    await world.start()
    world.inbox.is_failing = True
    message = await world.discord.say("hello", channel=DM)
    [told] = await world.discord.wait_until(lambda: world.discord.requests_to("POST", f"/channels/{DM}/messages"))
    assert "could not save" in told.body["content"]
    assert told.body["message_reference"]["message_id"] == message


async def test_channel_messages_are_stored_in_order(world: AdapterHarness) -> None:
    began: list[str] = []
    hold = asyncio.Event()
    keep = world.inbox

    async def uneven(incoming: Incoming) -> None:
        began.append(incoming.text)
        if incoming.text == "1":
            await hold.wait()
        await keep(incoming)

    world.inbox = uneven  # type: ignore[assignment]
    await world.start()
    for text in ("1", "2", "3"):
        await world.discord.say(text, channel=DM)
    await world.discord.say(f"<@{BOT}> elsewhere", **MENTIONS_BOT)
    assert (await keep.next()).text == "elsewhere"
    assert began == ["1", "elsewhere"]
    hold.set()
    assert [(await keep.next()).text for _ in range(3)] == ["1", "2", "3"]
