"""Several answers at once in one group, for longer than the minute that Telegram counts in."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from bots.sandbox.model.script import long_document
from tests.end_to_end.harness import bot_texts, letters_only, running_harness

PEOPLE = 3
SPEED = 12  # tokens a second
LENGTH = 1600  # characters: well over a minute


@pytest.mark.timeout(240)
async def test_busy_group_stays_below_limit(tmp_path: Path) -> None:
    async with (
        running_harness(tmp_path, tokens_per_second=SPEED, limits=True) as made,
        made.run_process(),
    ):
        telegram = made.telegram
        people = [telegram.create_user(f"P{number}") for number in range(PEOPLE)]
        group = telegram.create_supergroup("Friends", *people)
        began = time.monotonic()
        for person in people:
            await telegram.send_message(person, group, f"@{telegram.bot.username} long {LENGTH}")
        expected = letters_only(long_document(LENGTH))

        def all_whole() -> bool:
            said = [letters_only(text) for text in bot_texts(telegram.messages(group))]
            return said.count(expected) == PEOPLE

        async with asyncio.timeout(200):
            await telegram.wait_for(all_whole, 190)
        assert time.monotonic() - began > 62, "too short to see the second minute"
        assert telegram.calls_with_status(429) == []
        times = [c.time for c in telegram.calls if c.method in ("sendMessage", "editMessageText")]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(pauses) < 20
