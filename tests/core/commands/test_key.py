"""/key in a place where others can read it."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.texts import commands as texts
from tests.core.commands.conftest import PERSONAL_KEY
from tests.core.turns.fake_adapter import running_engine


@pytest.mark.parametrize("message_id", ["m1", None], ids=["message", "slash command"])
async def test_key_sent_in_group_is_refused(tmp_path: Path, model: ModelStandIn, message_id: str | None) -> None:
    async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
        if message_id:
            chat.messages[message_id] = f"/key {PERSONAL_KEY}"
        await chat.say(f"/key {PERSONAL_KEY}", message=message_id, group="-7")
        await chat.wait_until(lambda: any(texts.KEY_IN_GROUP in text for text in chat.messages.values()))
        (reply,) = chat.messages.values()
        # Nobody else sees the arguments of a slash command.
        assert (texts.KEY_EXPOSED in reply) == (message_id is not None)
        assert await chat.ask("/key") == texts.BOT_KEY_USED
