"""Reading lines from the terminal without blocking the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from rich.console import Console


class LineReader:
    """`prompt` returns the prompt of the next line, in the markup of `rich`.

    A read cannot be cancelled: its thread stays behind, and the next `read` returns its line.

    The thread is a daemon, so it does not delay the exit.
    """

    def __init__(self, console: Console, prompt: Callable[[], str]) -> None:
        self._console = console
        self._prompt = prompt
        self._line: Future[str | None] | None = None

    async def read(self) -> str | None:
        """The next line of input; None at its end."""
        if self._line is None:
            self._line = Future()
            self._line.set_running_or_notify_cancel()  # a running future ignores `cancel`
            threading.Thread(target=self._read_input, args=(self._line,), daemon=True, name="input").start()
        line = await asyncio.wrap_future(self._line)
        self._line = None
        return line

    def _read_input(self, line: "Future[str | None]") -> None:
        try:
            line.set_result(self._console.input(self._prompt()))
        except (EOFError, KeyboardInterrupt):
            line.set_result(None)
