"""Reading lines from the terminal without blocking the event loop."""

import asyncio
import threading

from rich.console import Console

__all__ = ["read_line"]


async def read_line(console: Console) -> str | None:
    """The next line of input; None at its end.

    A read cannot be cancelled: the thread stays behind, and as a daemon does not delay the exit.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[str | None] = loop.create_future()

    def set_result(line: str | None) -> None:
        if not result.done():
            result.set_result(line)

    def read_input() -> None:
        try:
            line: str | None = console.input("[bold]> [/bold]")
        except (EOFError, KeyboardInterrupt):
            line = None
        loop.call_soon_threadsafe(set_result, line)

    threading.Thread(target=read_input, daemon=True, name="input").start()
    return await result
