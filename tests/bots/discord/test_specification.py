"""Every request of every test here is held against Discord's description (see the fixture)."""

import pytest

from core.port import Button, Option, Part
from tests.bots.discord.conftest import HERE, World
from tests.bots.discord.loopback import BOT
from tests.bots.discord.specification import SPEC, complaints


async def test_requests_are_valid_and_an_invalid_one_would_be_noticed(world: World) -> None:
    if not SPEC.exists():
        pytest.skip("Discord's OpenAPI description is not next to this checkout")
    chat = await world.start()
    await world.memory.written.wait()
    await world.discord.command("model")
    incoming = await world.inbox.next()
    part = Part("x", buttons=(Button("B", "b"),), menu=(Option("O", "o", "d", chosen=True),))
    quiet = await chat.send(incoming.place, part, key="1", ticket=incoming.ticket, quiet=True)
    await chat.edit(incoming.place, quiet, part, ticket=incoming.ticket)
    await chat.send(incoming.place, part, key="2", ticket=incoming.ticket, quiet=True)
    message = await chat.send(HERE, part, key="3", reply_to="5")
    await chat.edit(HERE, message, part)
    await chat.typing(HERE)
    assert len({request.path.split("/")[1] for request in world.discord.requests}) >= 5
    assert complaints(world.discord.requests) == []
    bad = world.discord.made("PUT", f"/applications/{BOT}/commands")[0]
    bad.body[0]["name"] = "n" * 40
    assert complaints([bad])
    bad.body[0]["name"] = "fine"
