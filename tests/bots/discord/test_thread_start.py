"""How a thread began, where Discord does not say everything."""

from typing import Any, cast

import pytest

from bots.discord.http_client import HttpClient
from bots.discord.thread_start import ThreadStartReader
from bots.sandbox.discord.state import HIDDEN_FLAG, HIDDEN_NAME
from core.port import Place

THREAD = Place("discord", "1", "20", thread="30", server="10")


class FakeHttp:
    def __init__(self, thread: dict[str, Any], message: dict[str, Any] | None = None) -> None:
        self._objects = {"/channels/30": thread, "/channels/20/messages/30": message}

    async def call(self, _method: str, path: str) -> dict[str, Any]:
        return self._objects.get(path) or {}


@pytest.mark.parametrize(("flags", "text"), [(0, f"Title: {HIDDEN_NAME}"), (HIDDEN_FLAG, None)])
async def test_hidden_name_is_no_title(flags: int, text: str | None) -> None:
    http = cast("HttpClient", FakeHttp({"id": "30", "name": HIDDEN_NAME, "flags": flags}))
    quote = await ThreadStartReader(http, "1").read(THREAD, "40")
    assert (quote and quote.text) == text


async def test_marks_in_the_first_message_have_names() -> None:
    message = {
        "content": "<@1> and <@2>, see <#3> at <t:1700000000> with </model:5> or `</model:5>`",
        "mentions": [{"id": "1", "username": "ann", "global_name": "Ann"}, {"id": "2", "username": "bob"}],
        "components": [{"type": 10, "content": "<@&4> :)"}],
        "embeds": [{"title": "For <@1>"}],
        "attachments": [{"filename": "fair.png"}],
    }
    http = cast("HttpClient", FakeHttp({"id": "30", "name": "Fair"}, message))
    quote = await ThreadStartReader(http, "1").read(THREAD, "40")
    text = "[file fair.png] @Ann and @bob, see #channel at 2023-11-14 22:13 UTC with /model or `</model:5>`"
    assert quote is not None
    assert quote.text == f"Title: Fair\n\n{text}\n\n@role :)\n\nFor @Ann"
