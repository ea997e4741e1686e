"""`parley chat` as a person uses it, with lines from a pipe."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.texts.answers import TOO_FAST
from tests.sqlite import sqlite_url

LINES = """/file
/file {folder}/none.txt what is it?
/file "{folder}/light house.txt
/file {folder}/light\\ house.txt who keeps it?
repeat: and now without
/
/quit
"""


async def run_chat(folder: Path, lines: str) -> str:
    """What `parley chat` prints for `lines`."""
    model = ModelStandIn(tokens_per_second=5000)
    await model.start()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bots.cli",
            "chat",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={
                **os.environ,
                "COLUMNS": "400",
                "DATABASE_URL": sqlite_url(folder),
                "IOINTELLIGENCE_API_KEY": model.api_key,
                "IOINTELLIGENCE_BASE_URL": model.base_url,
            },
        )
        async with asyncio.timeout(60):
            stdout, _ = await process.communicate(lines.encode())
    finally:
        await model.close()
    output = stdout.decode()
    assert "Traceback" not in output
    assert process.returncode == 0
    return output


@pytest.mark.slow
async def test_file_can_be_sent(tmp_path: Path) -> None:
    file = tmp_path / "light house.txt"
    file.write_text("The keeper of the lighthouse is called Hedda Brandt.\n")
    output = await run_chat(tmp_path, LINES.format(folder=tmp_path))
    assert "Which file? Usage: /file PATH [TEXT]" in output
    assert f"There is no file {tmp_path}/none.txt" in output
    assert "No closing quotation" in output
    assert "“The keeper of the lighthouse is called Hedda Brandt.” [1]" in output
    assert "Sources: [1] light house.txt, line 1" in output
    assert "and now without" in output
    assert "Unknown command. See /help." in output


@pytest.mark.slow
async def test_piped_lines_are_not_rate_limited(tmp_path: Path) -> None:
    lines = [f"/{number}" for number in range(45)]
    output = await run_chat(tmp_path, "\n".join([*lines, "/quit", ""]))
    assert output.count("Unknown command.") == 45
    assert TOO_FAST not in output


@pytest.mark.slow
async def test_menu_is_a_list_with_the_current_model_marked(tmp_path: Path) -> None:
    lines = [line.strip() for line in (await run_chat(tmp_path, "/model\n/quit\n")).splitlines()]
    listed = [line for line in lines if line.startswith("•")]
    assert len(listed) > 3
    assert [line for line in listed if "✓" in line] == [line for line in listed if "Llama-3.3-70B" in line]
