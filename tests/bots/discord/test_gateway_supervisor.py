"""The connection survives what Discord does to it, and ends with a clear message where it must."""

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

import pytest
import structlog

from bots.sandbox.discord import DiscordStandIn, ScriptedReply
from bots.sandbox.discord.enums import Opcode
from core.commands.declarations import COMMANDS
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure, UnavailableError
from core.port import ConnectionState, Part
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, running_harness
from tests.clock import FakeClock
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

COMMANDS_PATH = "/applications/.*/commands"


async def configuration_error(harness: AdapterHarness, token: str | None = None, **settings: object) -> str:
    """The message with which `run` ends."""
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError) as caught:
            await harness.run(harness.build(token, **settings))
    return str(caught.value)


async def test_account_is_known_before_connecting(harness: AdapterHarness) -> None:
    assert harness.build().account == str(harness.discord.bot.id)


async def test_opaque_token_yields_stable_account() -> None:
    async with running_harness(token="opaque") as harness:
        adapter = await harness.start()
        for _ in range(2):
            await harness.mention("hi")
            incoming = await harness.inbox.next()
            assert (incoming.text, incoming.place.account) == ("hi", adapter.account)
            adapter = await harness.restart()
        assert adapter.account == harness.build().account != harness.build("x").account
        assert "opaque" not in adapter.account


