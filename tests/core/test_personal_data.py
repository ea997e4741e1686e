"""Exporting and erasing a person from the command line."""

import asyncio
import contextlib
import json
import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy import select

from core.conversation.ledger import key_id_of
from core.conversation.vault import open_vault
from core.personal_data import erase_subject, export_subject
from core.settings import Settings
from core.store.database import Store
from core.store.erasure import erase_person, remove_traces
from core.store.people import Person
from core.store.personal_keys import save_encrypted_key
from core.store.schema import token_usage
from core.store.token_usage import UsageKey, UsageKind, reserve, settle_reservation
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


async def test_tokens_on_the_persons_own_key_are_exported_and_erased(tmp_path: Path) -> None:
    settings, person, api_key = Settings(secret_key="s" * 32), Person("telegram", "5"), "io-v2-own-key"  # type: ignore[arg-type]
    store = Store(sqlite_url(tmp_path))
    vault = await open_vault(store, "s" * 32)
    await store.write(save_encrypted_key, person.key, vault.encrypt(api_key, person.key))
    for key_id in (key_id_of(api_key), key_id_of("another key")):
        key = UsageKey(key_id, "some/model", UsageKind.CHAT, "2026-01-01")
        reservation = await store.write(reserve, key, 700, None)
        assert reservation is not None
        await store.write(settle_reservation, reservation.id, 700, has_answered=True)
    exported = json.loads(await export_subject(store, settings, "telegram:person:5"))
    usage = {"day": "2026-01-01", "model": "some/model", "kind": "chat", "tokens": 700, "answers": 1}
    assert exported["usage_of_personal_api_key"] == [usage]
    await erase_subject(store, settings, "telegram:person:5")
    assert await store.read(lambda connection: connection.scalars(select(token_usage.c.key_id)).all()) == [
        key_id_of("another key")
    ]
    await store.close()
