"""Runs a command of Parley as its own process, beside the bot."""

import asyncio
import os
import sys


async def parley(*arguments: str, **environment: str) -> str:
    """What the command prints. Fails if the command does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
