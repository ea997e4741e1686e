"""Reading lines from the terminal or a pipe without blocking the event loop, and catching Ctrl+C."""

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol

from rich.console import Console

if sys.platform != "win32":
    import termios


class LineSource(Protocol):
    def read_line(self, prompt: str) -> str | None:
        """Wait for the next line; None at the end of the input."""

    def close(self) -> None:
        """Undo what an unfinished read has changed."""


class LineReader:
    """`prompt` returns the prompt of the next line.

    A read cannot be cancelled: its thread stays behind, and the next `read` returns its line.

    The thread is a daemon, so it does not delay the exit.
    """

    def __init__(self, source: LineSource, prompt: Callable[[], str]) -> None:
        self._source = source
        self._prompt = prompt
        self._line: Future[str | None] | None = None

    async def read(self) -> str | None:
        """The next line of input; None at its end. Raises `OSError`."""
        if self._line is None:
            self._line = Future()
            self._line.set_running_or_notify_cancel()  # a running future ignores `cancel`
            threading.Thread(target=self._read_input, args=(self._line,), daemon=True, name="input").start()
        line = await asyncio.wrap_future(self._line)
        self._line = None
        return line

    def close(self) -> None:
        self._source.close()

    def _read_input(self, line: "Future[str | None]") -> None:
        try:
            line.set_result(self._source.read_line(self._prompt()))
        except OSError as error:
            line.set_exception(error)


def standard_input(console: Console) -> LineSource:
    """The lines of a person at a terminal, or of a pipe or file; then prompts are printed to `console`."""
    return TerminalInput(console) if sys.stdin.isatty() and sys.stdout.isatty() else PipedInput(console)


class TerminalInput:
    def __init__(self, console: Console) -> None:
        self._console = console
        with contextlib.suppress(ImportError):
            # Makes `input` read single keys. A line that is read as a whole is cut at 4,095 characters by the system.
            import readline  # noqa: F401
        if sys.platform != "win32":
            self._mode = termios.tcgetattr(sys.stdin)
        self._is_reading = False

    def read_line(self, prompt: str) -> str | None:
        self._is_reading = True
        try:
            return input(prompt)
        except EOFError:
            return None
        finally:
            self._is_reading = False

    def close(self) -> None:
        if self._is_reading:
            self._console.print()  # after the prompt
        if sys.platform != "win32":
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._mode)


class PipedInput:
    """Standard input without the buffer of `sys.stdin`: a thread that waits there holds a lock that an exit needs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 (as long as the process)

    def read_line(self, prompt: str) -> str | None:
        self._console.print(prompt, end="", style="bold", markup=False, highlight=False)
        line = self._file.readline()
        return line.decode(errors="replace").rstrip("\r\n") if line else None

    def close(self) -> None:
        """The file stays open: a read may be waiting."""


@contextlib.contextmanager
def interrupt_handler(on_interrupt: Callable[[], object]) -> Iterator[None]:
    """Meanwhile, Ctrl+C calls `on_interrupt` instead of ending the process."""
    loop = asyncio.get_running_loop()
    previous = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, previous)  # that of `asyncio.run`, which ends the main task
