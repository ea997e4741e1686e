"""A browser, and the sandbox as the command starts it. Without a browser the tests skip, and say why."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.tools import find_tool

ROOT = Path(__file__).parents[2]
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_TIMEOUT_SECONDS = 90.0
TEST_TIMEOUT_SECONDS = 300
VISIBLE_TIMEOUT_MS = 90_000
"""For what the bot does, on a busy machine."""


@asynccontextmanager
async def launched_browser() -> AsyncIterator[Browser]:
    executable = find_tool("chromium", "chromium-browser", "google-chrome")
    expect.set_options(timeout=VISIBLE_TIMEOUT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched_browser() as browser:
        yield browser


@asynccontextmanager
async def running_sandbox() -> AsyncIterator[str]:
    """The address of the page."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        "sandbox",
        "--no-browser",
        "--speed",
        "100",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while not (match := re.match(rb"(http://127\.0\.0\.1:\d+/\?token=\S+)", await process.stdout.readline())):
                assert not process.stdout.at_eof(), "the sandbox ended without an address"
        yield match[1].decode()
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """The page, opened. Fails if the browser reports an error."""
    errors: list[str] = []
    async with running_sandbox() as address:
        page = await browser.new_page(viewport={"width": 1400, "height": 850})
        page.set_default_timeout(VISIBLE_TIMEOUT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        await page.goto(address)
        yield page
        await page.close()
    assert not errors


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "browser"):
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_SECONDS))