async def test_requests_minimal_intents(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.restart(message_content=True)
    minimal = 1 << 0 | 1 << 9 | 1 << 12
    assert [identify["intents"] for identify in harness.discord.gateway.identifies] == [minimal, minimal | 1 << 15]


async def test_gateway_url_comes_from_api(harness: AdapterHarness) -> None:
    await harness.start(gateway_url=None)
    assert harness.discord.calls_to("GET", "/gateway/bot")
    await harness.say("hi")
    await harness.inbox.next()


@pytest.mark.parametrize("has_gateway_url", [True, False])
async def test_wrong_token_is_configuration_error(harness: AdapterHarness, has_gateway_url: bool) -> None:
    token = "wrong-" + harness.discord.token
    error = await configuration_error(harness, token, **({} if has_gateway_url else {"gateway_url": None}))
    assert "DISCORD_BOT_TOKEN" in error
    assert harness.discord.token not in error


async def test_disallowed_intent_is_configuration_error() -> None:
    async with running_harness(message_content_allowed=False) as harness:
        assert "DISCORD_MESSAGE_CONTENT" in await configuration_error(harness, message_content=True)


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_fatal_close_codes_are_configuration_errors(harness: AdapterHarness, code: int) -> None:
    harness.discord.gateway.script.close_code = code
    assert await configuration_error(harness)


@pytest.mark.parametrize("code", [4010, 4011])
async def test_demand_for_other_shards_ends_with_an_error_after_which_a_restart_helps(
    harness: AdapterHarness, code: int
) -> None:
    harness.discord.gateway.script.close_code = code
    async with asyncio.timeout(20):
        with pytest.raises(UnavailableError, match="shards"):
            await harness.run(harness.build(gateway_url=None))


@pytest.mark.parametrize("unreachable", ["api", "gateway", "gateway lookup"])
async def test_connection_errors_name_address_cause_and_next_attempt(
    harness: AdapterHarness, unreachable: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    settings: dict[str, Any] = {"gateway_url": f"ws://127.0.0.1:{port}/gateway"}
    if unreachable != "gateway":
        settings["api_base"] = f"http://127.0.0.1:{port}/api/v10"
        settings["gateway_url"] = None if unreachable == "gateway lookup" else harness.discord.gateway_url
    with structlog.testing.capture_logs() as logs:
        running = harness.run(harness.build(**settings))
        events = ("discord.connection_lost", "discord.gateway_lookup_failed")
        await wait_until(lambda: len([entry for entry in logs if entry["event"] in events]) >= 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    for entry in (entry for entry in logs if entry["event"] in events):
        assert entry["address"] == f"127.0.0.1:{port}"
        assert entry["reason"] == f"cannot connect to 127.0.0.1:{port}: Connection refused"
        assert 0 <= entry["retry_in"] < 5
    assert not any(record.exc_info for record in caplog.records), "no traceback"


async def test_commands_sync_once_across_restarts(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    [put] = harness.discord.calls_to("PUT", COMMANDS_PATH)
    ask = next(command for command in put.body if command["name"] == "ask")
    assert ask["contexts"] == [0, 1, 2]
    assert ask["integration_types"] == [0, 1]
    assert ask["options"][0]["required"]
    model = next(command for command in put.body if command["name"] == "model")
    assert model["options"][0]["autocomplete"]
    assert ask["description_localizations"]["pt-BR"] == "Perguntar ao modelo"
    assert ask["options"][0]["description_localizations"]["es-419"] == "Tu pregunta"
    assert ask["name_localizations"]["de"] == "fragen"
    await harness.restart()
    await harness.say("hi")
    await harness.inbox.next()
    assert len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 1


async def test_changed_commands_sync_again(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    await harness.restart(commands=COMMANDS[:3])
    await harness.discord.wait_for(lambda: len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 2)


async def test_failed_command_sync_does_not_stop_adapter(harness: AdapterHarness) -> None:
    failures = (ScriptedReply.error(503), ScriptedReply.error(429, retry_after=0.05))
    harness.discord.script.add(f"PUT {COMMANDS_PATH}", *failures)
    await harness.start()
    await harness.say("hi")
    await harness.inbox.next()
    await harness.commands_synced()
    assert len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 3


async def test_command_sync_waits_as_long_as_discord_asks(harness: AdapterHarness) -> None:
    clock = FakeClock()
    harness.discord.script.add(f"PUT {COMMANDS_PATH}", ScriptedReply.error(429, retry_after=3000))
    await harness.start(timings=replace(FAST_TIMINGS, clock=clock))
    await wait_until(lambda: any(seconds >= 3000 for seconds in clock.pending()))
    assert len(harness.discord.calls_to("PUT", COMMANDS_PATH)) == 1
    await clock.advance(3001)
    await harness.commands_synced()


async def test_retries_gateway_down_at_start(harness: AdapterHarness) -> None:
    harness.discord.gateway.remaining_refusals = 1
    await harness.start()
    await harness.say("at last")
    assert (await harness.inbox.next()).text == "at last"


async def test_retries_api_down_at_start(harness: AdapterHarness) -> None:
    harness.discord.script.add("GET /users/@me", ScriptedReply.error(503))
    failures = (ScriptedReply.error(503), ScriptedReply.error(429, retry_after=0.01))
    harness.discord.script.add("GET /gateway/bot", *failures)
    await harness.start(gateway_url=None)
    await harness.say("at last")
    assert (await harness.inbox.next()).text == "at last"


async def test_malformed_event_is_skipped(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.discord.gateway.dispatch("MESSAGE_CREATE", {"id": "1", "nonsense": True})
    await harness.discord.gateway.dispatch("INTERACTION_CREATE", {})
    await harness.discord.gateway.dispatch("CHANNEL_UPDATE", {"guild_id": "x"})
    await harness.say("still here")
    assert (await harness.inbox.next()).text == "still here"
    assert len(harness.discord.gateway.identifies) == 1


async def test_messages_of_bots_are_not_even_parsed(harness: AdapterHarness) -> None:
    """Discord sends each message and each edit of the bot back to it."""
    await harness.start()
    unreadable = {"id": "1", "author": {"id": "5", "bot": True}}
    with structlog.testing.capture_logs() as logs:
        await harness.discord.gateway.dispatch("MESSAGE_CREATE", unreadable)
        await harness.discord.gateway.dispatch("MESSAGE_UPDATE", unreadable)
        await harness.say("hello")
        await harness.inbox.next()
    assert "discord.event_unreadable" not in {entry["event"] for entry in logs}


async def test_rebuilds_client_after_library_error(harness: AdapterHarness) -> None:
    harness.discord.gateway.script.malformed_readies = 2
    running = harness.run(harness.build())
    await harness.discord.wait_for(lambda: len(harness.discord.gateway.identifies) == 3)
    await harness.wait_for_connections(1)
    await harness.say("hi")
    await harness.inbox.next()
    assert not running.done()


async def test_session_that_cannot_be_resumed_is_replaced(harness: AdapterHarness) -> None:
    await harness.start(timings=replace(FAST_TIMINGS, resume_timeout=0.5))
    (session,) = harness.discord.gateway.connected_sessions
    assert session.connection is not None
    await session.connection.send({"op": Opcode.RECONNECT, "d": None, "s": {"no": "sequence"}})
    await harness.discord.wait_for(lambda: len(harness.discord.gateway.identifies) == 2)
    await harness.say("heard")
    assert (await harness.inbox.next()).text == "heard"


async def test_messages_during_reconnect_are_resumed_with_same_key(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.say("first")
    await harness.inbox.next()
    await harness.discord.gateway.request_reconnect()
    missed = await harness.say("in between")
    await harness.discord.wait_for(lambda: harness.discord.gateway.resumes)
    incoming = await harness.inbox.next()
    assert (incoming.text, incoming.key) == ("in between", f"m{missed.id}")


async def test_heartbeats_update_last_activity(harness: AdapterHarness) -> None:
    adapter = harness.build()
    started_at, before = time.monotonic(), adapter.last_activity
    harness.run(adapter)
    await harness.wait_for_connections(1)
    after = adapter.last_activity
    assert before is None
    assert after is not None
    assert started_at <= after <= time.monotonic()


async def test_lost_connection_is_not_connected_until_it_is_back(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)
    harness.discord.gateway.script.close_code = 4008
    await harness.discord.gateway.invalidate_sessions()
    await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTING)
    harness.discord.gateway.script.close_code = None
    await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)


async def test_rebuilds_silent_connection(harness: AdapterHarness) -> None:
    """Discord acknowledges no heartbeat within the time-out, which is far shorter than their interval."""
    await harness.start(timings=replace(FAST_TIMINGS, heartbeat_timeout=0.3, heartbeat_check_interval=0.05))
    await harness.discord.wait_for(lambda: len(harness.discord.gateway.identifies) >= 2)
    await harness.wait_for_connections(1)


async def test_connects_all_recommended_shards(harness: AdapterHarness) -> None:
    harness.discord.gateway.script.shard_count = 2
    adapter = await harness.start(gateway_url=None)
    await harness.wait_for_connections(2)
    assert sorted(identify["shard"] for identify in harness.discord.gateway.identifies) == [[0, 2], [1, 2]]
    assert adapter.last_activity is not None


async def test_refused_shard_ends_adapter(harness: AdapterHarness) -> None:
    harness.discord.gateway.script.shard_count = 2
    harness.discord.gateway.script.close_code = 4014
    assert "intent" in await configuration_error(harness, gateway_url=None)
    await harness.wait_for_connections(0)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä"])
def test_malformed_token_is_configuration_error(token: str) -> None:
    with pytest.raises(ConfigurationError, match="DISCORD_BOT_TOKEN"):
        AdapterHarness(DiscordStandIn()).build(token)


async def test_cancel_is_prompt_and_sending_ends_with_it(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    async with asyncio.timeout(5):
        await harness.stop()
    with pytest.raises(DeliveryError) as refusal:
        await adapter.send(harness.place(harness.channel), Part("too late"), key="k")
    assert refusal.value.failure is DeliveryFailure.TRANSIENT


async def test_cancel_is_prompt_without_close_frame(harness: AdapterHarness) -> None:
    running = harness.run(harness.build())
    await harness.wait_for_connections(1)
    harness.discord.gateway.script.ignores_close = True
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=5)
    assert done


async def test_flood_is_stored_completely_once(harness: AdapterHarness) -> None:
    await harness.start()
    sent = [str((await harness.say(f"{number}")).id) for number in range(500)]
    received = [(await harness.inbox.next()).message_id for _ in sent]
    assert sorted(received, key=str) == sorted(sent)
    assert harness.inbox.events.empty()


async def test_received_events_are_stored_before_shutdown(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.inbox.may_store.clear()
    await harness.say("just in time")
    await harness.acknowledgement(await harness.discord.use_command(harness.ann, harness.channel, "usage"))
    stopping = asyncio.create_task(harness.stop())
    await harness.wait_for_connections(0)
    harness.inbox.may_store.set()
    await stopping
    assert {(await harness.inbox.next()).text for _ in range(2)} == {"just in time", ""}


async def test_token_and_text_are_not_logged(
    harness: AdapterHarness, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await harness.start()
    await harness.say("a private matter")
    await harness.inbox.next()
    interaction = await harness.discord.use_command(harness.ann, harness.channel, "usage")
    await harness.inbox.next()
    await harness.acknowledgement(interaction)
    await harness.stop()
    logged = caplog.text + "".join(capsys.readouterr())
    assert logged
    for secret in (harness.discord.token, "a private matter", interaction.token):
        assert secret not in logged
