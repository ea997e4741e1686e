"""Pairing."""

from pathlib import Path

import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from core.errors import DeniedError
from core.port import Incoming, Kind, Place, Sender
from core.settings import Access as Mode
from core.store.database import Store
from core.turns.access import WRONG_TRIES, Access, new_code
from tests.core.turns.quick import quick


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


async def test_the_log_tells_what_lets_in_who_was_not(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    try:
        async with quick(tmp_path, model, access="pairing") as chat:
            with structlog.testing.capture_logs() as logs, pytest.raises(DeniedError):
                await chat.say("my secret question", user="77", group="-7")
            (told,) = [one for one in logs if one["event"] == "not allowed"]
            assert told["subjects"] == ["quick:person:77", "quick:chat:-7"]
            assert "secret" not in str(logs)
    finally:
        await model.close()
