"""Which of page and terminal `parley sandbox` opens by itself. The browsers are stand-ins that write down the address."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 60.0
pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has a browser that PATH does not hide")


def install_browser(folder: Path, name: str) -> Path:
    """The file in which the browser writes the address that it opens."""
    opened, program = folder / "opened.txt", folder / name
    program.write_text(f'#!/bin/sh\necho "$*" > "{opened}"\n')
    program.chmod(0o755)
    return opened


@asynccontextmanager
async def running_sandbox(programs: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    no_browser = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "TERM": "xterm", "PATH": str(programs)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bots.cli", "sandbox"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **no_browser, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("terminal_browser", ["", "elinks", "lynx"])
async def test_terminal_is_used_where_no_browser_has_a_window(tmp_path: Path, terminal_browser: str) -> None:
    opened = install_browser(tmp_path, terminal_browser) if terminal_browser else None
    async with running_sandbox(tmp_path) as process:
        output, _ = await process.communicate(b":quit\n")
    assert b"Write as in a chat" in output
    assert b"Open this address" not in output
    assert opened is None or not opened.exists()


async def test_page_is_opened_where_a_browser_has_a_window(tmp_path: Path) -> None:
    opened = install_browser(tmp_path, "xdg-open")
    async with running_sandbox(tmp_path, DISPLAY=":0") as process:
        await wait_until(lambda: opened.exists() and opened.read_text().endswith("\n"), START_TIMEOUT_SECONDS)
        process.terminate()
        output, _ = await process.communicate()
    address = opened.read_text()
    assert address.startswith("http://127.0.0.1:")
    assert address in output.decode()
