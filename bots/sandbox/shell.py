"""The sandbox's shell: reads lines, acts as the user of a chat client, prints what the bot answers.

Lines that start with a colon are commands of the shell itself. Everything else goes to the bot.
"""

import asyncio
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
    """`clients` are selected by their names, such as ":telegram". `source`: None: standard input.

    After `silence_seconds` without any sign of the bot, the shell says so and stops waiting.
    """

    def __init__(
        self,
        console: Console,
        clients: Mapping[str, ChatClient],
        active: str,
        commands: Iterable[ShellCommand] = (),
        *,
        source: LineSource | None = None,
        silence_seconds: float = 120.0,
    ) -> None:
        self._console = console
        self._source = source
        self._silence_seconds = silence_seconds
        self._chats = {name: _Chat(client) for name, client in clients.items()}
        self._active_chat = self._chats[active]
        self._changed = asyncio.Event()
        own_commands = (
            *(ShellCommand(name, f"Switch to {client.name}", self._select(name)) for name, client in clients.items()),
            ShellCommand(":press LABEL", "Press a button; the start of its label is enough", self._press),
            ShellCommand(
                ":file PATH [TEXT]", "Send a file, a picture or a recording, with or without a text", self._send_file
            ),
            ShellCommand(":reply TEXT", "Reply to the latest message", self._reply),
            ShellCommand(":edit TEXT", "Replace the text of your latest message", self._edit),
            ShellCommand(":forward TEXT [| COMMENT]", "Forward what a friend wrote", self._forward),
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
        line_reader = LineReader(source, lambda: f"[{self._active_chat.client.name}] > ")
        watchers = [asyncio.create_task(self._watch(chat)) for chat in self._chats.values()]
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
        self._print_answers()
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
        await self._active_chat.client.send_message(text)

    def _select(self, name: str) -> Callable[[str], Awaitable[str]]:
        async def select(_argument: str) -> str:
            self._active_chat = self._chats[name]
            self._changed.clear()
            self._print_answers()
            return ""

        return select

    async def _press(self, argument: str) -> None:
        self._forget_answer()
        await self._active_chat.client.press_button(ARROW_LABELS.get(argument, argument))

    async def _send_file(self, argument: str) -> None:
        if not argument:
            raise ValueError("Which file? Usage: :file PATH [TEXT]")
        path, *words = shlex.split(argument)
        name, content = await asyncio.to_thread(_read_file, path)
        self._forget_answer()
        await self._active_chat.client.send_file(name, content, " ".join(words))

    async def _reply(self, text: str) -> None:
        if not text:
            raise ValueError("What do you reply? Usage: :reply TEXT")
        self._forget_answer()
        await self._active_chat.client.reply(text)

    async def _edit(self, text: str) -> None:
        if not text:
            raise ValueError("What is the new text? Usage: :edit TEXT")
        self._forget_answer()
        await self._active_chat.client.edit(text)

    async def _forward(self, argument: str) -> str | None:
        text, _, comment = argument.partition(" | ")
        if not text:
            raise ValueError("What did your friend write? Usage: :forward TEXT [| COMMENT]")
        self._forget_answer()
        is_question = await self._active_chat.client.forward(text, comment)
        return None if is_question else "Forwarded. In groups the bot reads it when you :reply to it."

    async def _show_help(self, _argument: str) -> str:
        self._console.print(self.help())
        return ""

    # -- answers

    def _forget_answer(self) -> None:
        self._active_chat.latest = None
        self._changed.clear()

    async def _wait_for_answer(self, *, until_first_message: bool) -> None:
        """Print the answer as it comes, until it is complete, or until it begins."""
        with self._console.status("") as status:
            while True:
                latest = self._active_chat.latest
                is_complete = latest is not None and not latest.is_partial
                try:
                    async with asyncio.timeout(SETTLE_SECONDS if is_complete else self._silence_seconds):
                        await self._changed.wait()
                except TimeoutError:
                    break
                self._changed.clear()
                latest = self._active_chat.latest
                if until_first_message and latest is not None:
                    return
                self._print_answers()
                if latest is not None and latest.is_partial:
                    tail = " ".join(latest.text.split())[-90:]
                    status.update(Text(f"{len(latest.text):>6} characters … {tail}"))
        if not is_complete:
            notice = f"Nothing came for {self._silence_seconds:.0f} seconds. What comes later is shown in this chat."
            self._console.print(notice, style="yellow")

    def _print_answers(self) -> None:
        """Print what came in the active chat, also while nobody waited for it."""
        for message in self._active_chat.take_unprinted():
            self._print(message)

    def _print(self, message: VisibleMessage) -> None:
        client = self._active_chat.client
        self._console.print(Markdown(message.text) if client.renders_markdown else Text(message.text))
        for link in message.file_links:
            self._console.print(Text(f"📎 {link}", "magenta"))
        if message.button_labels:
            self._console.print(Text("  ".join(f"[{label}]" for label in message.button_labels), "cyan"))

    async def _watch(self, chat: "_Chat") -> None:
        async for message in chat.client.visible_messages():
            chat.add(message)
            if chat is self._active_chat:
                self._changed.set()


class _Chat:
    """A client, and which of the bot's messages are still to be printed."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self.latest: VisibleMessage | None = None
        """Since the user's last message."""
        self._unprinted: dict[object, VisibleMessage] = {}
        self._printed: dict[object, VisibleMessage] = {}

    def add(self, message: VisibleMessage) -> None:
        self.latest = message
        self._unprinted.pop(message.id, None)
        if not message.is_partial and self._printed.get(message.id) != message:
            self._unprinted[message.id] = message

    def take_unprinted(self) -> list[VisibleMessage]:
        messages = list(self._unprinted.values())
        self._printed |= self._unprinted
        self._unprinted.clear()
        return messages


def _read_file(path: str) -> tuple[str, bytes]:
    file = Path(path).expanduser()
    return file.name, file.read_bytes()
