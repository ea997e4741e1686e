"""`make sandbox` in a new clone: a newcomer's first command."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest
from yarl import URL

from tests.deploy.tools import ROOT, run_tool
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "parley"
    for package in ("bots", "core"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def planned_commands(folder: Path, target: str) -> str:
    command = ("make", "--dry-run", "--no-print-directory", f"PYTHON={sys.executable}", target)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=environment).stdout


def test_sandbox_needs_no_development_tools(clone: Path) -> None:
    planned = planned_commands(clone, "sandbox")
    assert "-m venv .venv" in planned
    assert "--group" not in planned
    assert "--group dev" in planned_commands(clone, "check")
    # What is installed for development is enough for the sandbox, and stays.
    (clone / ".venv").mkdir()
    for stamp in (".runnable", ".installed"):
        (clone / ".venv" / stamp).touch()
    assert planned_commands(clone, "sandbox").splitlines() == [".venv/bin/parley sandbox"]


async def test_sandbox_opens_its_page_in_a_browser(clone: Path, tmp_path: Path) -> None:
    environment = clone / ".venv"
    # uv has most packages already, and pip finds them installed.
    run_tool("uv", "venv", "--quiet", "--seed", "--python", sys.executable, environment)
    requirements = ("-r", clone / "pyproject.toml", "-c", clone / "constraints.txt")
    run_tool("uv", "pip", "install", "--quiet", "--python", environment / "bin" / "python", *requirements)
    browser, address_file = tmp_path / "browser", tmp_path / "address"
    browser.write_text(f'#!/bin/sh\necho "$1" > {address_file}.new\nmv {address_file}.new {address_file}\n')
    browser.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        "make",
        "sandbox",
        cwd=clone,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BROWSER": f"{browser} %s &"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        await wait_for_address(process)
        await open_page(address_file)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert b"Traceback" not in rest
    assert not (environment / "bin" / "pytest").exists()


async def wait_for_address(process: asyncio.subprocess.Process) -> None:
    """Until the program prints its page's address."""
    assert process.stdout is not None
    printed = b""
    async with asyncio.timeout(120):
        while b"token=" not in printed:
            line = await process.stdout.readline()
            assert line, printed.decode()
            printed += line


async def open_page(address_file: Path) -> None:
    """As a browser does, until the page shows that the bot runs."""
    async with asyncio.timeout(90), aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await wait_until(address_file.exists, 60)
        address = URL(address_file.read_text().strip())
        async with browser.get(address) as response:
            assert response.status == 200
            assert "Parley" in await response.text()
        async with browser.ws_connect(address.origin() / "socket", headers={"Origin": str(address.origin())}) as socket:
            async for frame in socket:
                events = msgspec.json.decode(frame.data)["events"]
                if any(event["type"] == "bot" and event["state"] == "running" for event in events):
                    return
    raise AssertionError("The bot does not run.")
