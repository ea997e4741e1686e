"""`parley backup` while people chat, and a bot that continues from the copy."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from core.store.database import Store
from core.store.schema import messages, turns
from tests.end_to_end.command_line import parley
from tests.end_to_end.harness import Harness, bot_texts, running_harness
from tests.postgresql import empty_postgresql_url

PEOPLE = 6


@pytest.fixture
async def slow_harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with running_harness(tmp_path, tokens_per_second=60) as harness:
        yield harness


def stored_rows(connection: Connection) -> tuple[set[str], set[str]]:
    """The events and the texts."""
    return set(connection.scalars(select(turns.c.event_key))), set(connection.scalars(select(messages.c.text)))


async def read_rows(url: str) -> tuple[set[str], set[str]]:
    store = Store(url)
    try:
        return await store.read(stored_rows)
    finally:
        await store.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_bot_continues_from_a_backup_made_under_load(slow_harness: Harness, tmp_path: Path, engine: str) -> None:
    harness = slow_harness
    url = f"sqlite:///{tmp_path / 'first.sqlite3'}" if engine == "sqlite" else empty_postgresql_url()
    copy_url = f"sqlite:///{tmp_path / 'second.sqlite3'}" if engine == "sqlite" else empty_postgresql_url()
    telegram = harness.telegram
    await harness.start(database_url=url, messages_a_minute=100_000)
    chats = []
    for number in range(PEOPLE):
        person = telegram.create_user(f"Person {number}")
        chats.append((person, telegram.open_private_chat(person)))

    async def ask(number: int, question: int) -> None:
        person, chat = chats[number]
        text = f"person {number} asks {question} " * 5
        await telegram.send_message(person, chat, f"repeat: {text}")
        await telegram.wait_for(
            lambda: any(f"asks {question}" in seen for seen in bot_texts(telegram.messages(chat))), 60
        )

    is_copied = asyncio.Event()

    async def ask_until_copied(number: int) -> None:
        for question in itertools.count():
            await ask(number, question)
            if is_copied.is_set():
                return

    load = [asyncio.create_task(ask_until_copied(number)) for number in range(PEOPLE)]
    await telegram.wait_for(
        lambda: any("asks 0" in text for _, chat in chats for text in bot_texts(telegram.messages(chat))), 30
    )
    before = await read_rows(url)
    file = tmp_path / "copy.parley"
    output = await parley("backup", str(file), DATABASE_URL=url)
    assert "checked" in output
    is_copied.set()
    await asyncio.gather(*load)
    await harness.kill()

    await parley("restore", str(file), DATABASE_URL=copy_url)
    after = await read_rows(copy_url)
    assert before[0] <= after[0]
    assert before[1] <= after[1]
    await harness.start(database_url=copy_url)
    await asyncio.gather(*(ask(number, 9999) for number in range(PEOPLE)))
