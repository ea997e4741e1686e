"""The terminal as a platform: one person, one place, answers as growing Markdown."""

import asyncio
import getpass
import itertools
import signal
import threading

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from bots.terminal.dialect import TerminalDialect
from core.app import Services, serve, services
from core.conversation.choices import MODEL
from core.conversation.scope import scopes
from core.errors import ConfigurationError
from core.port import Capabilities, Inbox, Incoming, Kind, Pace, Part, Place, Sender
from core.settings import Access, Settings
from core.store.conversations import Choice, choose

__all__ = ["TerminalChat", "talk"]

PACE = Pace(burst=1000, rate=1000)


class TerminalChat:
    """Reads lines, shows answers; see `core.port.Chat`."""

    platform = "terminal"
    account = "local"
    overall = PACE

    def __init__(self, console: Console, user: str) -> None:
        self.dialect = TerminalDialect()
        self.place = Place(self.platform, self.account, user, private=True)
        self.sender = Sender(self.platform, user, user, manages=True)
        self._console = console
        self._keys = itertools.count()
        self._session = f"{threading.get_ident():x}{id(self):x}{asyncio.get_running_loop().time()}"
        self._live: Live | None = None
        self._answered = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:  # noqa: ARG002 (there is one place)
        return Capabilities(PACE, preview_every=0.1, menu_size=100, list_size=100)

    async def run(self, inbox: Inbox) -> None:
        """Until end of input, /quit or cancelled."""
        loop = asyncio.get_running_loop()
        self._console.print("Write a message. /help lists commands, /quit ends.", style="dim")
        while (line := await _line(self._console)) is not None:
            text = line.strip()
            if text in ("/quit", "/exit"):
                return
            if not text:
                continue
            self._answered.clear()
            loop.add_signal_handler(signal.SIGINT, self._interrupt, inbox)
            await inbox(self._incoming(text))
            await self._answered.wait()
            loop.remove_signal_handler(signal.SIGINT)

    def _incoming(self, text: str) -> Incoming:
        kind, command, argument = Kind.PROMPT, "", text
        if text.startswith("/"):
            kind = Kind.COMMAND
            command, _, argument = text[1:].partition(" ")
        key = f"{self._session}-{next(self._keys)}"
        return Incoming(kind, key, self.place, self.sender, argument, command=command.lower())

    def _interrupt(self, inbox: Inbox) -> None:
        self._stopping = asyncio.ensure_future(inbox(self._incoming("/stop")))

    async def send(
        self,
        place: Place,  # noqa: ARG002 (there is one)
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,  # noqa: ARG002 (all is below its question)
        ticket: str | None = None,  # noqa: ARG002 (none is given out)
        quiet: bool = False,  # noqa: ARG002 (nobody else looks)
    ) -> str:
        self._live = Live(console=self._console, refresh_per_second=12, vertical_overflow="visible")
        self._live.start()
        self._show(part)
        return key

    async def edit(
        self,
        place: Place,  # noqa: ARG002 (there is one)
        message: str,  # noqa: ARG002 (the last is the one that grows)
        part: Part,
        *,
        ticket: str | None = None,  # noqa: ARG002 (none is given out)
    ) -> None:
        self._show(part)

    def _show(self, part: Part) -> None:
        text = part.text
        if part.menu:
            text += "\n\n" + "\n".join(f"- {'✓ ' * o.chosen}{o.label}" for o in part.menu)
        if self._live is not None:
            self._live.update(Markdown(text))
            if not any(button.action.startswith("stop:") for button in part.buttons):
                self._live.stop()
                self._live = None
                self._console.print()
                self._answered.set()

    async def delete(self, place: Place, message: str, *, ticket: str | None = None) -> None:
        """What was printed stays."""

    async def typing(self, place: Place) -> None:
        """A terminal shows none."""


async def _line(console: Console) -> str | None:
    """One line of input; None at its end. The thread is left behind when cancelled."""
    loop = asyncio.get_running_loop()
    got: asyncio.Future[str | None] = loop.create_future()

    def settle(value: str | None) -> None:
        if not got.done():
            got.set_result(value)

    def ask() -> None:
        try:
            value: str | None = console.input("[bold]> [/bold]")
        except (EOFError, KeyboardInterrupt):
            value = None
        loop.call_soon_threadsafe(settle, value)

    threading.Thread(target=ask, daemon=True, name="input").start()
    return await got


async def talk(settings: Settings, model: str) -> None:
    """`parley chat`."""
    console = Console()
    # The one person here is the operator.
    settings = settings.model_copy(update={"access": Access.OPEN})
    async with services(settings) as with_:
        chat = TerminalChat(console, getpass.getuser())
        if model:
            await _choose(with_, chat, model)
        await serve(with_, [chat], asyncio.Event())


async def _choose(with_: Services, chat: TerminalChat, query: str) -> None:
    match = with_.models.find(query)
    if match.model is None:
        raise ConfigurationError(f"No single model is called {query!r}: see `parley models`.")
    scope = scopes(chat.place, chat.sender)[0]
    choice = Choice(match.model.id, chat.sender.name)
    await with_.store.write(choose, scope.key, MODEL, choice)
