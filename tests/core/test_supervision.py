"""An adapter that breaks or goes deaf is run again; one that cannot go on ends the process."""

import asyncio
import time
from typing import cast

import pytest

from core.errors import ConfigurationError
from core.port import Chat, Incoming
from core.supervision import Patience, supervise

QUICK = Patience(deaf=0.2, watch=0.01, first=0.01, longest=0.02, ending=0.2)


class Scripted:
    """An adapter as far as its supervisor knows it: each life does what the script says next."""

    platform = "scripted"

    def __init__(self, *script: Exception | str) -> None:
        self.script = list(script)
        self.lives = 0
        self.last_heard: float | None = None

    async def run(self, _inbox: object) -> None:
        self.lives += 1
        self.last_heard = time.monotonic()
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        if step == "deaf":
            await asyncio.get_running_loop().create_future()


async def inbox(incoming: Incoming) -> None:
    return


async def lives(chat: Scripted) -> int:
    async with asyncio.timeout(5):
        await supervise(cast("Chat", chat), inbox, QUICK)
    return chat.lives


async def test_a_defect_in_an_adapter_is_outlived() -> None:
    assert await lives(Scripted(ZeroDivisionError(), RuntimeError(), "end")) == 3


async def test_an_adapter_that_hears_nothing_is_built_anew() -> None:
    assert await lives(Scripted("deaf", "end")) == 2


async def test_what_restarting_does_not_mend_ends_it() -> None:
    with pytest.raises(ConfigurationError, match="token"):
        await lives(Scripted(ConfigurationError("the token is wrong"), "end"))
