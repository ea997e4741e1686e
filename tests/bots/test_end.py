"""The end comes in time whatever hangs: the last moment that nothing can hold up."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bots.test_cli import CLEAN, TOKEN

SOON = 0.5  # seconds, instead of the last moment of a real run
HANGS = {
    "the loop": "while True: time.sleep(60)",
    "a task": """while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass""",
}
PROGRAM = """
import asyncio, time
import bots.cli, core.app

async def serve(*_, **__):
    print("serving", flush=True)
    {hang}

bots.cli.LAST_MOMENT = {soon}
core.app.serve = serve
bots.cli.app(["run"])
"""


@pytest.mark.parametrize("what", HANGS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_whatever_hangs(tmp_path: Path, what: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(hang=HANGS[what], soon=SOON)],
        env={
            **CLEAN,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'parley.sqlite3'}",
            "IOINTELLIGENCE_API_KEY": "k",
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "PARLEY_ACCESS": "open",
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        process.send_signal(number)
        assert process.wait(15) == 1
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
