"""A bot that loses its liveness soon, as a program: `python -m tests.deploy.unlucky_bot stall FILE|disconnection`.

stall: the event loop is blocked while FILE exists. disconnection: a platform may be away for a second.
"""

import asyncio
import sys
import time
from pathlib import Path

from bots.adapters import SETTINGS_SECTIONS
from bots.run import run_bot
from core.settings import load_settings
from core.timings import Timings


async def stall_while(file: Path) -> None:
    while True:
        while file.exists():
            time.sleep(0.05)
        await asyncio.sleep(0.05)


async def run() -> None:
    timings = Timings(max_disconnection=1.0) if sys.argv[1] == "disconnection" else Timings()
    stall = asyncio.create_task(stall_while(Path(sys.argv[2]))) if sys.argv[1] == "stall" else None
    await run_bot(load_settings(SETTINGS_SECTIONS), show_pairing_code=print, timings=timings)
    if stall is not None:
        stall.cancel()


if __name__ == "__main__":
    asyncio.run(run())
