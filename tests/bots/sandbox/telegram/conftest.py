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
    """The answers and updates so far that do not match the Bot API's description."""
    violations = []
    for call in server.calls:
        if call.status != 200 or call.is_scripted:
            continue
        kind = f"result.{call.method}"
        violations += [f"{kind} {error}" for error in api_specs.telegram_errors(kind, call.result)]
        if call.method.lower() == "getupdates":
            for update in call.result:
                violations += api_specs.telegram_errors("Update", update)
    return violations


@pytest.fixture
async def server() -> AsyncIterator[TelegramStandIn]:
    """Without flood control. Its answers are checked against the API's description."""
    server = TelegramStandIn(limits=Limits.off(), webhook_retry_delay=0.05)
    await server.start()
    yield server
    await server.close()
    if api_specs.SPECS_DIR.is_dir() or os.environ.get("CI") == "true":
        assert spec_violations(server) == []


def make_client(server: TelegramStandIn, token: str | None = None) -> ExtBot[None]:
    return ExtBot(token or server.token, base_url=f"{server.api_base}/bot")


@pytest.fixture
async def bot(server: TelegramStandIn) -> AsyncIterator[ExtBot[None]]:
    """The real library, logged in."""
    async with make_client(server) as bot:
        yield bot


@pytest.fixture
async def call_method(server: TelegramStandIn) -> AsyncIterator[CallMethod]:
    """Calls a method by plain HTTP. Returns the status, and the result or the error description."""
    async with aiohttp.ClientSession() as session:

        async def call(method: str, **params: Any) -> tuple[int, Any]:
            url = f"{server.api_base}/bot{server.token}/{method}"
            async with session.post(url, json=params) as response:
                body = await response.json()
                return response.status, body.get("result", body.get("description"))

        yield call
