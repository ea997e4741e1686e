"""The connection: survives what Discord does to it, and ends with clear words where it must."""

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from core.commands.declared import COMMANDS as DECLARED
from core.errors import ConfigurationError
from core.port import Part
from tests.bots.discord.conftest import HERE, QUICK, World
from tests.bots.discord.loopback import BOT, DM, TOKEN, Loopback, refusal, user

COMMANDS = f"/applications/{BOT}/commands"


async def synchronised(world: World) -> None:
    async with asyncio.timeout(5):
        await world.memory.written.wait()


async def failing(world: World, **settings: object) -> str:
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError) as caught:
            await world.run(world.build(**settings))
    return str(caught.value)


async def test_the_account_is_known_before_any_connection(world: World) -> None:
    assert world.build().account == BOT


async def test_a_token_that_tells_nothing_still_makes_one_lasting_account(world: World) -> None:
    world.discord.token = "opaque"
    chat = await world.start(token="opaque")
    for _ in range(2):
        await world.discord.say(f"<@{BOT}> hi", mentions=[user(BOT, bot=True)])
        heard = await world.inbox.next()
        assert (heard.text, heard.place.account) == ("hi", chat.account)
        chat = await world.restart(token="opaque")
    assert chat.account == world.build(token="opaque").account != world.build(token="x").account
    assert "opaque" not in chat.account


async def test_only_what_is_needed_is_asked_for(world: World) -> None:
    await world.start()
    assert world.discord.identifies[0]["intents"] == 1 << 0 | 1 << 9 | 1 << 12
    await world.restart(message_content=True)
    assert world.discord.identifies[1]["intents"] == 1 << 0 | 1 << 9 | 1 << 12 | 1 << 15


async def test_the_gateway_is_asked_from_the_api(world: World) -> None:
    await world.start(gateway_url=None)
    assert world.discord.made("GET", "/gateway/bot")
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()


@pytest.mark.parametrize("gateway", [True, False])
async def test_a_wrong_token_is_a_configuration_error(world: World, gateway: bool) -> None:
    world.discord.token = "another"
    settings = {} if gateway else {"gateway_url": None}
    words = await failing(world, **settings)
    assert "DISCORD_BOT_TOKEN" in words
    assert TOKEN not in words


async def test_a_refused_intent_is_a_configuration_error(world: World) -> None:
    world.discord.close_with = 4014
    assert "DISCORD_MESSAGE_CONTENT" in await failing(world, message_content=True)


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013])
async def test_lasting_refusals_of_the_gateway_are_configuration_errors(
    world: World, code: int
) -> None:
    world.discord.close_with = code
    assert await failing(world)


async def test_commands_are_synchronised_once_over_restarts(world: World) -> None:
    await world.start()
    await synchronised(world)
    [put] = world.discord.made("PUT", COMMANDS)
    ask = next(command for command in put.body if command["name"] == "ask")
    assert ask["contexts"] == [0, 1, 2]
    assert ask["integration_types"] == [0, 1]
    assert ask["options"][0]["required"]
    model = next(command for command in put.body if command["name"] == "model")
    assert model["options"][0]["autocomplete"]
    await world.restart()
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    assert len(world.discord.made("PUT", COMMANDS)) == 1


async def test_changed_commands_are_synchronised_again(world: World) -> None:
    await world.start()
    await synchronised(world)
    await world.restart(commands=DECLARED[:3])
    await world.discord.until(lambda: len(world.discord.made("PUT", COMMANDS)) == 2)


async def test_commands_that_fail_to_synchronise_do_not_stop_the_chat(world: World) -> None:
    world.discord.misbehave("PUT", COMMANDS, refusal(503), refusal(429, 0, retry_after=0.05))
    await world.start()
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    await synchronised(world)
    assert len(world.discord.made("PUT", COMMANDS)) == 3


async def test_a_gateway_that_is_down_at_the_start_is_tried_again(world: World) -> None:
    world.discord.refuse_gateway = 1
    await world.start()
    await world.discord.say("at last", channel=DM)
    assert (await world.inbox.next()).text == "at last"


async def test_an_api_that_is_down_at_the_start_is_tried_again(world: World) -> None:
    world.discord.misbehave("GET", "/users/@me", refusal(503))
    world.discord.misbehave("GET", "/gateway/bot", refusal(503), refusal(429, 0, retry_after=0.01))
    await world.start(gateway_url=None)
    await world.discord.say("at last", channel=DM)
    assert (await world.inbox.next()).text == "at last"


