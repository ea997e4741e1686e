"""What the core sends reaches Discord in its form; every refusal becomes one of the faults."""

import asyncio
import re
import time
from typing import Any

import pytest
from aiohttp import web

from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, Part, Place
from tests.bots.discord.conftest import CHANNEL_PLACE, AdapterHarness
from tests.bots.discord.scripted_discord import (
    BOT,
    CHANNEL,
    GUILD,
    THREAD,
    error_reply,
    json_response,
)

MESSAGES_PATH = f"/channels/{CHANNEL}/messages"


async def refused(world: AdapterHarness, **more: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await world.build().send(CHANNEL_PLACE, Part("x"), key="k", **more)
    return caught.value


async def test_message_pings_nobody_and_replies_to_deleted(world: AdapterHarness) -> None:
    chat = world.build()
    message = await chat.send(CHANNEL_PLACE, Part("@everyone <@1>"), key="turn-1", reply_to="17")
    [post] = world.discord.requests_to("POST", MESSAGES_PATH)
    assert post.body == {
        "content": "@everyone <@1>",
        "allowed_mentions": {"parse": [], "replied_user": False},
        "components": [],
        "nonce": "turn-1",
        "enforce_nonce": True,
        "flags": 4,
        "message_reference": {"message_id": "17", "fail_if_not_exists": False},
    }
    assert message in world.discord.messages


async def test_buttons_are_five_per_row_and_removed_by_edit(world: AdapterHarness) -> None:
    chat = world.build()
    buttons = tuple(Button(f"B{n}", f"b:{n}", is_destructive=n == 0) for n in range(7))
    message = await chat.send(CHANNEL_PLACE, Part("x", buttons=buttons), key="k")
    shown = world.discord.messages[message]
    assert [len(row["components"]) for row in shown["components"]] == [5, 2]
    assert [b["style"] for b in shown["components"][0]["components"]][:2] == [4, 2]
    await chat.edit(CHANNEL_PLACE, message, Part("y"))
    assert (shown["content"], shown["components"]) == ("y", [])


async def test_edit_and_delete_need_no_fetch(world: AdapterHarness) -> None:
    chat = world.build()
    message = await chat.send(CHANNEL_PLACE, Part("x"), key="k")
    await chat.edit(CHANNEL_PLACE, message, Part("y"))
    await chat.delete(CHANNEL_PLACE, message)
    assert [r.method for r in world.discord.requests] == ["POST", "PATCH", "DELETE"]
    assert not world.discord.messages


async def test_same_key_sends_once(world: AdapterHarness) -> None:
    chat = world.build()
    first = await chat.send(CHANNEL_PLACE, Part("x"), key="same")
    assert await chat.send(CHANNEL_PLACE, Part("x"), key="same") == first
    assert len(world.discord.messages) == 1


async def test_sends_to_thread(world: AdapterHarness) -> None:
    place = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)
    chat = world.build()
    await chat.show_typing(place)
    await chat.send(place, Part("x"), key="k")
    paths = [request.path for request in world.discord.requests]
    assert paths == [f"/channels/{THREAD}/typing", f"/channels/{THREAD}/messages"]


async def test_connection_lost_after_acceptance_sends_once(world: AdapterHarness) -> None:
    async def accept_and_drop(request: web.Request) -> web.StreamResponse | None:
        world.discord._answer("POST", MESSAGES_PATH, await request.json())
        assert request.transport is not None
        request.transport.close()
        return None

    world.discord.script("POST", MESSAGES_PATH, accept_and_drop)
    message = await world.build().send(CHANNEL_PLACE, Part("x"), key="k")
    assert list(world.discord.messages) == [message]
    assert len(world.discord.requests_to("POST", MESSAGES_PATH)) == 2


async def drop_connection(request: web.Request) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.close()
    return None


async def test_lost_keyed_send_may_be_retried(
    world: AdapterHarness,
) -> None:
    world.discord.script("POST", MESSAGES_PATH, drop_connection, drop_connection)
    assert (await refused(world)).failure is DeliveryFailure.TRANSIENT


async def test_lost_edit_may_be_retried(world: AdapterHarness) -> None:
    world.discord.script("PATCH", f"{MESSAGES_PATH}/1", drop_connection, drop_connection)
    with pytest.raises(DeliveryError) as caught:
        await world.build().edit(CHANNEL_PLACE, "1", Part("x"))
    assert caught.value.failure is DeliveryFailure.TRANSIENT


async def test_unreachable_server_is_transient(world: AdapterHarness, unused_tcp_port: int) -> None:
    chat = world.build(api_base=f"http://127.0.0.1:{unused_tcp_port}/api")
    with pytest.raises(DeliveryError) as caught:
        await chat.send(CHANNEL_PLACE, Part("x"), key="k")
    assert caught.value.failure is DeliveryFailure.TRANSIENT


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (403, 50013, DeliveryFailure.FORBIDDEN),
        (403, 50001, DeliveryFailure.FORBIDDEN),
        (403, 50007, DeliveryFailure.FORBIDDEN),
        (403, 50278, DeliveryFailure.FORBIDDEN),
        (400, 160005, DeliveryFailure.FORBIDDEN),
        (404, 10003, DeliveryFailure.GONE),
        (404, 10008, DeliveryFailure.GONE),
        (404, 10062, DeliveryFailure.GONE),
        (404, 10015, DeliveryFailure.GONE),
        (401, 50027, DeliveryFailure.GONE),
        (400, 50035, DeliveryFailure.REJECTED),
        (400, 50006, DeliveryFailure.REJECTED),
        (400, 200000, DeliveryFailure.REJECTED),
        (413, 40005, DeliveryFailure.REJECTED),
        (500, 0, DeliveryFailure.TRANSIENT),
        (502, 0, DeliveryFailure.TRANSIENT),
        (503, 0, DeliveryFailure.TRANSIENT),
        (401, 0, DeliveryFailure.TRANSIENT),
    ],
)
async def test_refusals_are_classified(world: AdapterHarness, status: int, code: int, fault: DeliveryFailure) -> None:
    world.discord.script("POST", MESSAGES_PATH, error_reply(status, code))
    error = await refused(world)
    assert error.failure is fault
    assert error.retry_after is None
    assert re.fullmatch(r"[A-Z].*[^.]", str(error))


