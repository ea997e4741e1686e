"""The sandbox's shell: reads lines, acts as the user of a chat client, prints what the bot answers.

Lines that start with a colon are commands of the shell itself. Everything else goes to the bot.
"""

import asyncio
import contextlib
import difflib
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bots.rich_markdown import Markdown
from bots.sandbox.chat_clients import ChatClient, VisibleMessage
from bots.terminal.input import LineReader, LineSource, standard_input

QUIT_COMMANDS = (":quit", ":q", "/quit", "/exit")
"""The bot has no commands with these names."""
ANSWER_TIMEOUT_SECONDS = 120.0
SETTLE_SECONDS = 1.2
"""An answer is complete when nothing changes for this long."""
NO_WAIT_SUFFIX = " &"
ARROW_LABELS = {">": "▶", "<": "◀"}
"""Labels that keyboards lack."""


@dataclass(frozen=True, slots=True)
class ShellCommand:
    usage: str
    """The name with its arguments, such as ":press LABEL"."""
    help: str
    run: Callable[[str], Awaitable[str | None]]
    """Gets the argument. Returns a text to print, or None when the bot will answer.

    Raises `ValueError` with a text for the user.
    """

    @property
    def name(self) -> str:
        return self.usage.partition(" ")[0]


class SandboxShell:
    """`clients` are selected by their names, such as ":telegram". `source`: None: standard input."""

    def __init__(
        self,
        console: Console,
        clients: Mapping[str, ChatClient],
        active: str,
        commands: Iterable[ShellCommand] = (),
        *,
        source: LineSource | None = None,
    ) -> None:
        self._console = console
        self._source = source
        self._clients = clients
        self._active_client = clients[active]
        self._changed = asyncio.Event()
        self._printed: dict[object, VisibleMessage] = {}
        self._latest: VisibleMessage | None = None
        own_commands = (
            *(ShellCommand(name, f"Switch to {client.name}", self._select(name)) for name, client in clients.items()),
            ShellCommand(":press LABEL", "Press a button; the start of its label is enough", self._press),
            ShellCommand(":file PATH [TEXT]", "Send a file, with or without a text", self._send_file),
            *commands,
            ShellCommand(":help", "Show these commands", self._show_help),
        )
        self._commands = {command.name: command for command in own_commands}

    def help(self) -> RenderableType:
        """The table of commands."""
        table = Table.grid(padding=(0, 2))
        for command in self._commands.values():
            table.add_row(command.usage, command.help, style="dim")
        table.add_row(":quit", "End the sandbox", style="dim")
        table.add_row(f"TEXT{NO_WAIT_SUFFIX}", "Do not wait for the answer, for example to send /stop", style="dim")
        return table

    async def run(self) -> None:
        """Run until `:quit` or the end of the input."""
        source = self._source or standard_input(self._console)
        line_reader = LineReader(source, lambda: f"[{self._active_client.name}] > ")
        watchers = [asyncio.create_task(self._watch(client)) for client in self._clients.values()]
        try:
            while (line := await line_reader.read()) is not None:
                text = line.strip()
                if text in QUIT_COMMANDS:
                    break
                if text:
                    await self._handle_line(text)
        finally:
            line_reader.close()
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _handle_line(self, line: str) -> None:
        self._print_late_answer()
        text = line.removesuffix(NO_WAIT_SUFFIX)
        try:
            notice = await (self._run_command(text) if text.startswith(":") else self._send(text))
        except ValueError as error:
            self._console.print(str(error), style="yellow", markup=False)
        except OSError as error:
            self._console.print(f"{error.filename}: {error.strerror}", style="yellow", markup=False)
        else:
            if notice is None:
                await self._wait_for_answer(until_first_message=line != text)
            elif notice:
                self._console.print(notice, style="dim", markup=False)

    # -- commands

    async def _run_command(self, text: str) -> str | None:
        name, _, argument = text.partition(" ")
        command = self._commands.get(name)
        if command is None:
            similar = difflib.get_close_matches(name, self._commands, 1)
            raise ValueError(f"Unknown command. Did you mean {similar[0] if similar else ':help'}?")
        return await command.run(argument.strip())

    async def _send(self, text: str) -> None:
        self._forget_answer()
        await self._active_client.send_message(text)

    def _select(self, name: str) -> Callable[[str], Awaitable[str]]:
        async def select(_argument: str) -> str:
            self._active_client = self._clients[name]
            return ""

        return select

    async def _press(self, argument: str) -> None:
        self._forget_answer()
        await self._active_client.press_button(ARROW_LABELS.get(argument, argument))

    async def _send_file(self, argument: str) -> None:
        if not argument:
            raise ValueError("Which file? Usage: :file PATH [TEXT]")
        path, *words = shlex.split(argument)
        name, content = await asyncio.to_thread(_read_file, path)
        self._forget_answer()
        await self._active_client.send_file(name, content, " ".join(words))

    async def _show_help(self, _argument: str) -> str:
        self._console.print(self.help())
        return ""

    # -- answers

    def _print_late_answer(self) -> None:
        """Print what came while nobody waited for it."""
        if self._latest is not None and not self._latest.is_partial:
            self._print(self._latest)

    def _forget_answer(self) -> None:
        self._latest = None
        self._changed.clear()

    async def _wait_for_answer(self, *, until_first_message: bool) -> None:
        """Print the answer as it comes, until it is complete, or until it begins."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                with self._console.status("") as status:
                    while True:
                        is_complete = self._latest is not None and not self._latest.is_partial
                        try:
                            async with asyncio.timeout(SETTLE_SECONDS if is_complete else None):
                                await self._changed.wait()
                        except TimeoutError:
                            return
                        self._changed.clear()
                        message = self._latest
                        if until_first_message and message is not None:
                            return
                        if message is not None and message.is_partial:
                            tail = " ".join(message.text.split())[-90:]
                            status.update(Text(f"{len(message.text):>6} characters … {tail}"))
                        elif message is not None:
                            self._print(message)

    def _print(self, message: VisibleMessage) -> None:
        if self._printed.get(message.id) == message:
            return
        self._printed[message.id] = message
        self._console.print(Markdown(message.text) if self._active_client.renders_markdown else Text(message.text))
        for link in message.file_links:
            self._console.print(Text(f"📎 {link}", "magenta"))
        if message.button_labels:
            self._console.print(Text("  ".join(f"[{label}]" for label in message.button_labels), "cyan"))

    async def _watch(self, client: ChatClient) -> None:
        async for message in client.visible_messages():
            if client is self._active_client:
                self._print_late_answer()  # an earlier part of the same answer
                self._latest = message
                self._changed.set()


def _read_file(path: str) -> tuple[str, bytes]:
    file = Path(path).expanduser()
    return file.name, file.read_bytes()
