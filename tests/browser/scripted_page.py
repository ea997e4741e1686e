"""A page without a bot: it draws what a test announces, and asks for what the person does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
from playwright.async_api import Browser, Locator, Page

from bots.sandbox.stand_in import Json
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.protocol import Action
from bots.sandbox.web.server import ChatFile, PageServer, Uploads
from core.clock import SystemClock

ACTION_TIMEOUT_SECONDS = 30.0


class ScriptedPage:
    """One pane in a browser, such as "Telegram"."""

    pane: Locator
    page: Page

    def __init__(self) -> None:
        self.log = EventLog(SystemClock())
        self.uploads = Uploads()
        self._actions: asyncio.Queue[Action] = asyncio.Queue()
        self.may_act = asyncio.Event()
        self.may_act.set()
        self.result: Any = None
        """Of every action."""
        self.expected_error = ""
        """A part of what the browser reports when it cannot load something."""
        self.files: dict[str, ChatFile] = {}
        """By ID. Any other file is a short text."""
        self.server = PageServer(self.log, self.uploads, self.perform, self._find_file)

    @asynccontextmanager
    async def opened(self, browser: Browser, pane: str) -> AsyncIterator[Self]:
        """Fails if the browser reports an error."""
        errors: list[str] = []
        await self.server.start()
        self.page = page = await browser.new_page(viewport={"width": 1400, "height": 850})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        await page.goto(self.server.guard.address())
        self.pane = page.get_by_label(pane, exact=True)
        yield self
        await page.close()
        await self.server.close()
        assert not [error for error in errors if not self.expected_error or self.expected_error not in error]

    def _find_file(self, _platform: str, file_id: str) -> ChatFile:
        return self.files.get(file_id, ChatFile("a.txt", b"a"))

    async def perform(self, action: Action) -> Any:
        self._actions.put_nowait(action)
        await self.may_act.wait()
        return self.result

    @property
    def is_idle(self) -> bool:
        """Nothing more was asked for."""
        return self._actions.empty()

    async def next_action(self) -> Json:
        """What the page asks for next, without its number."""
        async with asyncio.timeout(ACTION_TIMEOUT_SECONDS):
            action = await self._actions.get()
        fields = msgspec.to_builtins(action)
        del fields["id"]
        return {name: value for name, value in fields.items() if value not in (None, "") and value is not False}
