"""The terminal adapter: one person, one place; a growing answer is redrawn in place."""

import asyncio
import itertools
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bots.downloads import file_too_large
from bots.rich_markdown import Markdown
from bots.terminal.dialect import TerminalDialect
from bots.terminal.input import LineReader, interrupt_handler, standard_input
from bots.terminal.live_answer import LiveAnswer
from bots.terminal.translate import translate
from core.errors import AccessDeniedError, DeliveryError, DeliveryFailure, StoreError
from core.port import Attachment, Capabilities, Inbox, Part, Place, PreviewMode, RateLimit, Sender
from core.texts.answers import THINKING
from core.turns.inbox import is_question

UNLIMITED_RATE: RateLimit = ()
QUIT_COMMANDS = ("/quit", "/exit", ":quit", ":q")
"""Those of the sandbox end it, too."""
WELCOME_TEXT = "Write a message. /help lists commands, /file PATH TEXT sends a file, /quit ends."


class TerminalAdapter:
    platform = "terminal"
    account = "local"
    account_rate_limit = UNLIMITED_RATE

    def __init__(self, console: Console, user: str) -> None:
        self.dialect = TerminalDialect()
        self.place = Place(self.platform, self.account, user, is_private=True)
        self.sender = Sender(self.platform, user, user, is_manager=True, is_server_manager=True)
        self._console = console
        self._line_reader = LineReader(standard_input(console), lambda: "> ")
        self.session = uuid.uuid4().hex
        """The keys of this session's events begin with it."""
        self.has_asked = False
        self._event_numbers = itertools.count()
        self._live_answer = LiveAnswer(console)
        self._answer_finished = asyncio.Event()

    def capabilities(self, place: Place) -> Capabilities:  # noqa: ARG002 (there is one place)
        return Capabilities(
            UNLIMITED_RATE, preview_mode=PreviewMode.DRAFT, preview_interval=0.1, menu_page_size=100, list_page_size=100
        )

    async def run(self, inbox: Inbox) -> None:
        """Serve until the input ends, /quit or cancelled."""
        self._console.print(WELCOME_TEXT, style="dim")
        try:
            while (line := await self._line_reader.read()) is not None:
                text = line.strip()
                if text in QUIT_COMMANDS:
                    return
                if text:
                    await self._handle_line(text, inbox)
        finally:
            self._live_answer.abandon()
            self._line_reader.close()

    async def _handle_line(self, text: str, inbox: Inbox) -> None:
        """Wait for the answer to one line; Ctrl-C stops it."""
        try:
            incoming = translate(text, self._next_key(), self.place, self.sender)
        except ValueError as error:
            self._print_notice(str(error))
            return
        self._answer_finished.clear()
        self.has_asked |= is_question(incoming)
        with interrupt_handler(partial(self._on_interrupt, inbox)):
            try:
                await inbox(incoming)
                await self._answer_finished.wait()
            except (AccessDeniedError, StoreError) as error:
                self._print_notice(str(error))

    def _on_interrupt(self, inbox: Inbox) -> None:
        stop = translate("/stop", self._next_key(), self.place, self.sender)
        self._stop_task = asyncio.ensure_future(inbox(stop))  # the attribute keeps the task alive

    def _next_key(self) -> str:
        return f"{self.session}-{next(self._event_numbers)}"

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        return await asyncio.to_thread(read_file, attachment.file_id, max_bytes)

    async def send(
        self,
        place: Place,  # noqa: ARG002 (there is one place)
        part: Part,
        *,
        key: str,
        ephemeral: bool = False,
        **_: Any,  # an answer is always below its question, and a terminal has no interaction tokens
    ) -> str:
        if ephemeral and self._live_answer.is_shown:  # the reply to Ctrl-C, above the answer that is being stopped
            self._console.print(Markdown(part.text))
        else:
            self._print(part)
        return key

    async def edit(
        self,
        place: Place,  # noqa: ARG002 (there is one place)
        message_id: str,  # noqa: ARG002 (printed text cannot be changed)
        part: Part,
        **_: Any,
    ) -> None:
        self._print(part)

    async def show_draft(
        self,
        place: Place,  # noqa: ARG002 (there is one place)
        draft_id: int,  # noqa: ARG002 (one answer grows at a time)
        part: Part,
    ) -> None:
        self._live_answer.show(part.text or THINKING)

    async def delete(self, place: Place, message_id: str, **_: Any) -> None:
        """Printed text stays."""

    async def show_typing(self, place: Place) -> None:
        """The draft shows "Thinking…" instead."""

    def _print(self, part: Part) -> None:
        """Print a message in place of the draft; the person can write again."""
        text = part.text
        if part.menu:
            text += "\n\n" + "\n".join(f"- {'✓ ' * item.is_selected}{item.label}" for item in part.menu)
        self._live_answer.finish(text)
        self._console.print()
        self._answer_finished.set()

    def _print_notice(self, text: str) -> None:
        self._console.print(text, style="yellow", markup=False, highlight=False)


def read_file(path: str, max_bytes: int) -> bytes:
    """The content of the file at `path`. Raises `DeliveryError`."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise DeliveryError(f"{error.strerror}", DeliveryFailure.GONE) from error
    if len(content) > max_bytes:
        raise file_too_large()
    return content
