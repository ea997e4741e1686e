"""The library's client as the bot uses it."""

import asyncio
from typing import Any, cast

import pytest
import structlog

from bots.discord.gateway_client import GatewayClient
from bots.discord.identify_limiter import IdentifyLimiter
from bots.discord.receiving import EventReceiver
from bots.discord.shard_allocator import Shard
from bots.discord.timings import DiscordTimings
from tests.clock import FakeClock


def create_client(clock: FakeClock, shard: Shard = Shard(0, 1)) -> GatewayClient:  # noqa: B008 (immutable)
    async def session_wait() -> float:
        return 0.0

    return GatewayClient(
        cast("EventReceiver", None),
        IdentifyLimiter("1", session_wait, DiscordTimings(clock=clock)),
        message_content=False,
        shard=shard,
        backfill=None,
        clock=clock,
    )


async def test_task_that_waits_for_guilds_ends_with_its_client() -> None:
    client = create_client(FakeClock())
    await client.clean_up()  # before the connection, there is none
    waiting = asyncio.create_task(asyncio.Event().wait())
    cast("Any", client)._connection._ready_task = waiting
    await client.clean_up()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_time_without_a_session_counts_from_the_first_loss() -> None:
    clock = FakeClock()
    client = create_client(clock)
    assert (client.is_connected, client.seconds_without_session) == (False, 0.0)
    await client.on_connect()
    assert client.is_connected
    await clock.advance(5)
    assert client.seconds_without_session == 0.0
    await client.on_disconnect()
    await clock.advance(5)
    await client.on_disconnect()
    await clock.advance(5)
    assert (client.is_connected, client.seconds_without_session) == (False, 10.0)
    await client.on_resumed()
    assert (client.is_connected, client.seconds_without_session) == (True, 0.0)


async def test_only_a_bot_of_several_shards_names_its_shard() -> None:
    alone, second = create_client(FakeClock()), create_client(FakeClock(), Shard(1, 2))
    assert (alone.shard_id, alone.shard_count) == (None, None)
    assert (second.shard_id, second.shard_count) == (1, 2)


async def test_client_without_a_connection_has_no_heartbeat() -> None:
    assert create_client(FakeClock()).heartbeat_age is None


def test_bot_receives_servers_and_messages_and_texts_only_if_the_operator_wants() -> None:
    intents = create_client(FakeClock()).intents
    assert {name for name, is_on in intents if is_on} == {"guilds", "guild_messages", "dm_messages"}


def test_messages_of_bots_are_not_parsed_and_unreadable_events_are_skipped() -> None:
    parsers = cast("Any", create_client(FakeClock()))._connection.parsers
    with structlog.testing.capture_logs() as logs:
        parsers["MESSAGE_CREATE"]({"author": {"bot": True}})
        assert logs == [], "parsing it would have failed"
        parsers["MESSAGE_CREATE"]({"author": {}})
    assert [(entry["event"], entry["event_type"]) for entry in logs] == [("discord.event_unreadable", "MESSAGE_CREATE")]
    with pytest.raises(KeyError):
        parsers["READY"]({})  # without it, the connection is useless
