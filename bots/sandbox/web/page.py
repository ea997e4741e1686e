"""The page with everything behind it: what happens in the stand-ins becomes events; actions are carried out there."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bots.sandbox.bot_knowledge import forget_day
from bots.sandbox.bot_process import BotProcess
from bots.sandbox.model import ModelStandIn
from bots.sandbox.web import protocol
from bots.sandbox.web.discord_actions import DiscordActions
from bots.sandbox.web.discord_feed import DiscordFeed
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.model_feed import ModelFeed
from bots.sandbox.web.scenarios import ScenarioRunner, Stage
from bots.sandbox.web.server import ChatFile, PageServer, Uploads
from bots.sandbox.web.service_actions import ServiceActions
from bots.sandbox.web.telegram_actions import TelegramActions
from bots.sandbox.web.telegram_feed import TelegramFeed
from bots.sandbox.web.turn_feed import TurnFeed
from bots.sandbox.web.world import World
from core.clock import Clock, SystemClock


class SandboxPage:
    """`model` is None when the real API answers. `attach_bot` completes it, because the bot's log is shown, too."""

    def __init__(self, world: World, model: ModelStandIn | None, database: Path, clock: Clock = SystemClock()) -> None:
        self.log = EventLog(clock)
        self._world = world
        self.uploads = uploads = Uploads()
        self._telegram_feed = TelegramFeed(world, self.log)
        self._discord_feed = DiscordFeed(world, self.log)
        self._model_feed = None if model is None else ModelFeed(model, self.log)
        self._telegram = TelegramActions(world.telegram, self._telegram_feed, self.log, uploads)
        self._discord = DiscordActions(world.discord, self._discord_feed, uploads)
        self._model = model
        self._database = database
        self._services = ServiceActions(world.telegram, world.discord, model, self.log, self._forget_day)
        self._turn_feed = TurnFeed(database, self.log, clock)
        self._scenarios = None if model is None else ScenarioRunner(self.log, partial(self.create_stage, model))
        self._bot: BotProcess | None = None
        self._log_line_number = 0
        self._waiter: asyncio.Task[None] | None = None
        self.server = PageServer(self.log, uploads, self.perform, self._find_file)

    async def start(self, port: int = 0) -> None:
        self._telegram_feed.announce_world()
        self._telegram_feed.announce_messages()
        self._discord_feed.announce_world()
        if self._model_feed is not None:
            self._model_feed.start()
        if self._scenarios is not None:
            self._scenarios.announce()
        self._services.announce()
        self._turn_feed.start()
        await self.server.start(port)

    async def close(self) -> None:
        await self.server.close()
        if self._scenarios is not None:
            await self._scenarios.close()
        await self._discord.close()
        await self._turn_feed.close()
        if self._model_feed is not None:
            await self._model_feed.close()
        await self._cancel_waiter()

    def attach_bot(self, bot: BotProcess) -> None:
        self._bot = bot

    def show_bot_state(self, bot: BotProcess) -> None:
        self.log.add("bot", "bot", state=bot.state, pid=bot.pid)

    def show_log_line(self, line: bytes) -> None:
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            fields = {"event": line.decode(errors="replace").rstrip()[:2_000]}
        self._log_line_number += 1
        level, event = fields.pop("level", "info"), fields.pop("event", "")
        number = self._log_line_number
        self.log.add("log", str(number), number=number, level=level, event=event, fields=fields)

    async def start_bot(self) -> None:
        """Start the bot, and show when it is connected."""
        if self._bot is None:
            return
        started_at = self._world.telegram.clock.monotonic()
        await self._bot.start()
        await self._cancel_waiter()
        self._waiter = asyncio.create_task(self._wait_until_connected(self._bot, started_at))

    async def _wait_until_connected(self, bot: BotProcess, started_at: float) -> None:
        """However long that takes: a process that cannot connect ends, and the page shows that."""
        telegram, discord = self._world.telegram, self._world.discord
        await telegram.wait_for(
            lambda: any(call.time >= started_at for call in telegram.calls_to("getUpdates")), timeout=None
        )
        await discord.wait_until_ready(timeout=None)
        bot.set_running()

    async def _cancel_waiter(self) -> None:
        if self._waiter is not None:
            self._waiter.cancel()
            await asyncio.gather(self._waiter, return_exceptions=True)

    async def _kill_bot(self) -> None:
        if self._bot is not None:
            await self._bot.kill()

    def create_stage(self, model: ModelStandIn, step: Callable[[str], None]) -> Stage:
        def announce_step(text: str) -> None:
            self._services.announce()
            step(text)

        faults, forget_day = self._services.faults, self._forget_day
        return Stage(self._world, model, faults, self.start_bot, self._kill_bot, forget_day, announce_step)

    async def _forget_day(self) -> None:
        """Make the bot forget what it knows of the quotas of today. Raises `ValueError`."""
        if self._model is not None:
            await forget_day(self._database, self._model.base_url)

    async def perform(self, action: protocol.Action) -> Any:
        match action:
            case protocol.KillBot():
                await self._kill_bot()
            case protocol.StartBot():
                await self.start_bot()
            case protocol.StartScenario():
                self._start_scenario(action.name)
            case _:
                return await self._find_handler(action)(action)
        return None

    def _find_handler(self, action: protocol.Action) -> Callable[[Any], Awaitable[Any]]:
        match str(action.__struct_config__.tag).partition(".")[0]:
            case "telegram":
                return self._telegram.perform
            case "discord":
                return self._discord.perform
        return self._services.perform

    def _start_scenario(self, name: str) -> None:
        if self._scenarios is None:
            raise ValueError("Scenarios need the scripted model.")
        self._scenarios.start(name)

    def _find_file(self, platform: str, file_id: str) -> ChatFile | None:
        if platform == "telegram":
            file = self._world.telegram.files.find(file_id)
            return None if file is None else ChatFile(*file)
        attachment, content = self._world.discord.files.get(file_id, ({}, b""))
        return ChatFile(attachment["filename"], content) if attachment else None
