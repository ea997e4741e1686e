"""Grants and pairing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from bots.sandbox.model import ModelStandIn
from core.errors import AccessDeniedError
from core.port import EventKind, Incoming, Place, Sender
from core.settings import AccessMode
from core.store.database import Store
from core.store.grants import Role, grant
from core.timings import Timings
from core.turns.access_control import MAX_WRONG_GUESSES, AccessControl, create_pairing_code
from tests.clock import FakeClock
from tests.core.turns.fake_adapter import running_engine
from tests.sqlite import sqlite_url

TIMINGS = Timings()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def access_control(store: Store, clock: FakeClock) -> AccessControl:
    return AccessControl(store, AccessMode.PAIRING, clock=clock, timings=TIMINGS)


def start_command(code: str) -> Incoming:
    place = Place("telegram", "1", "5", is_private=True)
    return Incoming(EventKind.COMMAND, "u1", place, Sender("telegram", "5", "Ann"), code, command="start")


async def test_guessing_voids_pairing_code(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    code = await create_pairing_code(store, clock=clock)
    for _ in range(MAX_WRONG_GUESSES):
        assert not await access_control.pair(start_command("AAAAA-AAAAA"))
    assert not await access_control.pair(start_command(code))
    assert await access_control.pair(start_command(await create_pairing_code(store, clock=clock)))


async def test_pairing_code_expires(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    code = await create_pairing_code(store, clock=clock)
    await clock.advance(TIMINGS.pairing_code_lifetime + 1)
    assert not await access_control.pair(start_command(code))


async def test_new_grant_counts_soon(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    event = start_command("")
    assert not await access_control.allows(event)
    await store.write(grant, "telegram:person:5", Role.MEMBER, "Ann")
    assert not await access_control.allows(event), "the grants were just read"
    await clock.advance(TIMINGS.denial_cache_lifetime + 0.1)
    assert await access_control.allows(event)


async def test_denied_access_is_logged_with_id(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, access="pairing") as adapter:
        with structlog.testing.capture_logs() as logs, pytest.raises(AccessDeniedError):
            await adapter.say("my secret question", user="77", group="-7")
        (denied,) = [entry for entry in logs if entry["event"] == "access.denied"]
        assert denied["subjects"] == ["fake:person:77", "fake:chat:-7"]
        assert "secret" not in str(logs)
