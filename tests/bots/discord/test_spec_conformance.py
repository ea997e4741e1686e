"""The `harness` fixture checks the requests of every test against Discord's description; here the check itself."""

from core.port import Button, MenuItem, Part
from tests import api_specs
from tests.bots.discord.conftest import AdapterHarness, request_errors


async def test_spec_check_accepts_valid_and_rejects_invalid(harness: AdapterHarness) -> None:
    api_specs.require_specs()
    adapter, place = await harness.start(), harness.place(harness.channel)
    await harness.commands_synced()
    await harness.discord.use_command(harness.ann, harness.channel, "model")
    incoming = await harness.inbox.next()
    token = incoming.interaction_token
    part = Part("x", buttons=(Button("B", "b"),), menu=(MenuItem("O", "o", "d", is_selected=True),))
    ephemeral = await adapter.send(incoming.place, part, key="1", interaction_token=token, ephemeral=True)
    await adapter.edit(incoming.place, ephemeral, part, interaction_token=token)
    await adapter.send(incoming.place, part, key="2", interaction_token=token, ephemeral=True)
    message_id = await adapter.send(place, part, key="3", reply_to="5")
    await adapter.edit(place, message_id, part)
    await adapter.show_typing(place)
    assert len({call.path.split("/")[1] for call in harness.discord.calls}) >= 5
    assert request_errors(harness.discord) == []
    [put] = harness.discord.calls_to("PUT", "/applications/.*/commands")
    name, put.body[0]["name"] = put.body[0]["name"], "n" * 40
    assert request_errors(harness.discord)
    put.body[0]["name"] = name
