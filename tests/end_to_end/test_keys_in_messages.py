"""An API key that somebody sends as a message is treated as `/key`: no model and no database sees it."""

import re
from pathlib import Path

import pytest

from core.texts import commands
from tests.end_to_end.chat_with_buttons import PLATFORMS, ChatWithButtons
from tests.end_to_end.harness import Harness, bot_texts, running_harness

SERVICE_KEY = "io-v2-" + "eyJhbGciOiJSUzI1NiJ9." * 3 + "c2ln"
OTHER_KEY = "sk-" + "0123456789abcdef" * 2


def stored_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("parley.sqlite3*"))


async def assert_key_is_used_and_hidden(harness: Harness, folder: Path, key: str) -> None:
    await harness.stop()
    assert key.encode() not in stored_bytes(folder)
    assert all(key not in str(request.body) for request in harness.model.requests)


@pytest.mark.parametrize("text", ["/key {}", "/KEY\n{}", "{}", "My key: {}, please use it."])
async def test_key_in_discord_message_is_stored_encrypted(tmp_path: Path, text: str) -> None:
    async with running_harness(tmp_path) as harness:
        discord = harness.discord
        harness.model.add_account(SERVICE_KEY)
        await harness.start(secret_key="a passphrase")
        ann = discord.create_user("Ann")
        dm = discord.open_dm(ann)
        await discord.send_message(ann, dm, text.format(SERVICE_KEY))
        await discord.wait_for(lambda: "use your own key from now on" in "".join(bot_texts(discord.messages(dm))))
        assert "Delete your message" in "".join(bot_texts(discord.messages(dm))), "a bot cannot, in a DM"
        await discord.send_message(ann, dm, "repeat: mine")
        await discord.wait_for(lambda: bot_texts(discord.messages(dm))[-1] == "mine")
        assert harness.model.requests[-1].api_key == SERVICE_KEY
        await assert_key_is_used_and_hidden(harness, tmp_path, SERVICE_KEY)


async def test_key_in_telegram_message_is_deleted(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        await harness.start(secret_key="a passphrase")
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        await telegram.send_message(ann, chat, OTHER_KEY)
        await telegram.wait_for(lambda: "rejected this key" in "".join(bot_texts(telegram.messages(chat))))
        assert OTHER_KEY not in telegram.transcript(chat)
        assert "Delete your message" not in "".join(bot_texts(telegram.messages(chat)))
        await assert_key_is_used_and_hidden(harness, tmp_path, OTHER_KEY)


async def test_code_with_a_foreign_key_is_a_question(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        telegram = harness.telegram
        await harness.start(secret_key="a passphrase")
        ann = telegram.create_user("Ann")
        chat = telegram.open_private_chat(ann)
        await telegram.send_message(ann, chat, f"repeat: client = OpenAI(api_key='{OTHER_KEY}')")
        await telegram.wait_for(lambda: "client = OpenAI" in "".join(bot_texts(telegram.messages(chat))))


@PLATFORMS
@pytest.mark.parametrize("secret_key", ["a passphrase", None], ids=["accepted", "refused"])
async def test_key_in_a_group_is_warned_of(tmp_path: Path, platform: str, secret_key: str | None) -> None:
    async with running_harness(tmp_path) as harness:
        harness.model.add_account(SERVICE_KEY)
        await harness.start(secret_key=secret_key)
        chat = ChatWithButtons(harness, platform, others=["Bob"])
        reason = commands.KEY_IN_GROUP if secret_key else commands.KEYS_DISABLED
        warnings = (reason, commands.KEY_EXPOSED, commands.KEY_MESSAGE_REMAINS)
        await chat.ask(f"My key: {SERVICE_KEY}", re.escape(" ".join(warnings)))
        await chat.ask("repeat: mine", "mine")
        assert harness.model.requests[-1].api_key == harness.model.api_key
        await assert_key_is_used_and_hidden(harness, tmp_path, SERVICE_KEY)
