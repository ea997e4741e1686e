"""A hundred people at once, on both platforms, under the platforms' rate limits."""

import asyncio
import time
from pathlib import Path

from bots.sandbox.model import RecordedRequest
from bots.sandbox.model.script import long_document
from tests.end_to_end.harness import bot_texts, letters_only, running_harness

QUESTIONS_PER_USER = 50
SPEED = 40  # tokens a second for each answer
LENGTH = 1000  # characters: some ten seconds of streaming


async def test_100_concurrent_users(tmp_path: Path) -> None:
    async with (
        running_harness(tmp_path, tokens_per_second=SPEED, limits=True) as all_of_it,
        all_of_it.run_process(),
    ):
        telegram, discord, model = all_of_it.telegram, all_of_it.discord, all_of_it.model
        expected = letters_only(long_document(LENGTH))
        people = [telegram.create_user(f"T{n}") for n in range(QUESTIONS_PER_USER)]
        others = [discord.create_user(f"D{n}") for n in range(QUESTIONS_PER_USER)]
        chats = [telegram.open_private_chat(person) for person in people]
        channels = [discord.open_dm(person) for person in others]

        async def on_telegram(n: int) -> None:
            await telegram.send_message(people[n], chats[n], f"long {LENGTH}")
            await telegram.wait_for(
                lambda: letters_only("\n".join(bot_texts(telegram.messages(chats[n])))) == expected,
                90,
            )

        async def on_discord(n: int) -> None:
            await discord.send_message(others[n], channels[n], f"long {LENGTH}")
            await discord.wait_for(
                lambda: letters_only("\n".join(bot_texts(discord.messages(channels[n])))) == expected,
                90,
            )

        async def impatient() -> float:
            await model.wait_for(lambda: len(model.requests) >= 2 * QUESTIONS_PER_USER, 60)
            person = telegram.create_user("impatient")
            chat = telegram.open_private_chat(person)
            await telegram.send_message(person, chat, "long 20000")
            await telegram.wait_for(lambda: telegram.live_drafts(chat), 30)

            def asked() -> list[RecordedRequest]:
                return [r for r in model.requests if "long 20000" in str(r.body["messages"][-1])]

            mine = (await model.wait_for(asked))[0]
            began = time.monotonic()
            await telegram.send_message(person, chat, "/stop")
            await model.wait_for(lambda: mine.disconnected_at, 10)
            return (mine.disconnected_at or 0) - began

        answers = [on_telegram(n) for n in range(QUESTIONS_PER_USER)] + [
            on_discord(n) for n in range(QUESTIONS_PER_USER)
        ]
        stopping = asyncio.create_task(impatient())
        await asyncio.gather(*answers)
        assert await stopping < 1
        assert telegram.calls_with_status(429) == []
        assert discord.calls_with_status(429) == []
        shown = {draft.chat_id: 0 for draft in telegram.draft_log}
        for draft in telegram.draft_log:
            shown[draft.chat_id] += bool(draft.text)
        assert sum(count >= 2 for count in shown.values()) >= QUESTIONS_PER_USER * 0.9
