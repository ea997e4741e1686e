"""Grants and pairing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from bots.sandbox.model import ModelStandIn
from core.errors import AccessDeniedError
from core.port import EventKind, Incoming, Place, Sender
from core.settings import AccessMode
from core.store.database import Store
from core.store.grants import Role, add_member, ban, grant, lift_ban, roles_by_subject
from core.store.schema import turns
from core.timings import Timings
from core.turns.access_control import (
    MAX_TRACKED_GUESSERS,
    MAX_WRONG_GUESSES,
    Access,
    AccessControl,
    create_pairing_code,
)
from tests.clock import FakeClock
from tests.core.turns.fake_adapter import running_engine
from tests.postgresql import postgresql_url
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
    return AccessControl(store, AccessMode.PAIRING, timings=replace(TIMINGS, clock=clock))


def start_command(code: str, user: str = "5") -> Incoming:
    place = Place("telegram", "1", user, is_private=True)
    return Incoming(EventKind.COMMAND, "u1", place, Sender("telegram", user, "Ann"), code, command="start")


async def test_guesses_are_limited_per_sender(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    code = await create_pairing_code(store, timings=Timings(clock=clock))
    with structlog.testing.capture_logs() as logs:
        for _ in range(MAX_WRONG_GUESSES):
            assert not await access_control.pair(start_command("AAAAA-AAAAA", "66"))
        assert not await access_control.pair(start_command(code, "66"))
    assert [entry["event"] for entry in logs] == ["access.wrong_code", "access.guesses_blocked"]
    assert await access_control.pair(start_command(code)), "a stranger cannot void it for the operator"
    assert await access_control.pair(
        start_command(await create_pairing_code(store, timings=Timings(clock=clock)), "66")
    )


async def test_guessers_do_not_fill_memory(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    await create_pairing_code(store, timings=Timings(clock=clock))
    for number in range(MAX_TRACKED_GUESSERS + 50):
        assert not await access_control.pair(start_command("AAAAA-AAAAA", str(number)))
    assert len(access_control._wrong_guesses) == MAX_TRACKED_GUESSERS


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_simultaneous_senders_of_code_get_one_operator(tmp_path: Path, database: str) -> None:
    url = sqlite_url(tmp_path) if database == "sqlite" else postgresql_url()
    stores = [Store(url) for _ in range(5)]
    code = await create_pairing_code(stores[0])
    processes = [AccessControl(store, AccessMode.PAIRING) for store in stores]
    paired = await asyncio.gather(*(p.pair(start_command(code, str(n))) for n, p in enumerate(processes)))
    assert paired.count(True) == 1
    roles = await stores[0].read(roles_by_subject)
    assert roles == {f"telegram:person:{paired.index(True)}": Role.OPERATOR}
    for store in stores:
        await store.close()


async def test_denials_of_one_person_are_logged_once_a_minute(
    store: Store, clock: FakeClock, access_control: AccessControl
) -> None:
    with structlog.testing.capture_logs() as logs:
        for user in ("66", "66", "67", "66"):
            access_control.log_denial(start_command("", user))
        await clock.advance(60)
    assert [(entry["subjects"][0], entry["suppressed"]) for entry in logs] == [
        ("telegram:person:66", 0),
        ("telegram:person:67", 0),
        ("telegram:person:66", 2),
    ]


async def test_pairing_code_expires(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    code = await create_pairing_code(store, timings=Timings(clock=clock))
    await clock.advance(TIMINGS.pairing_code_lifetime + 1)
    assert not await access_control.pair(start_command(code))


async def test_new_grant_counts_soon(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    event = start_command("")
    assert not await access_control.allows(event)
    await store.write(grant, "telegram:person:5", Role.MEMBER, "Ann")
    assert not await access_control.allows(event), "the grants were just read"
    await clock.advance(TIMINGS.denial_cache_lifetime + 0.1)
    assert await access_control.allows(event)


@pytest.mark.parametrize("mode", AccessMode)
async def test_ban_wins_over_every_permission(store: Store, clock: FakeClock, mode: AccessMode) -> None:
    access_control = AccessControl(store, mode, timings=replace(TIMINGS, clock=clock))
    place = Place("discord", "1", "6", server="7")
    event = Incoming(EventKind.PROMPT, "m1", place, Sender("discord", "5", "Ann", roles=("8",)), "hello")
    await store.write(grant, "discord:person:5", Role.MEMBER, "Ann")
    for subject in ("discord:chat:6", "discord:server:7", "discord:role:8"):
        await store.write(ban, subject)
        await clock.advance(TIMINGS.grant_cache_lifetime + 0.1)
        assert await access_control.check(event) is Access.BANNED
        await store.write(lift_ban, subject)
    await clock.advance(TIMINGS.grant_cache_lifetime + 0.1)
    assert await access_control.check(event) is Access.ALLOWED


async def test_unknown_roles_may_be_banned(store: Store, clock: FakeClock, access_control: AccessControl) -> None:
    """Discord does not say which roles the authors of missed messages have."""
    sender = Sender("discord", "5", "Ann", roles=None)
    event = Incoming(EventKind.PROMPT, "m1", Place("discord", "1", "6", server="7"), sender, "hello")
    await store.write(add_member, "discord:server:7")
    assert await access_control.allows(event)
    await store.write(ban, "discord:role:8")
    await clock.advance(TIMINGS.grant_cache_lifetime + 0.1)
    assert not await access_control.allows(event)
    assert await access_control.allows(replace(event, sender=replace(sender, roles=("9",))))


async def test_role_may_be_allowed(store: Store, access_control: AccessControl) -> None:
    await store.write(add_member, "discord:role:8")
    event = Incoming(EventKind.PROMPT, "m1", Place("discord", "1", "6"), Sender("discord", "5", "Ann"), "hello")
    assert not await access_control.allows(event)
    assert await access_control.allows(replace(event, sender=replace(event.sender, roles=("9", "8"))))


async def test_ban_ends_what_runs_and_waits_without_a_word(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, access="open") as adapter:
        adapter.close_gate("send")
        for text in ("one", "two"):
            await adapter.say(text, user="77")
        await adapter.started["send"].wait()
        await adapter.store.write(ban, "fake:person:77")
        await adapter.cancelled["send"].wait()
        await adapter.wait_for_states("stopped", "stopped")
        adapter.gates["send"].set()
        assert await adapter.ask("repeat: hello", user="5") == "hello"
        assert adapter.texts == ["hello"]


async def test_banned_person_cannot_pair(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, access="pairing") as adapter:
        await adapter.store.write(ban, "fake:person:77")
        code = await create_pairing_code(adapter.services.store)
        with pytest.raises(AccessDeniedError, match=r"^$"):
            await adapter.say(f"/start {code}", user="77")
        await adapter.say(f"/start {code}", user="5")
        await adapter.wait_for_text("You are now an operator")


async def test_roles_are_not_stored(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model) as adapter:
        sender = Sender("fake", "5", "Ann", roles=("815",))
        await adapter.inbox(Incoming(EventKind.PROMPT, "m1", Place("fake", "1", "6"), sender, "repeat: hello"))
        await adapter.wait_for_text("hello")
        (event,) = await adapter.store.read(lambda connection: connection.scalars(select(turns.c.incoming_json)).all())
        assert "815" not in event


async def test_denied_access_is_logged_with_id(tmp_path: Path, model: ModelStandIn) -> None:
    async with running_engine(tmp_path, model, access="pairing") as adapter:
        with structlog.testing.capture_logs() as logs, pytest.raises(AccessDeniedError):
            await adapter.say("my secret question", user="77", group="-7")
        (denied,) = [entry for entry in logs if entry["event"] == "access.denied"]
        assert denied["subjects"] == ["fake:person:77", "fake:chat:-7"]
        assert "secret" not in str(logs)
