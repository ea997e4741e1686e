"""Pairing."""

from pathlib import Path

import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from core.errors import AccessDeniedError
from core.port import EventKind, Incoming, Place, Sender
from core.settings import AccessMode as Mode
from core.store.database import Store
from core.turns.access_control import MAX_WRONG_GUESSES, AccessControl, create_pairing_code
from tests.core.turns.fake_adapter import running_engine


def start(code: str) -> Incoming:
    place = Place("telegram", "1", "5", is_private=True)
    return Incoming(EventKind.COMMAND, "u1", place, Sender("telegram", "5", "Ann"), code, command="start")


async def test_guessing_voids_pairing_code(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    try:
        access = AccessControl(store, Mode.PAIRING)
        code = await create_pairing_code(store)
        for _ in range(MAX_WRONG_GUESSES):
            assert not await access.pair(start("AAAAA-AAAAA"))
        assert not await access.pair(start(code))
        assert await access.pair(start(await create_pairing_code(store)))
    finally:
        await store.close()


async def test_denied_access_is_logged_with_id(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    try:
        async with running_engine(tmp_path, model, access="pairing") as chat:
            with structlog.testing.capture_logs() as logs, pytest.raises(AccessDeniedError):
                await chat.say("my secret question", user="77", group="-7")
            (told,) = [one for one in logs if one["event"] == "access.denied"]
            assert told["subjects"] == ["quick:person:77", "quick:chat:-7"]
            assert "secret" not in str(logs)
    finally:
        await model.close()
