"""The connection: survives what Discord does to it, and ends with clear words where it must."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from core.commands.declarations import COMMANDS as DECLARED
from core.errors import ConfigurationError
from core.port import Part
from tests.bots.discord.conftest import CHANNEL_PLACE, FAST_TIMING, AdapterHarness
from tests.bots.discord.scripted_discord import BOT, DM, TOKEN, ScriptedDiscord, error_reply, user

COMMANDS = f"/applications/{BOT}/commands"


async def synchronised(world: AdapterHarness) -> None:
    async with asyncio.timeout(5):
        await world.memory.written.wait()


async def failing(world: AdapterHarness, **settings: object) -> str:
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError) as caught:
            await world.run(world.build(**settings))
    return str(caught.value)


async def test_account_is_known_before_connecting(world: AdapterHarness) -> None:
    assert world.build().account == BOT


async def test_opaque_token_yields_stable_account(world: AdapterHarness) -> None:
    world.discord.token = "opaque"
    chat = await world.start(token="opaque")
    for _ in range(2):
        await world.discord.say(f"<@{BOT}> hi", mentions=[user(BOT, bot=True)])
        heard = await world.inbox.next()
        assert (heard.text, heard.place.account) == ("hi", chat.account)
        chat = await world.restart(token="opaque")
    assert chat.account == world.build(token="opaque").account != world.build(token="x").account
    assert "opaque" not in chat.account


async def test_requests_minimal_intents(world: AdapterHarness) -> None:
    await world.start()
    assert world.discord.identifies[0]["intents"] == 1 << 0 | 1 << 9 | 1 << 12
    await world.restart(message_content=True)
    assert world.discord.identifies[1]["intents"] == 1 << 0 | 1 << 9 | 1 << 12 | 1 << 15


async def test_gateway_url_comes_from_api(world: AdapterHarness) -> None:
    await world.start(gateway_url=None)
    assert world.discord.requests_to("GET", "/gateway/bot")
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()


@pytest.mark.parametrize("gateway", [True, False])
async def test_wrong_token_is_configuration_error(world: AdapterHarness, gateway: bool) -> None:
    world.discord.token = "another"
    settings = {} if gateway else {"gateway_url": None}
    words = await failing(world, **settings)
    assert "DISCORD_BOT_TOKEN" in words
    assert TOKEN not in words


async def test_disallowed_intent_is_configuration_error(world: AdapterHarness) -> None:
    world.discord.close_code = 4014
    assert "DISCORD_MESSAGE_CONTENT" in await failing(world, message_content=True)


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013])
async def test_fatal_close_codes_are_configuration_errors(world: AdapterHarness, code: int) -> None:
    world.discord.close_code = code
    assert await failing(world)


async def test_commands_sync_once_across_restarts(world: AdapterHarness) -> None:
    await world.start()
    await synchronised(world)
    [put] = world.discord.requests_to("PUT", COMMANDS)
    ask = next(command for command in put.body if command["name"] == "ask")
    assert ask["contexts"] == [0, 1, 2]
    assert ask["integration_types"] == [0, 1]
    assert ask["options"][0]["required"]
    model = next(command for command in put.body if command["name"] == "model")
    assert model["options"][0]["autocomplete"]
    await world.restart()
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    assert len(world.discord.requests_to("PUT", COMMANDS)) == 1


async def test_changed_commands_sync_again(world: AdapterHarness) -> None:
    await world.start()
    await synchronised(world)
    await world.restart(commands=DECLARED[:3])
    await world.discord.wait_until(lambda: len(world.discord.requests_to("PUT", COMMANDS)) == 2)


async def test_failed_command_sync_does_not_stop_adapter(world: AdapterHarness) -> None:
    world.discord.script("PUT", COMMANDS, error_reply(503), error_reply(429, 0, retry_after=0.05))
    await world.start()
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    await synchronised(world)
    assert len(world.discord.requests_to("PUT", COMMANDS)) == 3


async def test_retries_gateway_down_at_start(world: AdapterHarness) -> None:
    world.discord.gateway_refusals = 1
    await world.start()
    await world.discord.say("at last", channel=DM)
    assert (await world.inbox.next()).text == "at last"


async def test_retries_api_down_at_start(world: AdapterHarness) -> None:
    world.discord.script("GET", "/users/@me", error_reply(503))
    world.discord.script("GET", "/gateway/bot", error_reply(503), error_reply(429, 0, retry_after=0.01))
    await world.start(gateway_url=None)
    await world.discord.say("at last", channel=DM)
    assert (await world.inbox.next()).text == "at last"


async def test_malformed_event_is_skipped(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.dispatch("MESSAGE_CREATE", {"id": "1", "nonsense": True})
    await world.discord.dispatch("INTERACTION_CREATE", {})
    await world.discord.dispatch("CHANNEL_UPDATE", {"guild_id": "x"})
    await world.discord.say("still here", channel=DM)
    assert (await world.inbox.next()).text == "still here"
    assert len(world.discord.identifies) == 1


async def test_rebuilds_client_after_library_error(world: AdapterHarness) -> None:
    world.discord.malformed_readies = 2
    running = world.run(world.build())
    await world.discord.wait_until(lambda: len(world.discord.identifies) == 3)
    await world.discord.wait_until(lambda: world.discord.connection_count)
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    assert not running.done()


async def test_messages_during_reconnect_are_resumed_with_same_key(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.say("first", channel=DM)
    await world.inbox.next()
    await world.discord.reconnect()
    missed = await world.discord.say("in between", channel=DM)
    await world.discord.wait_until(lambda: world.discord.resumes)
    heard = await world.inbox.next()
    assert (heard.text, heard.key) == ("in between", f"m{missed}")


async def test_heartbeats_update_last_activity(world: AdapterHarness) -> None:
    chat = world.build()
    before = chat.last_activity
    world.run(chat)
    await world.discord.wait_until(lambda: world.discord.connection_count)
    after = chat.last_activity
    assert (before, after is not None) == (None, True)
    assert time.monotonic() - (after or 0) < 5


async def test_rebuilds_silent_connection(world: AdapterHarness) -> None:
    await world.start(timings=replace(FAST_TIMING, heartbeat_timeout=0.3, heartbeat_check_interval=0.05))
    await world.discord.wait_until(lambda: len(world.discord.identifies) >= 2)
    await world.discord.wait_until(lambda: world.discord.connection_count)


async def test_connects_all_recommended_shards(world: AdapterHarness) -> None:
    world.discord.shards = 2
    chat = await world.start(gateway_url=None)
    await world.discord.wait_until(lambda: world.discord.connection_count == 2)
    assert sorted(one["shard"] for one in world.discord.identifies) == [[0, 2], [1, 2]]
    assert chat.last_activity is not None


async def test_refused_shard_ends_adapter(world: AdapterHarness) -> None:
    world.discord.shards = 2
    world.discord.close_code = 4014
    assert "intent" in await failing(world, gateway_url=None)
    await world.discord.wait_until(lambda: not world.discord.connection_count)


def test_malformed_token_is_configuration_error() -> None:
    for token in ("a b", "a\nb", "ä"):
        with pytest.raises(ConfigurationError):
            AdapterHarness(ScriptedDiscord()).build(token=token)


async def test_cancel_is_prompt_and_sending_works_until_close(world: AdapterHarness) -> None:
    chat = await world.start()
    began = time.monotonic()
    await world.stop()
    assert time.monotonic() - began < 5
    assert await chat.send(CHANNEL_PLACE, Part("the last word"), key="k") in world.discord.messages
    await chat.close()


async def test_cancel_is_prompt_without_close_frame(
    world: AdapterHarness,
) -> None:
    chat = world.build()
    running = world.run(chat)
    await world.discord.wait_until(lambda: world.discord.connection_count)
    world.discord.ignores_close.set()
    running.cancel()
    began = time.monotonic()
    done, _ = await asyncio.wait({running}, timeout=10)
    assert done
    assert time.monotonic() - began < 5


async def test_flood_is_stored_completely_once(world: AdapterHarness) -> None:
    await world.start()
    said = [await world.discord.say(f"{number}", channel=DM) for number in range(500)]
    heard = [(await world.inbox.next()).message_id for _ in said]
    assert sorted(heard, key=str) == sorted(said)
    assert world.inbox.arrived.empty()


async def test_received_events_are_stored_before_shutdown(world: AdapterHarness) -> None:
    await world.start()
    world.inbox.may_store.clear()
    await world.discord.say("just in time", channel=DM)
    await world.discord.command("usage")
    await world.discord.wait_until(lambda: world.discord.callbacks)
    stopping = asyncio.create_task(world.stop())
    await world.discord.wait_until(lambda: not world.discord.connection_count)
    world.inbox.may_store.set()
    await stopping
    kept = {(await world.inbox.next()).text for _ in range(2)}
    assert kept == {"just in time", ""}


async def test_token_and_text_are_not_logged(
    world: AdapterHarness, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.start()
    await world.discord.say("a private matter", channel=DM)
    await world.inbox.next()
    await world.discord.command("usage")
    ticket = (await world.inbox.next()).interaction_token or ""
    await world.discord.wait_until(lambda: world.discord.callbacks)
    await world.stop()
    logged = caplog.text + "".join(capsys.readouterr())
    assert logged
    for secret in (TOKEN, "a private matter", ticket.split()[3]):
        assert secret not in logged
