"""What people read when a platform refuses an answer or a file: our words, never the platform's own."""

import re

import pytest
import structlog

from bots.sandbox import discord, telegram
from bots.sandbox.stand_in import ScriptedReply
from core.texts import answers as texts
from tests.end_to_end.harness import Harness
from tests.end_to_end.private_chat import PrivateChat

TELEGRAM_REFUSALS = (
    "Bad Request: BUTTON_URL_INVALID",
    "Bad Request: message text is empty",
    "Bad Request: can't parse entities: byte offset 7",
    "Bad Request: MEDIA_CAPTION_TOO_LONG",
)
DISCORD_REFUSALS = (200000, 50035, 50006, 0)
PLATFORM_WORDS = re.compile("Bad Request|AutoMod|malformed|rejected the request|status|file is too big|Entity")
CASES = [
    *(pytest.param("telegram", telegram.ScriptedReply.error(400, text), id=text) for text in TELEGRAM_REFUSALS),
    *(pytest.param("discord", discord.ScriptedReply.error(400, code), id=f"{code}") for code in DISCORD_REFUSALS),
]


@pytest.mark.parametrize(("platform", "refusal"), CASES)
async def test_refused_answer_is_explained_and_can_be_asked_again(
    harness: Harness, platform: str, refusal: ScriptedReply
) -> None:
    chat = PrivateChat(harness, platform)
    if platform == "telegram":
        harness.telegram.script.add("sendMessage", refusal, refusal)  # the second time without formatting
    else:
        harness.discord.script.add("POST /channels/[0-9]+/messages", refusal)
    with structlog.testing.capture_logs() as logs:
        notice = await chat.ask("repeat: hello", texts.ANSWER_REFUSED)
    assert not PLATFORM_WORDS.search(notice)
    (failure,) = [entry for entry in logs if entry["event"] == "turn.not_delivered"]
    assert f"[{failure['turn']}]" in notice.replace("\\", "")
    assert failure["error"]
    await chat.press(texts.RETRY_BUTTON)
    await chat.wait_for("hello")


@pytest.mark.parametrize("text", ["Bad Request: file is too big", "Bad Request: wrong file_id or the file is gone"])
async def test_refused_file_is_explained(harness: Harness, text: str) -> None:
    chat = PrivateChat(harness, "telegram")
    harness.telegram.script.add("getFile", telegram.ScriptedReply.error(400, text))
    with structlog.testing.capture_logs() as logs:
        await chat.send_file("lease.txt", b"the lease")
        notice = await chat.wait_for("I couldn't download lease.txt.")
    assert not PLATFORM_WORDS.search(notice)
    (failure,) = [entry for entry in logs if entry["event"] == "memory.file_not_fetched"]
    assert f"[{failure['turn']}]" in notice
    assert failure["error"]
