"""Several answers at once in one group, for longer than the minute that Telegram counts in."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from bots.sandbox.model.script import long
from tests.end_to_end.world import letters, texts, world

PEOPLE = 3
SPEED = 12  # tokens a second
LENGTH = 1600  # characters: well over a minute


@pytest.mark.timeout(240)
async def test_a_busy_group_stays_below_the_limit_and_its_previews_go_on(tmp_path: Path) -> None:
    async with world(tmp_path, speed=SPEED, limits=True) as made, made.process():
        telegram = made.telegram
        people = [telegram.person(f"P{number}") for number in range(PEOPLE)]
        group = telegram.supergroup("Friends", *people)
        began = time.monotonic()
        for person in people:
            await telegram.say(person, group, f"@{telegram.bot.username} long {LENGTH}")
        expected = letters(long(LENGTH))

        def all_whole() -> bool:
            said = [letters(text) for text in texts(telegram.messages(group))]
            return said.count(expected) == PEOPLE

        async with asyncio.timeout(200):
            await telegram.wait(all_whole, 190)
        assert time.monotonic() - began > 62, "too short to see the second minute"
        assert telegram.refused(429) == []
        times = [c.time for c in telegram.calls if c.method in ("sendMessage", "editMessageText")]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(pauses) < 20
