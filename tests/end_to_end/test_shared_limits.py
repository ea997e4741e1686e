"""Two processes of one account on PostgreSQL, with the platforms' rate limits: together they stay within them."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bots.adapters import create_adapters
from core.app import open_services, serve
from core.store.schema import turns
from tests.end_to_end.harness import Harness, complete_texts, running_harness
from tests.postgresql import open_store, postgresql_url

pytestmark = pytest.mark.slow

PEOPLE = 3
ANSWER = " ".join(f"word {number}," for number in range(40))
QUESTION = f"repeat: {ANSWER}"


async def serve_until(stopping: asyncio.Event, harness: Harness, url: str) -> None:
    """What a process does; it shares nothing with the other but the database, and cannot answer everybody at once."""
    settings = harness.settings(database_url=url, turns_at_once=PEOPLE)
    async with open_services(settings.core) as services:
        await serve(services, create_adapters(settings, services), stopping)


def turn_owners(connection: Connection) -> set[str | None]:
    return set(connection.scalars(select(turns.c.owner)))


async def test_two_processes_stay_within_limits_together(tmp_path: Path) -> None:
    """In private chats, and in a group and a channel in which everybody asks, so that both processes write there."""
    url, stopping = postgresql_url(), asyncio.Event()
    async with AsyncExitStack() as stack:
        harness = await stack.enter_async_context(running_harness(tmp_path, tokens_per_second=40, limits=True))
        store = await stack.enter_async_context(open_store(url))
        telegram, discord = harness.telegram, harness.discord
        discord.gateway.script.shard_count = 2
        people = [telegram.create_user(f"Person {number}") for number in range(PEOPLE)]
        others = [discord.create_user(f"Other {number}") for number in range(PEOPLE)]
        group = telegram.create_supergroup("Friends", *people)
        channel = discord.create_channel(discord.create_guild("Home", *others), "general")
        chats = [telegram.open_private_chat(person) for person in people]

        def answer_count() -> int:
            shown = [*telegram.messages(group), *discord.messages(channel)]
            shown += [message for chat in chats for message in telegram.messages(chat)]
            return sum(ANSWER in text for text in complete_texts(shown))

        tasks = [asyncio.create_task(serve_until(stopping, harness, url)) for _ in range(2)]
        await discord.wait_until_ready(30)
        await telegram.wait_for(lambda: telegram.calls_to("getUpdates"), 30)
        await asyncio.gather(
            *(telegram.send_message(person, chat, QUESTION) for person, chat in zip(people, chats, strict=True)),
            *(telegram.send_message(person, group, f"@{telegram.bot.username} {QUESTION}") for person in people),
            *(discord.send_message(other, channel, f"{discord.mention} {QUESTION}") for other in others),
        )
        await telegram.wait_for(lambda: answer_count() == 3 * PEOPLE, 60)
        stopping.set()
        await asyncio.gather(*tasks)
        assert len(await store.read(turn_owners)) == 2, "both have answered"
        assert len(harness.model.requests) == 3 * PEOPLE
        assert telegram.calls_with_status(429) == []
        assert discord.calls_with_status(429) == []
