"""Erasing a person from the command line."""

import asyncio
import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from core.personal_data import erase_subject
from core.settings import Settings
from core.store.database import Store
from core.store.erasure import erase_person, remove_traces
from core.store.people import Person
from core.timings import Timings
from tests.core.store.turn_helpers import accept_event, answer, claim, message_event
from tests.sqlite import sqlite_url


async def store_secret(store: Store) -> None:
    event = message_event("1", "heron-4711")
    await store.write(partial(accept_event, incoming=event, conversation_key="telegram:1:5::"))
    (turn,) = await claim(store)
    await answer(store, turn, "heron-4711", "yes")


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_traces_that_a_reader_keeps_are_removed_later(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    store = Store(url, timings=Timings(sqlite_busy_timeout=0.05))
    await store_secret(store)
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM messages").fetchall()
        erased = await erase_subject(store, Settings(), "telegram:person:5")
        assert erased.messages == 2
        assert "such as a backup" in erased.remaining_traces
        assert b"heron-4711" in await asyncio.to_thread(files, tmp_path)
    assert await remove_traces(store)
    assert b"heron-4711" not in await asyncio.to_thread(files, tmp_path)
    assert not await remove_traces(store)
    await store.close()


async def test_serving_process_rewrites_the_file_itself(tmp_path: Path) -> None:
    """Its writes would fail while another process rewrites a large file."""
    url = sqlite_url(tmp_path)
    serving, store = Store(url), Store(url)
    await store_secret(store)
    async with serving.exclusive():
        erased = await erase_subject(store, Settings(), "telegram:person:5")
        assert erased.messages == 2
        assert "uses the file" in erased.remaining_traces
        assert await remove_traces(serving)
    assert b"heron-4711" not in await asyncio.to_thread(files, tmp_path)
    await serving.close()
    await store.close()


async def test_traces_are_removed_after_a_process_that_ended_too_early(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store_secret(store)
    await store.write(erase_person, Person("telegram", "5"))
    assert b"heron-4711" in await asyncio.to_thread(files, tmp_path)
    assert await remove_traces(store)
    assert b"heron-4711" not in await asyncio.to_thread(files, tmp_path)
    await store.close()
