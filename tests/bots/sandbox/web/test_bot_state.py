"""The page shows that the bot has connected, however long that takes and however much has happened before."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from bots.sandbox.bot_process import BotProcess, BotState
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.stand_in import MAX_RECORDS
from bots.sandbox.telegram import Call, TelegramStandIn
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.world import World
from tests.waiting import wait_until


class LateBot(BotProcess):
    """Has no process: the test connects in its place."""

    async def start(self) -> None:
        self._set_state(BotState.STARTING)


async def test_bot_that_connects_after_an_hour_is_shown_as_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telegram, discord = TelegramStandIn(), DiscordStandIn()
    page = SandboxPage(World(telegram, discord), None, tmp_path / "none.sqlite3")
    bot = LateBot({}, page.show_log_line, page.show_bot_state)
    page.attach_bot(bot)
    # As many as are recorded, so that each new call replaces one of these.
    telegram.calls.extend(Call("getUpdates", {}, time=0.0) for _ in range(MAX_RECORDS))
    for stand_in in (telegram, discord):
        await stand_in.start()
    try:
        await page.start_bot()
        await asyncio.sleep(0)  # it waits now
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda time=loop.time: time() + 3600)
        async with aiohttp.ClientSession() as http:
            poll = {"timeout": 0}
            async with http.post(f"{telegram.api_base}/bot{telegram.token}/getUpdates", json=poll) as response:
                assert response.status == 200
            async with http.ws_connect(f"{discord.gateway_url}/?v=10&encoding=json") as gateway:
                assert (await gateway.receive_json())["op"] == 10
                identify = {"token": discord.token, "intents": 0, "properties": {}}
                await gateway.send_json({"op": 2, "d": identify})
                await wait_until(lambda: bot.state is BotState.RUNNING)
    finally:
        await page.close()
        for stand_in in (telegram, discord):
            await stand_in.close()
