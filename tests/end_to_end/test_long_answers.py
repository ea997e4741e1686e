"""Answers that take too many messages, end to end: some messages, and all of the answer as a file."""

import asyncio

import pytest

from bots.sandbox.discord import Call as DiscordCall
from bots.sandbox.discord import Channel
from bots.sandbox.discord.state import ATTACH_FILES
from bots.sandbox.model.faults import respond_with
from bots.sandbox.model.script import long_document
from bots.sandbox.stand_in import Fault, FaultKind
from bots.sandbox.telegram import Chat
from core.texts import answers as texts
from tests.core.api.raw_server import DONE, chunk, final_chunk
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, ChatWithButtons
from tests.end_to_end.harness import Harness, bot_texts, letters_only
from tests.end_to_end.test_failures import fail_first, press_send_again

MESSAGES = 4
"""The default of PARLEY_ANSWER_MESSAGES."""
LONG = long_document(30_000)
LONGEST = "**bold** and `code` " * 20_000


@pytest.fixture
def harness(harness: Harness) -> Harness:
    harness.model.tokens_per_second = 20_000
    harness.telegram.has_rich_messages = False  # they have room for eight times as much
    return harness


def telegram_files(harness: Harness, chat: Chat) -> list[str]:
    telegram = harness.telegram
    return [telegram.document_content(m).decode() for m in telegram.messages(chat) if m.from_bot and m.file_name]


def discord_files(harness: Harness, channel: Channel) -> list[str]:
    messages = [message for message in harness.discord.messages(channel) if message.from_bot]
    return [content.decode() for message in messages for content in harness.discord.file_contents(message)]


def assert_begins_with(text: str, messages: list[str]) -> None:
    """`messages` are the first ones of the answer `text`."""
    shown = letters_only("\n".join(messages))
    assert len(shown) > 1000 * len(messages)
    assert letters_only(text).startswith(shown)


@pytest.mark.parametrize(
    ("command", "has_rich_messages"), [("long 30000", False), ("long 200000", False), ("long 200000", True)]
)
async def test_long_answer_on_telegram_ends_with_a_file(
    harness: Harness, command: str, has_rich_messages: bool
) -> None:
    telegram = harness.telegram
    telegram.has_rich_messages = has_rich_messages
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, command)
    await telegram.wait_for(lambda: telegram_files(harness, chat), 60)
    [content] = telegram_files(harness, chat)
    assert long_document(int(command.split()[1])) == content
    *shown, caption = bot_texts(telegram.messages(chat))
    assert caption == texts.LONG_ANSWER
    # A rich message has the room of eight others.
    assert len(shown) == (1 if has_rich_messages else MESSAGES)
    assert_begins_with(content, shown)
    await telegram.send_message(ann, chat, "repeat: next")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1] == "next")
    assert not telegram.live_drafts(chat)


async def test_long_answer_in_a_telegram_group_replies_to_the_question(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    question = await telegram.send_message(ann, group, f"@{telegram.bot.username} long 30000")
    await telegram.wait_for(lambda: telegram_files(harness, group), 60)
    assert telegram_files(harness, group) == [LONG]
    assert len(bot_texts(telegram.messages(group))) == MESSAGES + 1
    assert telegram.messages(group)[-1].reply_to_id == question.id


async def test_telegram_group_without_documents_gets_messages(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    group.allows_documents = False
    await telegram.send_message(ann, group, f"@{telegram.bot.username} long 30000")
    await telegram.wait_for(
        lambda: letters_only("\n".join(bot_texts(telegram.messages(group)))) == letters_only(LONG), 60
    )
    assert telegram_files(harness, group) == []


async def test_long_answer_on_discord_has_a_file_next_to_its_beginning(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    await discord.send_message(ann, channel, f"{discord.mention} long 200000")
    await discord.wait_for(lambda: discord_files(harness, channel), 60)
    [content] = discord_files(harness, channel)
    assert content == long_document(200_000)
    await harness.wait_until_stored(NO_OPEN_TURN)
    *shown, note = bot_texts(discord.messages(channel))
    assert note == f"*{texts.LONG_ANSWER_ABOVE}*"
    assert len(shown) == MESSAGES
    assert_begins_with(content, shown)
    _question, first, *_, last = discord.messages(channel)
    assert [attachment["filename"] for attachment in first.attachments] == ["answer.md"]
    assert "Retry" in str(last.components)
    assert not any("Stop" in str(message.components) for message in discord.messages(channel))


async def test_shorter_answer_takes_the_place_of_a_long_one_on_discord(harness: Harness) -> None:
    answers = iter([LONG, "short", LONG])
    harness.model.answer = lambda _body: next(answers)
    chat = ChatWithButtons(harness, "discord")
    await chat.write("hello")
    await chat.server.wait_for(lambda: "Retry" in chat.buttons(), 60)
    await harness.wait_until_stored(NO_OPEN_TURN)
    first = next(message for message in chat.server.messages(chat.chat) if message.from_bot)
    await chat.press("Retry")
    await chat.wait_for("short")
    assert [message.id for message in chat.server.messages(chat.chat) if message.from_bot] == [first.id]
    assert discord_files(harness, chat.chat) == []
    await chat.press("▶")
    await chat.server.wait_for(lambda: discord_files(harness, chat.chat) == [LONG], 60)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert first.attachments
    assert len(chat.answers) == MESSAGES + 1


@pytest.mark.parametrize("is_user_installed", [False, True])
async def test_long_answer_to_a_discord_command_ends_with_a_file(harness: Harness, is_user_installed: bool) -> None:
    """A user-installed application answers through the interaction, which allows five more messages."""
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann, has_bot=not is_user_installed), "general")
    await discord.use_command(ann, channel, "ask", prompt="long 30000", is_user_installed=is_user_installed)
    await discord.wait_for(lambda: discord_files(harness, channel), 60)
    assert discord_files(harness, channel) == [LONG]


@pytest.mark.parametrize("has_files", [False, True])
async def test_answer_with_more_messages_than_discord_allows_says_so(harness: Harness, has_files: bool) -> None:
    """A user-installed application has six messages: the response and five others."""
    await harness.stop()
    await harness.start(answer_messages=50)
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann, has_bot=False), "general")
    if not has_files:
        await discord.set_bot_permissions(channel, channel.bot_permissions & ~ATTACH_FILES)
    await discord.use_command(ann, channel, "ask", prompt="long 30000", is_user_installed=True)
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'done'")
    assert "Retry" in str(discord.messages(channel)[-1].components)
    *shown, note = bot_texts(discord.messages(channel))
    assert len(shown) == 5
    assert_begins_with(LONG, shown)
    assert note == f"*{texts.LONG_ANSWER_ABOVE if has_files else texts.NO_MORE_MESSAGES}*"
    assert discord_files(harness, channel) == [LONG] * has_files
    assert len(harness.model.requests) == 1


