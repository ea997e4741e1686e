"""Parley put together: what a start needs, who may pair, and what ends it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from bots.sandbox.model import ModelStandIn
from core.app import open_services, serve
from core.errors import ConfigurationError
from core.health import Health
from core.port import Adapter, Inbox
from core.settings import AccessMode, Settings
from core.store.grants import Role, grant
from core.store.leases import Leases
from core.timings import Timings
from tests.core.turns.fake_adapter import FakeAdapter
from tests.sqlite import sqlite_url
from tests.waiting import wait_until


class IdleAdapter(FakeAdapter):
    """Runs until it is cancelled, or fails with `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.has_started = asyncio.Event()
        self.has_ended = False

    async def run(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.has_started.set()
        if self.error is not None:
            raise self.error
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended = True


def as_adapter(adapter: IdleAdapter) -> Adapter:
    return cast("Adapter", adapter)


def settings_for(folder: Path, model: ModelStandIn, **values: Any) -> Settings:
    fields: dict[str, Any] = {"api_key": SecretStr(model.api_key), "base_url": model.base_url}
    return Settings(**fields | {"database_url": sqlite_url(folder)} | values)


async def test_io_intelligence_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="IOINTELLIGENCE_API_KEY is not set"):
        async with open_services(Settings(database_url=sqlite_url(tmp_path))):
            pass


async def test_other_service_needs_no_key(tmp_path: Path, model: ModelStandIn) -> None:
    async with open_services(settings_for(tmp_path, model, api_key=None)) as services:
        assert services.store.is_exclusive is False


async def test_start_knows_what_the_process_before_it_had_learned(tmp_path: Path, model: ModelStandIn) -> None:
    """The first start creates the database; the next one needs no model service."""
    settings = settings_for(tmp_path, model, database_url=f"sqlite:///{tmp_path}/new.sqlite3")
    default = settings.default_model
    model.models[default] = replace(model.models[default], context_window=12_345)
    async with open_services(settings) as first:
        assert await first.models.refresh()
        await first.facts.learn_rejected_parts("phi-4", ["system role"])
    await model.close()
    async with open_services(settings) as second:
        listed = second.models.get(default)
        assert listed is not None
        assert listed.context_window == 12_345
        assert second.facts.rejected_parts("phi-4") == {"system role"}


@pytest.mark.parametrize(
    ("values", "speech_model"),
    [({}, None), ({"speech_url": "http://127.0.0.1:9/v1"}, "whisper-1")],
    ids=["without speech service", "with speech service"],
)
async def test_recordings_need_a_speech_service_or_a_model(
    tmp_path: Path, model: ModelStandIn, values: dict[str, str], speech_model: str | None
) -> None:
    async with open_services(settings_for(tmp_path, model, **values)) as services:
        assert services.speech.model == speech_model


async def test_people_may_set_keys_only_if_they_can_be_encrypted(tmp_path: Path, model: ModelStandIn) -> None:
    async with open_services(settings_for(tmp_path, model)) as services:
        assert services.api_keys.vault is None
    async with open_services(settings_for(tmp_path, model, secret_key=SecretStr("k" * 43))) as services:
        assert services.api_keys.vault is not None


@pytest.mark.parametrize(
    ("access", "role", "is_shown"),
    [
        (AccessMode.PAIRING, None, True),
        (AccessMode.PAIRING, Role.BANNED, True),
        (AccessMode.PAIRING, Role.MEMBER, False),
        (AccessMode.PAIRING, Role.OPERATOR, False),
        (AccessMode.OPEN, None, False),
    ],
)
async def test_pairing_code_is_shown_while_nobody_may_use_the_bot(
    tmp_path: Path, model: ModelStandIn, access: AccessMode, role: Role | None, is_shown: bool
) -> None:
    codes = await codes_shown(settings_for(tmp_path, model, access=access), role)
    assert len(codes) == is_shown


async def codes_shown(settings: Settings, role: Role | None) -> list[str]:
    codes: list[str] = []
    async with open_services(settings) as services:
        if role is not None:
            await services.store.write(grant, "fake:person:5", role, "Ann")
        adapter, stop_requested = IdleAdapter(), asyncio.Event()
        serving = asyncio.create_task(
            serve(services, [as_adapter(adapter)], stop_requested, show_pairing_code=codes.append)
        )
        await adapter.has_started.wait()
        stop_requested.set()
        await serving
        assert adapter.has_ended
    return codes


async def test_adapter_that_cannot_go_on_ends_everything(tmp_path: Path, model: ModelStandIn) -> None:
    error = ConfigurationError("The token is wrong.")
    other = IdleAdapter()
    other.platform = "other"
    async with open_services(settings_for(tmp_path, model)) as services:
        with pytest.raises(ConfigurationError) as caught:
            await serve(services, [as_adapter(other), as_adapter(IdleAdapter(error))], asyncio.Event())
        assert not await services.leases.try_acquire("poller", 30), "nothing begins after the end"
    assert caught.value is error
    assert other.has_ended


@pytest.mark.parametrize("is_alone", [True, False])
async def test_process_that_is_alone_takes_over_the_leases_of_a_dead_one(
    tmp_path: Path, model: ModelStandIn, is_alone: bool
) -> None:
    async with open_services(settings_for(tmp_path, model)) as services:
        assert await Leases(services.store, "dead").try_acquire("poller", 1000)

        async def is_free_once_served() -> bool:
            adapter, stop_requested = IdleAdapter(), asyncio.Event()
            serving = asyncio.create_task(serve(services, [as_adapter(adapter)], stop_requested))
            await adapter.has_started.wait()
            is_free = await services.leases.try_acquire("poller", 30)
            stop_requested.set()
            await serving
            return is_free

        if is_alone:
            async with services.store.exclusive():
                assert await is_free_once_served()
        else:
            assert not await is_free_once_served()


async def test_health_says_when_the_process_is_ready_and_when_it_stops(tmp_path: Path, model: ModelStandIn) -> None:
    async with open_services(settings_for(tmp_path, model)) as services:
        adapter, stop_requested = IdleAdapter(), asyncio.Event()
        health = Health([as_adapter(adapter)], services.store)
        assert health.readiness_problems() != []
        serving = asyncio.create_task(serve(services, [as_adapter(adapter)], stop_requested, health=health))
        await wait_until(lambda: health.readiness_problems() == [])
        stop_requested.set()
        await serving
    assert health.readiness_problems() == ["stopping"]


async def test_answer_that_is_being_sent_arrives_before_the_end(tmp_path: Path, model: ModelStandIn) -> None:
    settings = settings_for(tmp_path, model, access=AccessMode.OPEN)
    async with open_services(settings, timings=Timings(failure_grace=0.0)) as services:
        adapter, stop_requested = IdleAdapter(), asyncio.Event()
        adapter.close_gate("send")
        health = Health([as_adapter(adapter)], services.store)
        serving = asyncio.create_task(serve(services, [as_adapter(adapter)], stop_requested, health=health))
        await adapter.has_started.wait()
        await adapter.say("repeat: hello")
        await adapter.started["send"].wait()
        stop_requested.set()
        await wait_until(lambda: health.readiness_problems() == ["stopping"])
        adapter.gates["send"].set()
        await serving
    assert adapter.texts == ["hello"]
