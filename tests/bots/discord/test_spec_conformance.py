"""Every request of every test here is held against Discord's description (see the fixture)."""

import pytest

from core.port import Button, MenuItem, Part
from tests.bots.discord.conftest import CHANNEL_PLACE, AdapterHarness
from tests.bots.discord.scripted_discord import BOT
from tests.bots.discord.spec_checks import SPEC_PATH, spec_violations


async def test_spec_check_accepts_valid_and_rejects_invalid(world: AdapterHarness) -> None:
    if not SPEC_PATH.exists():
        pytest.skip("Discord's OpenAPI description is not next to this checkout")
    chat = await world.start()
    await world.memory.written.wait()
    await world.discord.command("model")
    incoming = await world.inbox.next()
    part = Part("x", buttons=(Button("B", "b"),), menu=(MenuItem("O", "o", "d", is_selected=True),))
    quiet = await chat.send(incoming.place, part, key="1", interaction_token=incoming.interaction_token, ephemeral=True)
    await chat.edit(incoming.place, quiet, part, interaction_token=incoming.interaction_token)
    await chat.send(incoming.place, part, key="2", interaction_token=incoming.interaction_token, ephemeral=True)
    message = await chat.send(CHANNEL_PLACE, part, key="3", reply_to="5")
    await chat.edit(CHANNEL_PLACE, message, part)
    await chat.show_typing(CHANNEL_PLACE)
    assert len({request.path.split("/")[1] for request in world.discord.requests}) >= 5
    assert spec_violations(world.discord.requests) == []
    bad = world.discord.requests_to("PUT", f"/applications/{BOT}/commands")[0]
    bad.body[0]["name"] = "n" * 40
    assert spec_violations([bad])
    bad.body[0]["name"] = "fine"
