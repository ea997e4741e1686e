"""A hundred concurrent people on both platforms, under the platforms' rate limits."""

import asyncio
from pathlib import Path

from bots.sandbox.model import RecordedRequest
from bots.sandbox.model.script import long_document
from tests.end_to_end.harness import bot_texts, letters_only, running_harness

USERS_PER_PLATFORM = 50
TOKENS_PER_SECOND = 40
ANSWER_CHARS = 1000  # streams for about ten seconds


async def test_100_concurrent_users(tmp_path: Path) -> None:
    async with (
        running_harness(tmp_path, tokens_per_second=TOKENS_PER_SECOND, limits=True) as harness,
        harness.run_process(),
    ):
        telegram, discord, model = harness.telegram, harness.discord, harness.model
        expected = letters_only(long_document(ANSWER_CHARS))
        people = [telegram.create_user(f"T{n}") for n in range(USERS_PER_PLATFORM)]
        others = [discord.create_user(f"D{n}") for n in range(USERS_PER_PLATFORM)]
        chats = [telegram.open_private_chat(person) for person in people]
        channels = [discord.open_dm(person) for person in others]

        async def on_telegram(n: int) -> None:
            await telegram.send_message(people[n], chats[n], f"long {ANSWER_CHARS}")
            await telegram.wait_for(
                lambda: letters_only("\n".join(bot_texts(telegram.messages(chats[n])))) == expected,
                90,
            )

        async def on_discord(n: int) -> None:
            await discord.send_message(others[n], channels[n], f"long {ANSWER_CHARS}")
            await discord.wait_for(
                lambda: letters_only("\n".join(bot_texts(discord.messages(channels[n])))) == expected,
                90,
            )

        async def stop_one() -> None:
            await model.wait_for(lambda: len(model.requests) >= 2 * USERS_PER_PLATFORM, 60)
            person = telegram.create_user("Stopper")
            chat = telegram.open_private_chat(person)
            await telegram.send_message(person, chat, "long 20000")
            await telegram.wait_for(lambda: telegram.live_drafts(chat), 30)

            def matching_requests() -> list[RecordedRequest]:
                return [r for r in model.requests if "long 20000" in str(r.body["messages"][-1])]

            request = (await model.wait_for(matching_requests))[0]
            await telegram.send_message(person, chat, "/stop")
            await model.wait_for(lambda: request.disconnected_at, 10)
            assert not request.is_completed

        answers = [on_telegram(n) for n in range(USERS_PER_PLATFORM)] + [
            on_discord(n) for n in range(USERS_PER_PLATFORM)
        ]
        await asyncio.gather(stop_one(), *answers)
        assert telegram.calls_with_status(429) == []
        assert discord.calls_with_status(429) == []
        previews = {draft.chat_id: 0 for draft in telegram.draft_log}
        for draft in telegram.draft_log:
            previews[draft.chat_id] += bool(draft.text)
        assert sum(count >= 2 for count in previews.values()) >= USERS_PER_PLATFORM * 0.9
