"""Pairing."""

from pathlib import Path

from core.port import Incoming, Kind, Place, Sender
from core.settings import Access as Mode
from core.store.database import Store
from core.turns.access import WRONG_TRIES, Access, new_code


def start(code: str) -> Incoming:
    place = Place("telegram", "1", "5", private=True)
    return Incoming(
        Kind.COMMAND, "u1", place, Sender("telegram", "5", "Ann"), code, command="start"
    )


async def test_guessing_voids_a_code_and_not_those_after_it(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    try:
        access = Access(store, Mode.PAIRING)
        code = await new_code(store)
        for _ in range(WRONG_TRIES):
            assert not await access.pair(start("AAAAA-AAAAA"))
        assert not await access.pair(start(code))
        assert await access.pair(start(await new_code(store)))
    finally:
        await store.close()
