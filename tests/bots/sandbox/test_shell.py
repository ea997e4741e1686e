"""What the sandbox's shell prints, and when."""

import asyncio
import queue
from collections.abc import AsyncIterator
from io import StringIO

import pytest
from rich.console import Console

from bots.sandbox.chat_clients import VisibleMessage
from bots.sandbox.run import format_log_line
from bots.sandbox.shell import SandboxShell
from tests.waiting import wait_until


class TypedLines:
    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue()

    def put(self, line: str) -> None:
        self._lines.put(line)

    def read_line(self, prompt: str) -> str:
        return self._lines.get()

    def close(self) -> None: ...


class SlowClient:
    """A chat whose bot shows that it is thinking, and answers when the test says so."""

    renders_markdown = False

    def __init__(self, name: str = "slow") -> None:
        self.messages: asyncio.Queue[VisibleMessage] = asyncio.Queue()
        self.is_asked = asyncio.Event()
        self.name = name

    async def send_message(self, text: str) -> None:
        await self.messages.put(VisibleMessage(None, f"Thinking about {text}", is_partial=True))
        self.is_asked.set()

    async def send_file(self, name: str, content: bytes, text: str) -> None: ...

    async def press_button(self, label: str) -> None: ...

    async def reply(self, text: str) -> None: ...

    async def edit(self, text: str) -> None: ...

    async def forward(self, text: str, comment: str) -> bool:
        return False

    async def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        while True:
            yield await self.messages.get()
            self.messages.task_done()


async def test_answer_nobody_waited_for_is_printed_with_next_line() -> None:
    output, client = StringIO(), SlowClient()
    lines, console = TypedLines(), Console(file=output, width=400)
    running = asyncio.create_task(SandboxShell(console, {":slow": client}, ":slow", source=lines).run())
    lines.put("question &")
    await client.is_asked.wait()
    await client.messages.put(VisibleMessage(1, "The answer comes late."))
    await client.messages.join()
    lines.put("next &")
    lines.put(":quit")
    await running
    assert output.getvalue().count("The answer comes late.") == 1


async def test_late_answer_is_shown_in_its_own_chat() -> None:
    output, slow, other = StringIO(), SlowClient(), SlowClient("other")
    lines, console = TypedLines(), Console(file=output, width=400)
    shell = SandboxShell(console, {":slow": slow, ":other": other}, ":slow", source=lines)
    running = asyncio.create_task(shell.run())
    lines.put("question &")
    await slow.is_asked.wait()
    lines.put(":other")
    lines.put("another question &")
    await other.is_asked.wait()
    await slow.messages.put(VisibleMessage(1, "The first part comes late."))
    await slow.messages.put(VisibleMessage(2, "The second part comes later."))
    await slow.messages.join()
    lines.put(":help")
    lines.put(":slow")
    lines.put(":quit")
    await running
    text = output.getvalue()
    assert text.index("End the sandbox") < text.index("The first part comes late.") < text.index("The second part")
    assert text.count("comes late") == 2


async def test_silence_is_reported_and_answer_shown_afterwards() -> None:
    output, client = StringIO(), SlowClient()
    lines, console = TypedLines(), Console(file=output, width=400)
    shell = SandboxShell(console, {":slow": client}, ":slow", source=lines, silence_seconds=0.05)
    running = asyncio.create_task(shell.run())
    lines.put("question")
    await client.is_asked.wait()
    lines.put("next &")
    await wait_until(lambda: "Nothing came for" in output.getvalue())
    await client.messages.put(VisibleMessage(1, "The answer comes late."))
    await client.messages.join()
    lines.put("last &")
    lines.put(":quit")
    await running
    assert output.getvalue().index("Nothing came for") < output.getvalue().index("The answer comes late.")


@pytest.mark.parametrize("line", [":reply", ":edit", ":forward"])
async def test_missing_text_is_explained(line: str) -> None:
    output = StringIO()
    lines, console = TypedLines(), Console(file=output, width=400)
    running = asyncio.create_task(SandboxShell(console, {":slow": SlowClient()}, ":slow", source=lines).run())
    lines.put(line)
    lines.put(":quit")
    await running
    assert f"Usage: {line} TEXT" in output.getvalue()


def test_log_lines_are_shown_as_text() -> None:
    line = b'{"event": "model.failed", "level": "warning", "timestamp": "2026", "turn": 3, "status": null}\n'
    assert format_log_line(line) == "warning: model.failed turn=3"
    assert (
        format_log_line(b'{"event": "a.b", "level": "error", "exception": "Traceback\\n  x"}')
        == "error: a.b \nTraceback\n  x"
    )
    assert format_log_line(b"parley: no settings\n") == "parley: no settings"
