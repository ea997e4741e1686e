"""What people do in the page's Telegram client reaches the bot, or is refused with a reason."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from telegram import Bot, InlineQueryResultArticle, InputTextMessageContent

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.protocol import TelegramChooseResult, TelegramReact, TelegramSend, TelegramTypeInline
from bots.sandbox.web.server import Upload, Uploads
from bots.sandbox.web.telegram_actions import TelegramActions
from bots.sandbox.web.telegram_feed import TelegramFeed
from bots.sandbox.web.world import World
from core.clock import SystemClock


class Sandbox:
    def __init__(self) -> None:
        world = World(TelegramStandIn(), DiscordStandIn())
        self.server = world.telegram
        self.log = EventLog(SystemClock())
        self.uploads = Uploads()
        feed = TelegramFeed(world, self.log)
        self.actions = TelegramActions(self.server, feed, self.log, self.uploads)
        self.ann = world.telegram_people[0]
        self.chat = self.server.open_private_chat(self.ann)

    @property
    def last_message(self) -> Json:
        """As the page gets it."""
        return next(event for event in reversed(self.log.replay()) if event["type"] == "telegram.message")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox()
    await sandbox.server.start()
    yield sandbox
    await sandbox.server.close()


async def test_quote_names_its_place_in_the_message(sandbox: Sandbox) -> None:
    original = sandbox.server.add_message(sandbox.chat, sandbox.server.bot, "😀 one two")
    await sandbox.actions.perform(
        TelegramSend(id=1, person=sandbox.ann.id, chat=sandbox.chat.id, text="Why?", reply_to=original.id, quote="two")
    )
    assert sandbox.last_message["message"]["quote"] == {"text": "two", "position": 7, "is_manual": True}


async def test_quote_that_is_not_in_the_message_is_refused(sandbox: Sandbox) -> None:
    original = sandbox.server.add_message(sandbox.chat, sandbox.server.bot, "one two")
    action = TelegramSend(
        id=1, person=sandbox.ann.id, chat=sandbox.chat.id, text="Why?", reply_to=original.id, quote="three"
    )
    with pytest.raises(ValueError, match="no longer"):
        await sandbox.actions.perform(action)


async def test_chosen_offer_of_the_bot_is_sent(sandbox: Sandbox) -> None:
    result = InlineQueryResultArticle("1", "Ask", InputTextMessageContent("Why?"))
    typing = TelegramTypeInline(id=1, person=sandbox.ann.id, chat=sandbox.chat.id, text="why")
    offers = asyncio.create_task(sandbox.actions.perform(typing))
    async with Bot(sandbox.server.token, f"{sandbox.server.api_base}/bot") as bot:
        update = (await bot.get_updates(timeout=5))[-1]
        assert update.inline_query is not None
        query = update.inline_query.id
        await bot.answer_inline_query(query, [result])
    assert [offer["title"] for offer in (await offers)["results"]] == ["Ask"]
    await sandbox.actions.perform(TelegramChooseResult(id=2, chat=sandbox.chat.id, query=query, result="1"))
    assert sandbox.last_message["message"]["text"] == "Why?"
    with pytest.raises(ValueError, match="no longer offers"):
        await sandbox.actions.perform(TelegramChooseResult(id=3, chat=sandbox.chat.id, query=query, result="2"))


async def test_pictures_are_photos_and_other_files_are_documents(sandbox: Sandbox) -> None:
    for name, field in (("cat.png", "photo"), ("talk.ogg", "voice"), ("notes.txt", "document")):
        upload = sandbox.uploads.add(Upload(name, b"content", "application/octet-stream"))
        await sandbox.actions.perform(
            TelegramSend(id=1, person=sandbox.ann.id, chat=sandbox.chat.id, text="Look", upload=upload)
        )
        message = sandbox.last_message["message"]
        assert field in message
        assert message["caption"] == "Look"


async def test_reactions_of_people_and_of_the_bot_are_shown_together(sandbox: Sandbox) -> None:
    message = sandbox.server.add_message(sandbox.chat, sandbox.ann, "Hello")
    message.reactions = ["👀"]
    for emoji in ("👍", "🔥"):
        await sandbox.actions.perform(
            TelegramReact(id=1, person=sandbox.ann.id, chat=sandbox.chat.id, message=message.id, emoji=emoji)
        )
    assert sandbox.last_message["reactions"] == {"👀": [sandbox.server.bot.id], "🔥": [sandbox.ann.id]}