async def test_slow_mode_has_retry_after(world: AdapterHarness) -> None:
    world.discord.script("POST", MESSAGES_PATH, error_reply(429, 20016, retry_after=7.5))
    error = await refused(world)
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 7.5)


async def test_rate_limit_is_kept_without_requests(world: AdapterHarness) -> None:
    world.discord.script("POST", MESSAGES_PATH, error_reply(429, 0, retry_after=30.0))
    chat = world.build()
    elsewhere = Place("discord", BOT, THREAD, server=GUILD)
    began = time.monotonic()
    for left in (30.0, 29.0):
        with pytest.raises(DeliveryError) as caught:
            await chat.send(CHANNEL_PLACE, Part("x"), key="k")
        assert caught.value.failure is DeliveryFailure.RATE_LIMITED
        assert not caught.value.account_wide
        assert left - 1 < (caught.value.retry_after or 0) <= left + 1
    assert len(world.discord.requests_to("POST", MESSAGES_PATH)) == 1
    await chat.send(elsewhere, Part("x"), key="k")  # no other place waits
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("said", "headers"),
    [({"global": True}, {}), ({"global": False}, {"X_RateLimit_Global": "true"})],
    ids=["body", "header"],
)
async def test_global_rate_limit_is_account_wide(
    world: AdapterHarness, said: dict[str, object], headers: dict[str, str]
) -> None:
    async def everything(_: web.Request) -> web.StreamResponse:
        body = {"retry_after": 30.0, "code": 0, "message": "wait", **said}
        return json_response(body, 429, **headers)

    world.discord.script("POST", MESSAGES_PATH, everything)
    chat = world.build()
    elsewhere = Place("discord", BOT, THREAD, server=GUILD)
    for place in (CHANNEL_PLACE, elsewhere):
        with pytest.raises(DeliveryError) as caught:
            await chat.send(place, Part("x"), key="k")
        assert (caught.value.failure, caught.value.account_wide) == (DeliveryFailure.RATE_LIMITED, True)
        assert 28 < (caught.value.retry_after or 0) <= 30
    assert not world.discord.requests_to("POST", f"/channels/{THREAD}/messages")


async def test_cloudflare_ban_is_rate_limit(world: AdapterHarness) -> None:
    async def ban(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, text="<html>error 1015", headers={"Retry-After": "120"})

    world.discord.script("POST", MESSAGES_PATH, ban)
    error = await refused(world)
    assert (error.failure, error.retry_after, error.account_wide) == (
        DeliveryFailure.RATE_LIMITED,
        120,
        True,
    )


async def test_edit_that_empties_bucket_returns_at_once(world: AdapterHarness) -> None:
    spent = {
        "X_RateLimit_Limit": "5",
        "X_RateLimit_Remaining": "0",
        "X_RateLimit_Reset_After": "0.3",
        "X_RateLimit_Bucket": "abc",
    }

    async def last_token(_: web.Request) -> web.StreamResponse:
        return json_response({"id": "1"}, **spent)

    world.discord.script("PATCH", f"{MESSAGES_PATH}/.*", last_token)
    chat = world.build()
    message = await chat.send(CHANNEL_PLACE, Part("x"), key="k")
    async with asyncio.timeout(0.25):
        await chat.edit(CHANNEL_PLACE, message, Part("y"))
    with pytest.raises(DeliveryError) as caught:
        await chat.edit(CHANNEL_PLACE, message, Part("z"))
    assert caught.value.failure is DeliveryFailure.RATE_LIMITED
    assert 0 < (caught.value.retry_after or 0) <= 0.3
    await asyncio.sleep(caught.value.retry_after or 0)
    await chat.edit(CHANNEL_PLACE, message, Part("z"))
    assert world.discord.messages[message]["content"] == "z"


async def test_archived_thread_is_reopened_for_edit(world: AdapterHarness) -> None:
    place = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)
    chat = world.build()
    message = await chat.send(place, Part("x"), key="k")
    world.discord.script("PATCH", f"/channels/{THREAD}/messages/.*", error_reply(400, 50083))
    await chat.edit(place, message, Part("y"))
    assert world.discord.messages[message]["content"] == "y"


async def test_forbidden_typing_is_not_retried(world: AdapterHarness) -> None:
    world.discord.script("POST", f"/channels/{CHANNEL}/typing", error_reply(403, 50001))
    chat = world.build()
    await chat.show_typing(CHANNEL_PLACE)
    await chat.show_typing(CHANNEL_PLACE)
    assert len(world.discord.requests) == 1
