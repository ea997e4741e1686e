"""A person at a terminal, in either platform's stand-in."""

import asyncio
import contextlib
import shlex
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.discord import User as DiscordPerson
from bots.sandbox.model_controls import HELP, ModelControls
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.telegram import User as TelegramPerson
from core.commands.declarations import COMMANDS

__all__ = ["ChatClient", "DiscordChatClient", "SandboxShell", "TelegramChatClient"]

QUIT_COMMANDS = (":quit", ":q", "/quit", "/exit")  # no command of the bot is called so
ANSWER_TIMEOUT_SECONDS = 120.0  # seconds to wait for an answer before the next line is read
SETTLE_SECONDS = 1.2  # seconds without a change after which an answer is whole
NO_WAIT_SUFFIX = " &"  # at the end of a line: the next is read while it is answered
ARROW_LABELS = {">": "▶", "<": "◀"}  # on buttons, and not on keyboards


class VisibleMessage:
    """One message as the person sees it: `id` None while it is a draft."""

    def __init__(self, message_id: object, text: str, buttons: list[str], *, is_partial: bool) -> None:
        self.id = message_id
        self.text = text
        self.buttons = buttons
        self.is_partial = is_partial


class ChatClient(Protocol):
    """One place on one platform, from the person's side."""

    name: str
    renders_markdown: bool

    async def send_message(self, text: str) -> None: ...

    async def send_file(self, name: str, content: bytes, text: str) -> None: ...

    async def press_button(self, label: str) -> bool: ...

    def visible_messages(self) -> AsyncIterator[VisibleMessage]: ...


class TelegramChatClient:
    renders_markdown = False

    def __init__(self, server: TelegramStandIn, user: TelegramPerson, *, is_group: bool) -> None:
        self._server = server
        self._is_group = is_group
        self._user = user
        self._chat = (
            server.create_supergroup("Sandbox group", self._user) if is_group else server.open_private_chat(self._user)
        )
        self.name = "telegram group" if is_group else "telegram"

    async def send_message(self, text: str) -> None:
        if not text.startswith("/"):
            text = self._with_mention(text)
        await self._server.send_message(self._user, self._chat, text)

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        caption = self._with_mention(text)
        await self._server.send_document(self._user, self._chat, name, content, caption=caption)

    def _with_mention(self, text: str) -> str:
        return f"@{self._server.bot.username} {text}" if self._is_group else text

    async def press_button(self, label: str) -> bool:
        for message in reversed(self._server.messages(self._chat)):
            rows = (message.reply_markup or {}).get("inline_keyboard", [])
            for button in (button for row in rows for button in row):
                if button["text"].casefold().startswith(label.casefold()):
                    await self._server.press_button(self._user, message, button["callback_data"])
                    return True
        return False

    async def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        async for event in self._server.watch(self._chat):
            message = event.message
            if event.kind == "draft":
                yield VisibleMessage(None, event.text or "Thinking…", [], is_partial=True)
            elif event.kind in ("sent", "edited") and message is not None and message.from_bot:
                rows = (message.reply_markup or {}).get("inline_keyboard", [])
                labels = [button["text"] for row in rows for button in row]
                yield VisibleMessage(message.id, message.text, labels, is_partial="Stop" in labels)


class DiscordChatClient:
    renders_markdown = True

    def __init__(self, server: DiscordStandIn, user: DiscordPerson, *, is_dm: bool) -> None:
        self._server = server
        self._is_dm = is_dm
        self._user = user
        self._channel = (
            server.open_dm(self._user)
            if is_dm
            else server.create_channel(server.create_guild("Sandbox server", self._user), "general")
        )
        self.name = "discord dm" if is_dm else "discord #general"

    async def send_message(self, text: str) -> None:
        if text.startswith("/"):
            await self._use_command(text[1:])
            return
        await self._server.send_message(self._user, self._channel, self._with_mention(text))

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        text = self._with_mention(text)
        await self._server.send_file(self._user, self._channel, name, content, text=text)

    def _with_mention(self, text: str) -> str:
        return text if self._is_dm else f"{self._server.mention} {text}"

    async def _use_command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = next((command for command in COMMANDS if command.name == name), None)
        options: dict[str, str] = {}
        if command is not None and argument:
            text_arguments = [one for one in command.arguments if not one.is_file]
            words = argument.split(" ", len(text_arguments) - 1) if len(text_arguments) > 1 else [argument]
            options = {a.name: word for a, word in zip(text_arguments, words, strict=False)}
        wanted = () if command is None else command.arguments
        if missing := [one for one in wanted if one.is_required and one.name not in options]:
            raise ValueError(f"/{name} needs {missing[0].name}: {missing[0].description.lower()}")
        await self._server.use_command(self._user, self._channel, name, is_user_installed=False, **options)

    async def press_button(self, label: str) -> bool:
        for message in reversed(self._server.messages(self._channel)):
            for row in message.components:
                for item in row.get("components", []):
                    if str(item.get("label", "")).casefold().startswith(label.casefold()):
                        await self._server.press_button(self._user, message, item["custom_id"])
                        return True
                    for option in item.get("options", []):
                        if str(option["label"]).casefold().startswith(label.casefold()):
                            await self._server.select_options(self._user, message, item["custom_id"], [option["value"]])
                            return True
        return False

    async def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        async for event in self._server.watch(self._channel):
            message = event.message
            if event.kind not in ("sent", "edited") or message is None or not message.from_bot:
                continue
            labels = []
            for row in message.components:
                for item in row.get("components", []):
                    labels += [item["label"]] if item.get("label") else []
                    labels += [option["label"] for option in item.get("options", [])]
            yield VisibleMessage(message.id, message.content, labels, is_partial="Stop" in labels)


