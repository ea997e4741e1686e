"""A key given where others read."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.turns.fake_adapter import running_engine

PERSONAL_KEY = "a-key-of-my-own"


@pytest.mark.parametrize("message", ["m1", None], ids=["written", "slash command"])
async def test_key_given_in_group_is_refused(tmp_path: Path, message: str | None) -> None:
    model = ModelStandIn()
    model.add_account(PERSONAL_KEY)
    await model.start()
    try:
        async with running_engine(tmp_path, model, secret_key="a passphrase") as chat:
            if message:
                chat.messages[message] = f"/key {PERSONAL_KEY}"
            await chat.say(f"/key {PERSONAL_KEY}", message=message, group="-7")
            await chat.wait_until(lambda: any("only in a private chat" in s for s in chat.messages.values()))
            (told,) = chat.messages.values()
            # What a slash command is given nobody else sees.
            assert ("replace the key" in told) == (message is not None)
            assert "use the bot's API key" in await chat.ask("/key")
    finally:
        await model.close()
