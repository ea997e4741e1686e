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

from bots.sandbox.controls import HELP, Controls
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.discord import Person as DiscordPerson
from bots.sandbox.telegram import Person as TelegramPerson
from bots.sandbox.telegram import TelegramStandIn
from core.commands.declared import COMMANDS

__all__ = ["Client", "DiscordSide", "Side", "TelegramSide"]

QUITS = (":quit", ":q", "/quit", "/exit")  # no command of the bot is called so
ANSWERED = 120.0  # seconds to wait for an answer before the next line is read
SETTLED = 1.2  # seconds without a change after which an answer is whole
AT_ONCE = " &"  # at the end of a line: the next is read while it is answered
ARROWS = {">": "▶", "<": "◀"}  # on buttons, and not on keyboards


class Shown:
    """One message as the person sees it: `id` None while it is a draft."""

    def __init__(self, id_: object, text: str, buttons: list[str], *, growing: bool) -> None:
        self.id = id_
        self.text = text
        self.buttons = buttons
        self.growing = growing


class Side(Protocol):
    """One place on one platform, from the person's side."""

    name: str
    markdown: bool

    async def say(self, text: str) -> None: ...

    async def send(self, name: str, content: bytes, text: str) -> None: ...

    async def press(self, label: str) -> bool: ...

    def watch(self) -> AsyncIterator[Shown]: ...


class TelegramSide:
    markdown = False

    def __init__(self, server: TelegramStandIn, person: TelegramPerson, *, group: bool) -> None:
        self._server = server
        self._group = group
        self._person = person
        self._chat = (
            server.supergroup("Sandbox group", self._person)
            if group
            else server.private(self._person)
        )
        self.name = "telegram group" if group else "telegram"

    async def say(self, text: str) -> None:
        if not text.startswith("/"):
            text = self._addressed(text)
        await self._server.say(self._person, self._chat, text)

    async def send(self, name: str, content: bytes, text: str) -> None:
        caption = self._addressed(text)
        await self._server.send_document(self._person, self._chat, name, content, caption=caption)

    def _addressed(self, text: str) -> str:
        return f"@{self._server.bot.username} {text}" if self._group else text

    async def press(self, label: str) -> bool:
        for message in reversed(self._server.messages(self._chat)):
            rows = (message.reply_markup or {}).get("inline_keyboard", [])
            for button in (button for row in rows for button in row):
                if button["text"].casefold().startswith(label.casefold()):
                    await self._server.press(self._person, message, button["callback_data"])
                    return True
        return False

    async def watch(self) -> AsyncIterator[Shown]:
        async for event in self._server.watch(self._chat):
            message = event.message
            if event.kind == "draft":
                yield Shown(None, event.text or "Thinking…", [], growing=True)
            elif event.kind in ("sent", "edited") and message is not None and message.from_bot:
                rows = (message.reply_markup or {}).get("inline_keyboard", [])
                labels = [button["text"] for row in rows for button in row]
                yield Shown(message.id, message.text, labels, growing="Stop" in labels)


