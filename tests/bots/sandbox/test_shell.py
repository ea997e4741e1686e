"""What the sandbox's shell prints, and when."""

import asyncio
import queue
from collections.abc import AsyncIterator
from io import StringIO

from rich.console import Console

from bots.sandbox.chat_clients import VisibleMessage
from bots.sandbox.shell import SandboxShell


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

    name = "slow"
    renders_markdown = False

    def __init__(self) -> None:
        self.messages: asyncio.Queue[VisibleMessage] = asyncio.Queue()
        self.is_asked = asyncio.Event()

    async def send_message(self, text: str) -> None:
        await self.messages.put(VisibleMessage(None, f"Thinking about {text}", is_partial=True))
        self.is_asked.set()

    async def send_file(self, name: str, content: bytes, text: str) -> None: ...

    async def press_button(self, label: str) -> None: ...

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