class SandboxShell:
    """Reads lines, plays the person, prints what comes back."""

    def __init__(
        self,
        console: Console,
        clients: dict[str, ChatClient],
        active: str,
        controls: ModelControls | None,
    ) -> None:
        self._console = console
        self._controls = controls
        self._clients = clients
        self._active_client = clients[active]
        self._changed = asyncio.Event()
        self._printed_versions: dict[object, str] = {}
        self._latest: VisibleMessage | None = None

    async def run(self) -> None:
        """Until :quit or the end of the input."""
        watchers = [asyncio.create_task(self._watch(side)) for side in self._clients.values()]
        try:
            while (line := await self._read_line()) is not None:
                text = line.strip()
                if text in QUIT_COMMANDS:
                    break
                if text:
                    await self._handle_line(text)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _handle_line(self, text: str) -> None:
        if text in self._clients:
            self._active_client = self._clients[text]
            return
        more, text = text.endswith(NO_WAIT_SUFFIX), text.removesuffix(NO_WAIT_SUFFIX)
        command, _, argument = text.partition(" ")
        if self._controls is not None and (came := self._controls.run(command, argument)):
            self._console.print(came, style="dim", markup=False)
            return
        self._latest = None
        self._changed.clear()
        if await self._perform(command, argument.strip(), text):
            await self._wait_for_answer(until_first_message=more)

    async def _perform(self, command: str, argument: str, text: str) -> bool:
        """Whether something was said or done that will be answered."""
        problem = ""
        try:
            if command == ":press":
                pressed = await self._active_client.press_button(ARROW_LABELS.get(argument, argument))
                problem = "" if pressed else "There is no such button."
            elif command == ":file" and not argument:
                problem = "Which file? :file PATH WORDS"
            elif command == ":file":
                path, *words = shlex.split(argument)
                name, content = await asyncio.to_thread(_read_file, path)
                await self._active_client.send_file(name, content, " ".join(words))
            elif text.startswith(":"):
                problem = f"I know {' '.join(self._clients)} :press :file :quit"
                problem += f"\n{HELP}" if self._controls is not None else ""
            else:
                await self._active_client.send_message(text)
        except ValueError as error:  # what the platform's own client would not let one send
            problem = str(error)
        except OSError as error:
            problem = f"{error.filename}: {error.strerror}"
        if problem:
            self._console.print(problem, style="yellow", markup=False)
        return not problem

    async def _wait_for_answer(self, *, until_first_message: bool) -> None:
        """Wait until an answer has come and nothing moves any more, or until it has `begun`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                with self._console.status("") as status:
                    while True:
                        whole = self._latest is not None and not self._latest.is_partial
                        try:
                            async with asyncio.timeout(SETTLE_SECONDS if whole else None):
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
        key = (message.id, message.text, *message.buttons)
        if self._printed_versions.get(message.id) == str(key):
            return
        self._printed_versions[message.id] = str(key)
        self._console.print(Markdown(message.text) if self._active_client.renders_markdown else Text(message.text))
        if message.buttons:
            self._console.print(Text("  ".join(f"[{label}]" for label in message.buttons), "cyan"))

    async def _watch(self, client: ChatClient) -> None:
        async for shown in client.visible_messages():
            if client is self._active_client:
                if self._latest is not None and not self._latest.is_partial:
                    self._print(self._latest)  # a part of several
                self._latest = shown
                self._changed.set()

    async def _read_line(self) -> str | None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str | None] = loop.create_future()

        def settle(value: str | None) -> None:
            if not future.done():
                future.set_result(value)

        def ask() -> None:
            prompt = f"[{self._active_client.name}] > "
            try:
                value: str | None = input(prompt)
            except (EOFError, KeyboardInterrupt):
                value = None
            loop.call_soon_threadsafe(settle, value)

        sys.stdout.flush()
        threading.Thread(target=ask, daemon=True, name="input").start()
        return await future


def _read_file(path: str) -> tuple[str, bytes]:
    file = Path(path).expanduser()
    return file.name, file.read_bytes()