async def test_a_malformed_event_costs_nothing_but_itself(world: World) -> None:
    await world.start()
    await world.discord.dispatch("MESSAGE_CREATE", {"id": "1", "nonsense": True})
    await world.discord.dispatch("INTERACTION_CREATE", {})
    await world.discord.dispatch("CHANNEL_UPDATE", {"guild_id": "x"})
    await world.discord.say("still here", channel=DM)
    assert (await world.inbox.next()).text == "still here"
    assert len(world.discord.identifies) == 1


async def test_a_connection_that_dies_of_the_library_is_built_anew(world: World) -> None:
    world.discord.broken_ready = 2
    running = world.run(world.build())
    await world.discord.until(lambda: len(world.discord.identifies) == 3)
    await world.discord.until(lambda: world.discord.connected)
    await world.discord.say("hi", channel=DM)
    await world.inbox.next()
    assert not running.done()


async def test_messages_during_a_reconnect_are_resumed_with_the_same_key(world: World) -> None:
    await world.start()
    await world.discord.say("first", channel=DM)
    await world.inbox.next()
    await world.discord.reconnect()
    missed = await world.discord.say("in between", channel=DM)
    await world.discord.until(lambda: world.discord.resumes)
    heard = await world.inbox.next()
    assert (heard.text, heard.key) == ("in between", f"m{missed}")


async def test_heartbeats_are_seen(world: World) -> None:
    chat = world.build()
    before = chat.last_heard
    world.run(chat)
    await world.discord.until(lambda: world.discord.connected)
    after = chat.last_heard
    assert (before, after is not None) == (None, True)
    assert time.monotonic() - (after or 0) < 5


async def test_a_deaf_connection_is_built_anew(world: World) -> None:
    await world.start(timing=replace(QUICK, deaf=0.3, watch=0.05))
    await world.discord.until(lambda: len(world.discord.identifies) >= 2)
    await world.discord.until(lambda: world.discord.connected)


async def test_every_shard_discord_wants_is_connected(world: World) -> None:
    world.discord.shards = 2
    chat = await world.start(gateway_url=None)
    await world.discord.until(lambda: world.discord.connected == 2)
    assert sorted(one["shard"] for one in world.discord.identifies) == [[0, 2], [1, 2]]
    assert chat.last_heard is not None


async def test_a_shard_that_is_refused_ends_all_with_clear_words(world: World) -> None:
    world.discord.shards = 2
    world.discord.close_with = 4014
    assert "intent" in await failing(world, gateway_url=None)
    await world.discord.until(lambda: not world.discord.connected)


def test_a_token_with_strange_characters_is_a_configuration_error() -> None:
    for token in ("a b", "a\nb", "ä"):
        with pytest.raises(ConfigurationError):
            World(Loopback()).build(token=token)


async def test_cancelling_ends_in_time_and_sending_works_until_closed(world: World) -> None:
    chat = await world.start()
    began = time.monotonic()
    await world.stop()
    assert time.monotonic() - began < 5
    assert await chat.send(HERE, Part("the last word"), key="k") in world.discord.messages
    await chat.close()


async def test_cancelling_ends_in_time_although_discord_does_not_say_good_bye(
    world: World,
) -> None:
    chat = world.build()
    running = world.run(chat)
    await world.discord.until(lambda: world.discord.connected)
    world.discord.deaf.set()
    running.cancel()
    began = time.monotonic()
    done, _ = await asyncio.wait({running}, timeout=10)
    assert done
    assert time.monotonic() - began < 5


async def test_a_flood_is_kept_whole_and_once(world: World) -> None:
    await world.start()
    said = [await world.discord.say(f"{number}", channel=DM) for number in range(500)]
    heard = [(await world.inbox.next()).message for _ in said]
    assert sorted(heard, key=str) == sorted(said)
    assert world.inbox.arrived.empty()


async def test_what_was_taken_is_kept_before_the_end(world: World) -> None:
    await world.start()
    world.inbox.gate.clear()
    await world.discord.say("just in time", channel=DM)
    await world.discord.command("usage")
    await world.discord.until(lambda: world.discord.callbacks)
    stopping = asyncio.create_task(world.stop())
    await world.discord.until(lambda: not world.discord.connected)
    world.inbox.gate.set()
    await stopping
    kept = {(await world.inbox.next()).text for _ in range(2)}
    assert kept == {"just in time", ""}


async def test_neither_token_nor_text_is_logged(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.start()
    await world.discord.say("a private matter", channel=DM)
    await world.inbox.next()
    await world.discord.command("usage")
    ticket = (await world.inbox.next()).ticket or ""
    await world.discord.until(lambda: world.discord.callbacks)
    await world.stop()
    logged = caplog.text + "".join(capsys.readouterr())
    assert logged
    for secret in (TOKEN, "a private matter", ticket.split()[3]):
        assert secret not in logged
