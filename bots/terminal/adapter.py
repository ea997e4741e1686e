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
from core.app import Services, open_services, serve
from core.conversation.preferences import MODEL
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure
from core.port import (
    Attachment,
    Capabilities,
    EventKind,
    Inbox,
    Incoming,
    Part,
    Place,
    PreviewMode,
    RateLimit,
    Sender,
)
from core.scopes import applicable_scopes
from core.settings import AccessMode, Settings
from core.store.conversations import Preference, set_preference

__all__ = ["TerminalAdapter", "run_terminal_chat"]

UNLIMITED_RATE = RateLimit(burst=1000, rate=1000)
WELCOME_TEXT = "Write a message. /help lists commands, /file PATH WORDS sends a file, /quit ends."


class TerminalAdapter:
    """Reads lines, shows answers; see `core.port.Chat`."""

    platform = "terminal"
    account = "local"
    account_rate_limit = UNLIMITED_RATE

    def __init__(self, console: Console, user: str) -> None:
        self.dialect = TerminalDialect()
        self.place = Place(self.platform, self.account, user, is_private=True)
        self.sender = Sender(self.platform, user, user, is_manager=True)
        self._console = console
        self._event_numbers = itertools.count()
        self._session = f"{threading.get_ident():x}{id(self):x}{asyncio.get_running_loop().time()}"
        self._live: Live | None = None
        self._answer_finished = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:  # noqa: ARG002 (there is one place)
        return Capabilities(
            UNLIMITED_RATE, preview_mode=PreviewMode.DRAFT, preview_interval=0.1, menu_page_size=100, list_page_size=100
        )

    async def run(self, inbox: Inbox) -> None:
        """Until end of input, /quit or cancelled."""
        loop = asyncio.get_running_loop()
        self._console.print(WELCOME_TEXT, style="dim")
        while (line := await _read_line(self._console)) is not None:
            text = line.strip()
            if text in ("/quit", "/exit"):
                return
            incoming = self._parse_line(text) if text else None
            if incoming is None:
                continue
            self._answer_finished.clear()
            loop.add_signal_handler(signal.SIGINT, self._on_interrupt, inbox)
            await inbox(incoming)
            await self._answer_finished.wait()
            loop.remove_signal_handler(signal.SIGINT)

    def _parse_line(self, text: str) -> Incoming | None:
        """What a line means; None after it was told why it means nothing."""
        if not text.startswith("/"):
            return self._create_incoming(EventKind.PROMPT, text)
        command, _, argument = text[1:].partition(" ")
        if command.lower() != "file":
            return self._create_incoming(EventKind.COMMAND, argument, command)
        try:
            path, *caption_words = shlex.split(argument) or [""]
            file = Path(path).expanduser().resolve()
            if path and file.is_file():
                attachment = Attachment("file", file.name, file.stat().st_size, str(file), is_document=True)
                return self._create_incoming(EventKind.PROMPT, " ".join(caption_words), attachments=(attachment,))
            problem = f"There is no file {path}" if path else "Which file? /file PATH WORDS"
        except (OSError, RuntimeError, ValueError) as error:
            problem = f"{error}"
        self._console.print(problem, style="yellow", markup=False, highlight=False)
        return None

    def _create_incoming(
        self,
        kind: EventKind,
        text: str,
        command: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> Incoming:
        key = f"{self._session}-{next(self._event_numbers)}"
        return Incoming(
            kind,
            key,
            self.place,
            self.sender,
            text,
            command=command.lower(),
            attachments=attachments,
        )

    def _on_interrupt(self, inbox: Inbox) -> None:
        self._stop_task = asyncio.ensure_future(inbox(self._create_incoming(EventKind.COMMAND, "", "stop")))

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        def read() -> bytes:
            with Path(attachment.file_id).open("rb") as file:
                return file.read(max_bytes + 1)

        try:
            content = await asyncio.to_thread(read)
        except OSError as error:
            raise DeliveryError(f"{error.strerror}", DeliveryFailure.GONE) from error
        if len(content) > max_bytes:
            raise DeliveryError("The file is too large", DeliveryFailure.REJECTED)
        return content

    async def send(
        self,
        place: Place,  # noqa: ARG002 (there is one)
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,  # noqa: ARG002 (all is below its question)
        interaction_token: str | None = None,  # noqa: ARG002 (none is given out)
        ephemeral: bool = False,
    ) -> str:
        if ephemeral and self._live is not None:  # the reply to Ctrl-C, above the answer that is being stopped
            self._console.print(Markdown(part.text))
        else:
            self._print(part)
        return key

    async def edit(
        self,
        place: Place,  # noqa: ARG002 (there is one)
        message_id: str,  # noqa: ARG002 (printed text cannot be changed)
        part: Part,
        *,
        interaction_token: str | None = None,  # noqa: ARG002 (none is given out)
    ) -> None:
        self._print(part)

    async def show_draft(
        self,
        place: Place,  # noqa: ARG002 (there is one)
        draft_id: int,  # noqa: ARG002 (one answer grows at a time)
        part: Part,
    ) -> None:
        self._show_live(part.text or "Thinking…")

    def _show_live(self, text: str) -> Live:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=12, vertical_overflow="visible")
            self._live.start()
        self._live.update(Markdown(text))
        return self._live

    def _print(self, part: Part) -> None:
        """Print a message in place of the draft; the person can write again."""
        text = part.text
        if part.menu:
            text += "\n\n" + "\n".join(f"- {'✓ ' * item.is_selected}{item.label}" for item in part.menu)
        self._show_live(text).stop()
        self._live = None
        self._console.print()
        self._answer_finished.set()

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        """What was printed stays."""

    async def show_typing(self, place: Place) -> None:
        """A terminal shows none."""


async def _read_line(console: Console) -> str | None:
    """One line of input; None at its end. The thread is left behind when cancelled."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[str | None] = loop.create_future()

    def set_result(value: str | None) -> None:
        if not result.done():
            result.set_result(value)

    def read_input() -> None:
        try:
            value: str | None = console.input("[bold]> [/bold]")
        except (EOFError, KeyboardInterrupt):
            value = None
        loop.call_soon_threadsafe(set_result, value)

    threading.Thread(target=read_input, daemon=True, name="input").start()
    return await result


async def run_terminal_chat(settings: Settings, model: str) -> None:
    """`parley chat`."""
    console = Console()
    # The one person here is the operator; whose line is not kept waits for ever for an answer.
    settings = settings.model_copy(update={"access": AccessMode.OPEN, "messages_a_minute": 0})
    async with open_services(settings) as services:
        adapter = TerminalAdapter(console, getpass.getuser())
        if model:
            await _choose_model(services, adapter, model)
        await serve(services, [adapter], asyncio.Event())


async def _choose_model(services: Services, adapter: TerminalAdapter, query: str) -> None:
    match = services.models.find(query)
    if match.model is None:
        raise ConfigurationError(f"No single model is called {query!r}: see `parley models`.")
    scope = applicable_scopes(adapter.place, adapter.sender)[0]
    choice = Preference(match.model.id, adapter.sender.name)
    await services.store.write(set_preference, scope.key, MODEL, choice)
