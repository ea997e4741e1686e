"""The terminal under the contract suite: lines from a pipe, and a small terminal that shows what is printed."""

import io
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from bots.terminal.adapter import WELCOME_TEXT, TerminalAdapter
from core.port import Adapter, Place
from tests.contract.harness import Ability, PlatformHarness, VisibleMessage

PROMPT = "> "
CONTROL_CODE = re.compile(r"\x1b\[(\??\d*)([A-Za-z])|[\r\n]")


class Screen(io.StringIO):
    """What a terminal shows. It knows the control codes with which `rich` redraws a text in place."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.is_cursor_hidden = False
        self._row = 0

    def write(self, text: str) -> int:
        end = 0
        for code in CONTROL_CODE.finditer(text):
            self.lines[self._row] += text[end : code.start()]
            self._apply(code)
            end = code.end()
        self.lines[self._row] += text[end:]
        return super().write(text)

    def _apply(self, code: re.Match[str]) -> None:
        argument, command = code.groups()
        match code[0], command:
            case "\n", _:
                self._row += 1
                self.lines += [""] * (self._row == len(self.lines))
            case _, "A":
                self._row -= int(argument or 1)
            case _, "K":
                self.lines[self._row] = ""
            case _, "h" | "l" if argument == "?25":
                self.is_cursor_hidden = command == "l"


class TerminalHarness(PlatformHarness):
    name = "terminal"
    room = private_place = Place("terminal", "local", "ann", is_private=True)
    lacks: ClassVar = {
        Ability.ACCOUNT_WIDE_LIMITS: "it limits nothing",
        Ability.ACKNOWLEDGEMENTS: "a line is read once",
        Ability.BUTTONS: "there are commands for everything",
        Ability.DELETE: "printed text stays",
        Ability.EDIT: "printed text stays",
        Ability.EVENT_QUEUE: "a line is read once",
        Ability.INTERACTION_TOKENS: "answers are printed",
        Ability.LOST_CONNECTIONS: "there is no connection",
        Ability.MESSAGE_IDS: "printed text has none",
        Ability.REDELIVERY: "a line is read once",
        Ability.REFUSALS: "printing does not fail",
        Ability.REPLIES: "an answer is below its question",
        Ability.SIZE_LIMIT: "a terminal scrolls",
        Ability.THREADS: "there is one conversation",
        Ability.TYPING: 'the draft says "Thinking…"',
    }

    async def start(self) -> None:
        self._screen = Screen()
        self._folder = tempfile.TemporaryDirectory()
        self._stdin = sys.stdin
        read_end, write_end = os.pipe()
        sys.stdin, self._keyboard = os.fdopen(read_end), os.fdopen(write_end, "w")

    async def close(self) -> None:
        self._folder.cleanup()
        self._keyboard.close()
        for thread in threading.enumerate():
            if thread.name == "input":
                thread.join(timeout=5)
        sys.stdin.close()
        sys.stdin = self._stdin

    def create_adapter(self) -> Adapter:
        console = Console(file=self._screen, force_terminal=True, color_system=None, width=200, height=40)
        return TerminalAdapter(console, "ann")

    def connection_count(self) -> int:
        return self._screen.getvalue().count(WELCOME_TEXT)

    def open_connections(self) -> int:
        return 0

    async def write(self, place: Place, text: str) -> None:
        self._screen.write("\n\n")  # the terminal's echo, without the text
        self._keyboard.write(f"{text}\n")
        self._keyboard.flush()

    async def use_command(self, place: Place, command: str, argument: str) -> None:
        await self.write(place, f"/{command} {argument}")

    async def press(self, place: Place, message_id: str, action: str) -> None:
        raise NotImplementedError

    async def send_file(self, name: str, content: bytes) -> None:
        file = Path(self._folder.name, name)
        file.write_bytes(content)
        await self.write(self.room, f"/file {file}")

    def remove_files(self) -> None:
        self._folder.cleanup()

    def messages(self, place: Place, *, to_bob: bool = False) -> list[VisibleMessage]:
        printed = self._paragraphs()[: -1 if self._screen.is_cursor_hidden else None]
        return [] if to_bob else [VisibleMessage(text) for text in printed]

    def draft(self) -> str | None:
        return self._paragraphs()[-1] if self._screen.is_cursor_hidden and self._paragraphs() else None

    def _paragraphs(self) -> list[str]:
        lines = [line.removeprefix(PROMPT).rstrip() for line in self._screen.lines]
        paragraphs = "\n".join("" if line == WELCOME_TEXT else line for line in lines).split("\n\n")
        return [paragraph.strip() for paragraph in paragraphs if paragraph.strip()]

    async def deliver_malformed_event(self) -> None:
        await self.write(self.room, '/file "light house.txt')
