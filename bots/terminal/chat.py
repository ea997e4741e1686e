"""The terminal as a platform: one person, one place, answers as growing Markdown."""

import asyncio
import getpass
import itertools
import shlex
import signal
import threading
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from bots.terminal.dialect import TerminalDialect
from core.app import Services, serve, services
from core.conversation.choices import MODEL
from core.conversation.scope import scopes
from core.errors import ConfigurationError, DeliveryError, Fault
from core.port import (
    FILE,
    Attachment,
    Capabilities,
    Inbox,
    Incoming,
    Kind,
    Pace,
    Part,
    Place,
    Sender,
)
from core.settings import Access, Settings
from core.store.conversations import Choice, choose

__all__ = ["TerminalChat", "talk"]

PACE = Pace(burst=1000, rate=1000)
HINT = "Write a message. /help lists commands, /file PATH WORDS sends a file, /quit ends."


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
        self._console.print(HINT, style="dim")
        while (line := await _line(self._console)) is not None:
            text = line.strip()
            if text in ("/quit", "/exit"):
                return
            incoming = self._incoming(text) if text else None
            if incoming is None:
                continue
            self._answered.clear()
            loop.add_signal_handler(signal.SIGINT, self._interrupt, inbox)
            await inbox(incoming)
            await self._answered.wait()
            loop.remove_signal_handler(signal.SIGINT)

    def _incoming(self, text: str) -> Incoming | None:
        """What a line means; None after it was told why it means nothing."""
        if not text.startswith("/"):
            return self._said(Kind.PROMPT, text)
        command, _, argument = text[1:].partition(" ")
        if command.lower() != "file":
            return self._said(Kind.COMMAND, argument, command)
        try:
            path, *words = shlex.split(argument) or [""]
            file = Path(path).expanduser().resolve()
            if path and file.is_file():
                attached = Attachment(FILE, file.name, file.stat().st_size, str(file))
                return self._said(Kind.PROMPT, " ".join(words), files=(attached,))
            why = f"There is no file {path}" if path else "Which file? /file PATH WORDS"
        except (OSError, RuntimeError, ValueError) as error:
            why = f"{error}"
        self._console.print(why, style="yellow", markup=False, highlight=False)
        return None

    def _said(
        self, kind: Kind, text: str, command: str = "", files: tuple[Attachment, ...] = ()
    ) -> Incoming:
        key = f"{self._session}-{next(self._keys)}"
        return Incoming(
            kind, key, self.place, self.sender, text, command=command.lower(), attachments=files
        )

    def _interrupt(self, inbox: Inbox) -> None:
        self._stopping = asyncio.ensure_future(inbox(self._said(Kind.COMMAND, "", "stop")))

    async def fetch(self, attachment: Attachment, most: int) -> bytes:
        def read() -> bytes:
            with Path(attachment.ref).open("rb") as file:
                return file.read(most + 1)

        try:
            content = await asyncio.to_thread(read)
        except OSError as error:
            raise DeliveryError(f"{error.strerror}", Fault.GONE) from error
        if len(content) > most:
            raise DeliveryError("The file is too large", Fault.REJECTED)
        return content

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
    # The one person here is the operator; whose line is not kept waits for ever for an answer.
    settings = settings.model_copy(update={"access": Access.OPEN, "messages_a_minute": 0})
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
