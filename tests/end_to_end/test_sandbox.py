"""What a newcomer without any account sees."""

import asyncio
import os
import sys

LINES = """repeat: privately on Telegram
:group
repeat: in a group
:discord
repeat: in a server
/ask repeat: by command
:dm
repeat: privately on Discord
:nonsense
:quit
"""


async def test_a_typed_message_is_answered_through_each_platform() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bots.cli", "sandbox", "--speed", "1000",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    async with asyncio.timeout(90):
        out, _ = await process.communicate(LINES.encode())
    said = out.decode()
    for expected in (
        "privately on Telegram",
        "in a group",
        "in a server",
        "by command",
        "privately on Discord",
    ):
        assert expected in said
    assert "I know :telegram" in said
    assert "Traceback" not in said
    assert process.returncode == 0
