import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from telegram.ext import ExtBot

from bots.sandbox.telegram import Limits, TelegramStandIn
from tests import api_specs

os.environ.setdefault("PTB_TIMEDELTA", "true")

CallMethod = Callable[..., Awaitable[tuple[int, Any]]]


def spec_violations(server: TelegramStandIn) -> list[str]:
    """Every answer and every update that the Bot API's own description does not allow."""
    found = []
    for call in server.calls:
        if call.status != 200 or call.is_scripted:
            continue
        kind = f"result.{call.method}"
        found += [f"{kind} {error}" for error in api_specs.telegram_errors(kind, call.result)]
        if call.method.lower() == "getupdates":
            for update in call.result:
                found += api_specs.telegram_errors("Update", update)
    return found


@pytest.fixture
async def server() -> AsyncIterator[TelegramStandIn]:
    """Without flood control; whatever it answered is held against the API's description."""
    made = TelegramStandIn(limits=Limits.off(), webhook_retry_delay=0.05)
    await made.start()
    yield made
    await made.close()
    if api_specs.SPECS_DIR.is_dir() or os.environ.get("CI") == "true":
        assert spec_violations(made) == []


def make_client(server: TelegramStandIn, token: str | None = None) -> ExtBot[None]:
    return ExtBot(token or server.token, base_url=f"{server.api_base}/bot")


@pytest.fixture
async def bot(server: TelegramStandIn) -> AsyncIterator[ExtBot[None]]:
    """The real library, logged in."""
    async with make_client(server) as made:
        yield made


@pytest.fixture
async def ask(server: TelegramStandIn) -> AsyncIterator[CallMethod]:
    """A call as plain HTTP: its status, and its result or its description."""
    async with aiohttp.ClientSession() as session:

        async def call(method: str, **params: Any) -> tuple[int, Any]:
            url = f"{server.api_base}/bot{server.token}/{method}"
            async with session.post(url, json=params) as response:
                answer = await response.json()
                return response.status, answer.get("result", answer.get("description"))

        yield call
