"""A hundred people at once, on both platforms, under the platforms' rate limits."""

import asyncio
import time
from pathlib import Path

from bots.sandbox.model import Recorded
from bots.sandbox.model.script import long
from tests.end_to_end.world import letters, texts, world

EACH = 50
SPEED = 40  # tokens a second for each answer
LENGTH = 1000  # characters: some ten seconds of streaming


async def test_a_hundred_people_chat_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, speed=SPEED, limits=True) as all_of_it, all_of_it.process():
        telegram, discord, model = all_of_it.telegram, all_of_it.discord, all_of_it.model
        expected = letters(long(LENGTH))
        people = [telegram.person(f"T{n}") for n in range(EACH)]
        others = [discord.person(f"D{n}") for n in range(EACH)]
        chats = [telegram.private(person) for person in people]
        channels = [discord.dm(person) for person in others]

        async def on_telegram(n: int) -> None:
            await telegram.say(people[n], chats[n], f"long {LENGTH}")
            await telegram.wait(
                lambda: letters("\n".join(texts(telegram.messages(chats[n])))) == expected, 90
            )

        async def on_discord(n: int) -> None:
            await discord.say(others[n], channels[n], f"long {LENGTH}")
            await discord.wait(
                lambda: letters("\n".join(texts(discord.messages(channels[n])))) == expected, 90
            )

        async def impatient() -> float:
            await model.wait(lambda: len(model.requests) >= 2 * EACH, 60)
            person = telegram.person("impatient")
            chat = telegram.private(person)
            await telegram.say(person, chat, "long 20000")
            await telegram.wait(lambda: telegram.live_drafts(chat), 30)

            def asked() -> list[Recorded]:
                return [r for r in model.requests if "long 20000" in str(r.body["messages"][-1])]

            mine = (await model.wait(asked))[0]
            began = time.monotonic()
            await telegram.say(person, chat, "/stop")
            await model.wait(lambda: mine.disconnected_at, 10)
            return (mine.disconnected_at or 0) - began

        answers = [on_telegram(n) for n in range(EACH)] + [on_discord(n) for n in range(EACH)]
        stopping = asyncio.create_task(impatient())
        await asyncio.gather(*answers)
        assert await stopping < 1
        assert telegram.refused(429) == []
        assert discord.refused(429) == []
        shown = {draft.chat: 0 for draft in telegram.drafts}
        for draft in telegram.drafts:
            shown[draft.chat] += bool(draft.text)
        assert sum(count >= 2 for count in shown.values()) >= EACH * 0.9