class DiscordSide:
    markdown = True

    def __init__(self, server: DiscordStandIn, person: DiscordPerson, *, direct: bool) -> None:
        self._server = server
        self._direct = direct
        self._person = person
        self._channel = (
            server.dm(self._person)
            if direct
            else server.channel(server.guild("Sandbox server", self._person), "general")
        )
        self.name = "discord dm" if direct else "discord #general"

    async def say(self, text: str) -> None:
        if text.startswith("/"):
            await self._slash(text[1:])
            return
        await self._server.say(self._person, self._channel, self._addressed(text))

    async def send(self, name: str, content: bytes, text: str) -> None:
        text = self._addressed(text)
        await self._server.send_file(self._person, self._channel, name, content, text=text)

    def _addressed(self, text: str) -> str:
        return text if self._direct else f"{self._server.mention} {text}"

    async def _slash(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = next((command for command in COMMANDS if command.name == name), None)
        options: dict[str, str] = {}
        if command is not None and argument:
            written = [one for one in command.arguments if not one.file]
            words = argument.split(" ", len(written) - 1) if len(written) > 1 else [argument]
            options = {a.name: word for a, word in zip(written, words, strict=False)}
        wanted = () if command is None else command.arguments
        if missing := [one for one in wanted if one.required and one.name not in options]:
            raise ValueError(f"/{name} needs {missing[0].name}: {missing[0].summary.lower()}")
        await self._server.slash(self._person, self._channel, name, user_installed=False, **options)

    async def press(self, label: str) -> bool:
        for message in reversed(self._server.messages(self._channel)):
            for row in message.components:
                for item in row.get("components", []):
                    if str(item.get("label", "")).casefold().startswith(label.casefold()):
                        await self._server.press(self._person, message, item["custom_id"])
                        return True
                    for option in item.get("options", []):
                        if str(option["label"]).casefold().startswith(label.casefold()):
                            await self._server.select(
                                self._person, message, item["custom_id"], [option["value"]]
                            )
                            return True
        return False

    async def watch(self) -> AsyncIterator[Shown]:
        async for event in self._server.watch(self._channel):
            message = event.message
            if event.kind not in ("sent", "edited") or message is None or not message.from_bot:
                continue
            labels = []
            for row in message.components:
                for item in row.get("components", []):
                    labels += [item["label"]] if item.get("label") else []
                    labels += [option["label"] for option in item.get("options", [])]
            yield Shown(message.id, message.content, labels, growing="Stop" in labels)


class Client:
    """Reads lines, plays the person, prints what comes back."""

    def __init__(
        self, console: Console, sides: dict[str, Side], first: str, controls: Controls | None
    ) -> None:
        self._console = console
        self._controls = controls
        self._sides = sides
        self._side = sides[first]
        self._changed = asyncio.Event()
        self._printed: dict[object, str] = {}
        self._latest: Shown | None = None

    async def run(self) -> None:
        """Until :quit or the end of the input."""
        watchers = [asyncio.create_task(self._watch(side)) for side in self._sides.values()]
        try:
            while (line := await self._line()) is not None:
                text = line.strip()
                if text in QUITS:
                    break
                if text:
                    await self._do(text)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def _do(self, text: str) -> None:
        if text in self._sides:
            self._side = self._sides[text]
            return
        more, text = text.endswith(AT_ONCE), text.removesuffix(AT_ONCE)
        word, _, rest = text.partition(" ")
        if self._controls is not None and (came := self._controls.do(word, rest)):
            self._console.print(came, style="dim", markup=False)
            return
        self._latest = None
        self._changed.clear()
        if await self._act(word, rest.strip(), text):
            await self._answered(begun=more)

    async def _act(self, word: str, rest: str, text: str) -> bool:
        """Whether something was said or done that will be answered."""
        why = ""
        try:
            if word == ":press":
                pressed = await self._side.press(ARROWS.get(rest, rest))
                why = "" if pressed else "There is no such button."
            elif word == ":file" and not rest:
                why = "Which file? :file PATH WORDS"
            elif word == ":file":
                path, *words = shlex.split(rest)
                name, content = await asyncio.to_thread(_file, path)
                await self._side.send(name, content, " ".join(words))
            elif text.startswith(":"):
                why = f"I know {' '.join(self._sides)} :press :file :quit"
                why += f"\n{HELP}" if self._controls is not None else ""
            else:
                await self._side.say(text)
        except ValueError as error:  # what the platform's own client would not let one send
            why = str(error)
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
        if why:
            self._console.print(why, style="yellow", markup=False)
        return not why

    async def _answered(self, *, begun: bool) -> None:
        """Wait until an answer has come and nothing moves any more, or until it has `begun`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWERED):
                with self._console.status("") as status:
                    while True:
                        whole = self._latest is not None and not self._latest.growing
                        try:
                            async with asyncio.timeout(SETTLED if whole else None):
                                await self._changed.wait()
                        except TimeoutError:
                            return
                        self._changed.clear()
                        shown = self._latest
                        if begun and shown is not None:
                            return
                        if shown is not None and shown.growing:
                            tail = " ".join(shown.text.split())[-90:]
                            status.update(Text(f"{len(shown.text):>6} characters … {tail}"))
                        elif shown is not None:
                            self._print(shown)

    def _print(self, shown: Shown) -> None:
        key = (shown.id, shown.text, *shown.buttons)
        if self._printed.get(shown.id) == str(key):
            return
        self._printed[shown.id] = str(key)
        self._console.print(Markdown(shown.text) if self._side.markdown else Text(shown.text))
        if shown.buttons:
            self._console.print(Text("  ".join(f"[{label}]" for label in shown.buttons), "cyan"))

    async def _watch(self, side: Side) -> None:
        async for shown in side.watch():
            if side is self._side:
                if self._latest is not None and not self._latest.growing:
                    self._print(self._latest)  # a part of several
                self._latest = shown
                self._changed.set()

    async def _line(self) -> str | None:
        loop = asyncio.get_running_loop()
        got: asyncio.Future[str | None] = loop.create_future()

        def settle(value: str | None) -> None:
            if not got.done():
                got.set_result(value)

        def ask() -> None:
            prompt = f"[{self._side.name}] > "
            try:
                value: str | None = input(prompt)
            except (EOFError, KeyboardInterrupt):
                value = None
            loop.call_soon_threadsafe(settle, value)

        sys.stdout.flush()
        threading.Thread(target=ask, daemon=True, name="input").start()
        return await got


def _file(path: str) -> tuple[str, bytes]:
    file = Path(path).expanduser()
    return file.name, file.read_bytes()
