"""Several concurrent answers in one group, for longer than the minute over which Telegram counts messages."""

import itertools
from pathlib import Path

from bots.sandbox.model.script import long_document
from tests.clock import fast_timings
from tests.end_to_end.harness import bot_texts, letters_only, running_harness

PEOPLE = 3
TOKENS_PER_SECOND = 12
ANSWER_CHARS = 1600  # streams for well over a minute
SPEED = 8
"""Of the clocks of the bot and the stand-ins."""


async def test_busy_group_stays_below_limit(tmp_path: Path) -> None:
    timings = fast_timings(SPEED)
    async with running_harness(tmp_path, tokens_per_second=TOKENS_PER_SECOND, limits=True, timings=timings) as harness:
        await harness.start()
        telegram = harness.telegram
        people = [telegram.create_user(f"P{number}") for number in range(PEOPLE)]
        group = telegram.create_supergroup("Friends", *people)
        started_at = timings.clock.monotonic()
        for person in people:
            await telegram.send_message(person, group, f"@{telegram.bot.username} long {ANSWER_CHARS}")
        expected = letters_only(long_document(ANSWER_CHARS))

        def all_complete() -> bool:
            answers = [letters_only(text) for text in bot_texts(telegram.messages(group))]
            return answers.count(expected) == PEOPLE

        await telegram.wait_for(all_complete, 60)
        assert timings.clock.monotonic() - started_at > 62, "the run must reach the second minute"
        assert telegram.calls_with_status(429) == []
        times = [c.time for c in telegram.calls if c.method in ("sendMessage", "editMessageText")]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(pauses) < 20
