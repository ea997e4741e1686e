"""The engine on its bad days."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update

from bots.sandbox.model import ModelStandIn
from core.errors import DeliveryError, Fault, StoreError
from core.port import Capabilities, Part, Place
from core.store.schema import requests, spending, turns
from core.store.turns import mark_part
from core.turns import engine
from tests.core.turns.quick import PACE, Quick, quick


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=20, answer=lambda _body: "word " * 60)
    await made.start()
    yield made
    await made.close()


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def lapse(connection: Connection) -> None:
    connection.execute(update(turns).values(lease_until=0))


def states(connection: Connection) -> list[str]:
    return list(connection.scalars(select(turns.c.state).order_by(turns.c.id)))


async def test_a_lease_that_ran_out_unnoticed_does_not_answer_twice_in_one_process(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept, a clock that was set: the claim comes before the heartbeat."""
    monkeypatch.setattr(engine, "BEAT", 2.5)
    async with quick(tmp_path, model) as chat:
        asked = asyncio.create_task(chat.ask("hello"))
        await until(lambda: len(model.requests) == 1)
        await chat.store.write(lapse)
        await asked
        await asyncio.sleep(1.5)
        assert len(model.requests) == 1
        assert len(chat.shown) == 1


def dead_request(connection: Connection) -> None:
    line = {"account": "a", "model": "m", "kind": "chat", "day": "2026-01-01"}
    connection.execute(insert(requests).values(**line, tokens=900, created=0))


def booked(connection: Connection) -> tuple[int, int]:
    open_ = connection.scalar(select(func.count()).select_from(requests))
    tokens = connection.scalar(select(func.coalesce(func.sum(spending.c.tokens), 0)))
    return open_ or 0, tokens or 0


async def test_what_a_dead_process_had_asked_is_booked(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SETTLE", 0.1, raising=False)
    async with quick(tmp_path, model) as chat:
        await chat.store.write(dead_request)
        async with asyncio.timeout(5):
            while await chat.store.read(booked) != (0, 900):
                await asyncio.sleep(0.05)


class Shut(Quick):
    async def send(
        self, place: Place, part: Part, *, key: str, reply_to: str | None = None,
        ticket: str | None = None, quiet: bool = False,
    ) -> str:  # fmt: skip
        raise DeliveryError("The bot was shut out", Fault.FORBIDDEN)


async def test_a_question_given_up_ends_even_where_nobody_can_be_told(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_ATTEMPTS", 0)
    async with quick(tmp_path, model, Shut()) as chat:
        await chat.say("hello")
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["failed"]:
                await asyncio.sleep(0.05)


class Edited(Quick):
    def capabilities(self, place: Place) -> Capabilities:
        return Capabilities(PACE, preview="edit", preview_every=0.2)


async def test_an_answer_is_kept_though_a_preview_could_not_be_noted(
    tmp_path: Path, model: ModelStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with quick(tmp_path, model, Edited()) as chat:
        put = chat.store.write
        failed: list[object] = []

        async def write(function: object, *args: object, **more: object) -> object:
            if function is mark_part and not failed:
                failed.append(function)
                raise StoreError("The database can not be used: just now")
            return await put(function, *args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(chat.store, "write", write)
        await chat.say("hello")
        async with asyncio.timeout(15):
            while await chat.store.read(states) != ["done"]:
                await asyncio.sleep(0.05)
        assert failed
        assert len(model.requests) == 1
        assert [text.strip() for text in chat.shown.values()] == [("word " * 60).strip()]


class Hasty(Quick):
    """Asks to wait at the first change of a message, and complains if nobody does."""

    refused = 0.0
    early = False

    def _busy(self) -> None:
        now = asyncio.get_running_loop().time()
        self.early |= 0 < now - self.refused < 1 and self.refused > 0
        if not self.refused:
            self.refused = now
            raise DeliveryError("Wait", Fault.RATE, retry_after=1.0)

    async def edit(
        self, place: Place, message: str, part: Part, *, ticket: str | None = None
    ) -> None:
        self._busy()
        await super().edit(place, message, part)

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        self._busy()
        await super().delete(place, message)


async def test_a_menu_that_was_pressed_changes_when_the_platform_allows(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = Hasty()
    async with quick(tmp_path, model, chat):
        menu = await chat.ask("/model")
        (message,) = chat.shown
        await chat.press("m:google/gemma-2-9b-it", message)
        await until(lambda: chat.shown[message] != menu)
        assert not chat.early
        async with asyncio.timeout(5):
            while await chat.store.read(states) != ["done", "done"]:
                await asyncio.sleep(0.05)


async def test_a_message_with_a_key_is_taken_away_when_the_platform_allows(
    tmp_path: Path, model: ModelStandIn
) -> None:
    chat = Hasty()
    async with quick(tmp_path, model, chat, secret_key="a passphrase"):
        chat.shown["m1"] = "/key my-own-key"
        await chat.say("/key my-own-key", message="m1")
        await until(lambda: "m1" not in chat.shown)
        assert not chat.early