async def test_discord_channel_without_attachments_gets_messages(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    await discord.set_bot_permissions(channel, channel.bot_permissions & ~ATTACH_FILES)
    await discord.send_message(ann, channel, f"{discord.mention} long 30000")
    await discord.wait_for(
        lambda: letters_only("\n".join(bot_texts(discord.messages(channel)))) == letters_only(LONG), 60
    )
    assert discord_files(harness, channel) == []
    assert bot_texts(discord.messages(discord.open_dm(ann))) == []


async def test_longest_chunk_stays_at_the_limit_on_both_platforms(harness: Harness) -> None:
    telegram, discord = harness.telegram, harness.discord
    body = chunk(content=LONGEST) + final_chunk() + DONE
    harness.model.fault_hook = lambda _body: respond_with(200, body, content_type="text/event-stream")
    ann, eve = telegram.create_user("Ann"), discord.create_user("Eve")
    group, channel = telegram.create_supergroup("Friends", ann), discord.open_dm(eve)
    await telegram.send_message(ann, group, f"@{telegram.bot.username} hello")
    await discord.send_message(eve, channel, "hello")
    await telegram.wait_for(lambda: telegram_files(harness, group), 60)
    await discord.wait_for(lambda: discord_files(harness, channel), 60)
    is_whole = (telegram_files(harness, group), discord_files(harness, channel)) == ([LONGEST], [LONGEST])
    assert is_whole
    created = [message for message in group.messages if message.from_bot]
    assert len(created) <= MESSAGES + 2, "also those that were deleted: the line that stood for the rest"
    assert len(bot_texts(telegram.messages(group))) == MESSAGES + 1
    assert len(bot_texts(discord.messages(channel))) == MESSAGES + 1


async def test_killed_upload_is_uncertain_on_telegram(harness: Harness) -> None:
    """The process dies between the record and the reply."""
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    telegram.fault_hook, met = fail_first("sendDocument", Fault(FaultKind.DELAY, 0.5))
    await telegram.send_message(ann, chat, "long 30000")
    async with asyncio.timeout(30):
        await met.wait()
    await harness.kill()
    await telegram.wait_for(lambda: telegram_files(harness, chat))
    await harness.start()
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1] == texts.DELIVERY_UNCERTAIN, 20)
    assert telegram_files(harness, chat) == [LONG]
    assert len(bot_texts(telegram.messages(chat))) == MESSAGES + 2
    await press_send_again(harness, ann, chat)
    await telegram.wait_for(lambda: telegram_files(harness, chat) == [LONG, LONG], 30)
    assert len(bot_texts(telegram.messages(chat))) == 2 * (MESSAGES + 1) + 1
    assert len(harness.model.requests) == 1


async def test_killed_upload_appears_once_on_discord(harness: Harness) -> None:
    discord = harness.discord
    met = asyncio.Event()

    def delay_upload(call: DiscordCall) -> Fault | None:
        if met.is_set() or not (isinstance(call.body, dict) and call.body.get("attachments")):
            return None
        met.set()
        return Fault(FaultKind.DELAY, 0.5)

    discord.fault_hook = delay_upload
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_message(ann, channel, "long 30000")
    async with asyncio.timeout(30):
        await met.wait()
    await harness.kill()
    await harness.start()
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'done'")
    assert discord_files(harness, channel) == [LONG]
    assert len(bot_texts(discord.messages(channel))) == MESSAGES + 1
    assert len(harness.model.requests) == 1
