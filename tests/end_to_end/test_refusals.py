"""Messages that are refused, end to end: answered once, and stored in no conversation."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.store.turns import Refusal
from core.texts import answers as texts
from tests.end_to_end.harness import Harness, bot_texts, running_harness

SLOW_ANSWER = f"repeat: {'word ' * 200}"
LIMITS = [
    pytest.param({"open_turns": 1}, texts.QUEUE_FULL, Refusal.QUEUE_FULL, id="queue full"),
    pytest.param({"messages_a_minute": 1}, texts.TOO_FAST, Refusal.RATE_LIMITED, id="too fast"),
]


def check_stored(folder: Path, refusal: Refusal) -> None:
    """One conversation, that of the question; the refused event is stored outside of it, and answered."""
    with closing(sqlite3.connect(folder / "parley.sqlite3")) as database:
        (asked, refused) = database.execute("SELECT conversation_id, refusal, state FROM turns ORDER BY id").fetchall()
        assert database.execute("SELECT id FROM conversations").fetchall() == [(asked[0],)]
        assert refused == (None, refusal, "done")


async def restart(harness: Harness, limits: dict[str, int]) -> None:
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE refusal IS NOT NULL AND state = 'done'")
    await harness.kill()
    harness.model.tokens_per_second = 2000
    await harness.start(**limits)


@pytest.mark.parametrize(("limits", "text", "refusal"), LIMITS)
async def test_refused_message_creates_no_conversation_on_telegram(
    tmp_path: Path, limits: dict[str, int], text: str, refusal: Refusal
) -> None:
    async with running_harness(tmp_path, tokens_per_second=10) as harness:
        await harness.start(**limits)
        telegram = harness.telegram
        ann = telegram.create_user("Ann")
        private, group = telegram.open_private_chat(ann), telegram.create_supergroup("Friends", ann)
        await telegram.send_message(ann, private, SLOW_ANSWER)
        await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'running'")
        await telegram.send_message(ann, group, f"@{telegram.bot.username} hello")
        await telegram.wait_for(lambda: [t.startswith(text) for t in bot_texts(telegram.messages(group))] == [True])
        await restart(harness, limits)
        await telegram.wait_for(lambda: bot_texts(telegram.messages(private)), 15)
        assert [t.startswith(text) for t in bot_texts(telegram.messages(group))] == [True]
        check_stored(tmp_path, refusal)


@pytest.mark.parametrize(("limits", "text", "refusal"), LIMITS)
async def test_refused_message_creates_no_conversation_on_discord(
    tmp_path: Path, limits: dict[str, int], text: str, refusal: Refusal
) -> None:
    async with running_harness(tmp_path, tokens_per_second=10) as harness:
        await harness.start(**limits)
        discord = harness.discord
        ann = discord.create_user("Ann")
        private = discord.open_dm(ann)
        channel = discord.create_channel(discord.create_guild("Home", ann), "general")
        await discord.send_message(ann, private, SLOW_ANSWER)
        await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'running'")
        await discord.send_message(ann, channel, f"{discord.mention} hello")
        await discord.wait_for(lambda: [t.startswith(text) for t in bot_texts(discord.messages(channel))] == [True])
        await restart(harness, limits)
        await harness.wait_until_stored("SELECT 1 FROM turns WHERE refusal IS NULL AND state = 'done'")
        assert [t.startswith(text) for t in bot_texts(discord.messages(channel))] == [True]
        check_stored(tmp_path, refusal)
