"""A key given where others read."""

from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from tests.core.turns.quick import quick

OWN = "a-key-of-my-own"


@pytest.mark.parametrize("message", ["m1", None], ids=["written", "slash command"])
async def test_a_key_given_in_a_group_is_not_taken(tmp_path: Path, message: str | None) -> None:
    model = ModelStandIn()
    model.add_key(OWN)
    await model.start()
    try:
        async with quick(tmp_path, model, secret_key="a passphrase") as chat:
            if message:
                chat.shown[message] = f"/key {OWN}"
            await chat.say(f"/key {OWN}", message=message, group="-7")
            await chat.until(lambda: any("belongs in a private" in s for s in chat.shown.values()))
            (told,) = chat.shown.values()
            # What a slash command is given nobody else sees.
            assert ("replace the key" in told) == (message is not None)
            assert "with the bot's key" in await chat.ask("/key")
    finally:
        await model.close()
