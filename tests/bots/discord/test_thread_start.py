"""How a thread began, where Discord does not say everything."""

from typing import Any, cast

import pytest

from bots.discord.http_client import HttpClient
from bots.discord.thread_start import ThreadStartReader
from bots.sandbox.discord.state import HIDDEN_FLAG, HIDDEN_NAME
from core.port import Place

THREAD = Place("discord", "1", "20", thread="30", server="10")


class FakeHttp:
    def __init__(self, thread: dict[str, Any]) -> None:
        self._thread = thread

    async def call(self, _method: str, path: str) -> dict[str, Any]:
        return self._thread if path == "/channels/30" else {}


@pytest.mark.parametrize(("flags", "text"), [(0, f"Title: {HIDDEN_NAME}"), (HIDDEN_FLAG, None)])
async def test_hidden_name_is_no_title(flags: int, text: str | None) -> None:
    http = cast("HttpClient", FakeHttp({"id": "30", "name": HIDDEN_NAME, "flags": flags}))
    quote = await ThreadStartReader(http, "1").read(THREAD, "40")
    assert (quote and quote.text) == text
