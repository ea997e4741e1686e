"""What the core sends reaches Discord in its form; every refusal becomes one of the faults."""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from core.errors import DeliveryError, Fault
from core.port import Button, Part, Place
from tests.bots.discord.conftest import HERE, World
from tests.bots.discord.loopback import BOT, CHANNEL, GUILD, THREAD, refusal, reply

POSTS = f"/channels/{CHANNEL}/messages"


async def refused(world: World, **more: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await world.build().send(HERE, Part("x"), key="k", **more)
    return caught.value


async def test_a_message_rings_no_bell_and_replies_even_to_the_deleted(world: World) -> None:
    chat = world.build()
    message = await chat.send(HERE, Part("@everyone <@1>"), key="turn-1", reply_to="17")
    [post] = world.discord.made("POST", POSTS)
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


async def test_buttons_stand_five_in_a_row_and_vanish_with_the_next_edit(world: World) -> None:
    chat = world.build()
    buttons = tuple(Button(f"B{n}", f"b:{n}", danger=n == 0) for n in range(7))
    message = await chat.send(HERE, Part("x", buttons=buttons), key="k")
    shown = world.discord.messages[message]
    assert [len(row["components"]) for row in shown["components"]] == [5, 2]
    assert [b["style"] for b in shown["components"][0]["components"]][:2] == [4, 2]
    await chat.edit(HERE, message, Part("y"))
    assert (shown["content"], shown["components"]) == ("y", [])


async def test_a_message_is_edited_without_being_fetched_and_deleted(world: World) -> None:
    chat = world.build()
    message = await chat.send(HERE, Part("x"), key="k")
    await chat.edit(HERE, message, Part("y"))
    await chat.delete(HERE, message)
    assert [r.method for r in world.discord.requests] == ["POST", "PATCH", "DELETE"]
    assert not world.discord.messages


async def test_the_same_key_makes_one_message(world: World) -> None:
    chat = world.build()
    first = await chat.send(HERE, Part("x"), key="same")
    assert await chat.send(HERE, Part("x"), key="same") == first
    assert len(world.discord.messages) == 1


async def test_a_thread_gets_its_messages(world: World) -> None:
    place = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)
    chat = world.build()
    await chat.typing(place)
    await chat.send(place, Part("x"), key="k")
    paths = [request.path for request in world.discord.requests]
    assert paths == [f"/channels/{THREAD}/typing", f"/channels/{THREAD}/messages"]


async def test_a_lost_connection_after_acceptance_sends_one_message(world: World) -> None:
    async def accept_and_drop(request: web.Request) -> web.StreamResponse | None:
        world.discord._answer("POST", POSTS, await request.json())
        assert request.transport is not None
        request.transport.close()
        return None

    world.discord.misbehave("POST", POSTS, accept_and_drop)
    message = await world.build().send(HERE, Part("x"), key="k")
    assert list(world.discord.messages) == [message]
    assert len(world.discord.made("POST", POSTS)) == 2


async def drop(request: web.Request) -> web.StreamResponse | None:
    assert request.transport is not None
    request.transport.close()
    return None


async def test_a_message_with_a_key_whose_connection_was_lost_may_be_sent_again(
    world: World,
) -> None:
    world.discord.misbehave("POST", POSTS, drop, drop)
    assert (await refused(world)).fault is Fault.TRANSIENT


async def test_an_edit_lost_twice_may_be_tried_again(world: World) -> None:
    world.discord.misbehave("PATCH", f"{POSTS}/1", drop, drop)
    with pytest.raises(DeliveryError) as caught:
        await world.build().edit(HERE, "1", Part("x"))
    assert caught.value.fault is Fault.TRANSIENT


async def test_no_server_at_all_is_transient(world: World, unused_tcp_port: int) -> None:
    chat = world.build(api_base=f"http://127.0.0.1:{unused_tcp_port}/api")
    with pytest.raises(DeliveryError) as caught:
        await chat.send(HERE, Part("x"), key="k")
    assert caught.value.fault is Fault.TRANSIENT


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (403, 50013, Fault.FORBIDDEN),
        (403, 50001, Fault.FORBIDDEN),
        (403, 50007, Fault.FORBIDDEN),
        (403, 50278, Fault.FORBIDDEN),
        (400, 160005, Fault.FORBIDDEN),
        (404, 10003, Fault.GONE),
        (404, 10008, Fault.GONE),
        (404, 10062, Fault.GONE),
        (404, 10015, Fault.GONE),
        (401, 50027, Fault.GONE),
        (400, 50035, Fault.REJECTED),
        (400, 50006, Fault.REJECTED),
        (400, 200000, Fault.REJECTED),
        (413, 40005, Fault.REJECTED),
        (500, 0, Fault.TRANSIENT),
        (502, 0, Fault.TRANSIENT),
        (503, 0, Fault.TRANSIENT),
        (401, 0, Fault.TRANSIENT),
    ],
)
async def test_refusals_are_classified(world: World, status: int, code: int, fault: Fault) -> None:
    world.discord.misbehave("POST", POSTS, refusal(status, code))
    error = await refused(world)
    assert error.fault is fault
    assert error.retry_after is None
    assert str(error).endswith(".")


async def test_slow_mode_says_how_long(world: World) -> None:
    world.discord.misbehave("POST", POSTS, refusal(429, 20016, retry_after=7.5))
    error = await refused(world)
    assert (error.fault, error.retry_after) == (Fault.RATE, 7.5)


async def test_a_rate_limit_returns_at_once_and_is_kept_without_asking(world: World) -> None:
    world.discord.misbehave("POST", POSTS, refusal(429, 0, retry_after=30.0))
    chat = world.build()
    elsewhere = Place("discord", BOT, THREAD, server=GUILD)
    began = time.monotonic()
    for left in (30.0, 29.0):
        with pytest.raises(DeliveryError) as caught:
            await chat.send(HERE, Part("x"), key="k")
        assert caught.value.fault is Fault.RATE
        assert not caught.value.everywhere
        assert left - 1 < (caught.value.retry_after or 0) <= left + 1
    assert len(world.discord.made("POST", POSTS)) == 1
    await chat.send(elsewhere, Part("x"), key="k")  # no other place waits
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("said", "headers"),
    [({"global": True}, {}), ({"global": False}, {"X_RateLimit_Global": "true"})],
    ids=["body", "header"],
)
async def test_a_global_rate_limit_stops_the_whole_account(
    world: World, said: dict[str, object], headers: dict[str, str]
) -> None:
    async def everything(_: web.Request) -> web.StreamResponse:
        body = {"retry_after": 30.0, "code": 0, "message": "wait", **said}
        return reply(body, 429, **headers)

    world.discord.misbehave("POST", POSTS, everything)
    chat = world.build()
    elsewhere = Place("discord", BOT, THREAD, server=GUILD)
    for place in (HERE, elsewhere):
        with pytest.raises(DeliveryError) as caught:
            await chat.send(place, Part("x"), key="k")
        assert (caught.value.fault, caught.value.everywhere) == (Fault.RATE, True)
        assert 28 < (caught.value.retry_after or 0) <= 30
    assert not world.discord.made("POST", f"/channels/{THREAD}/messages")


async def test_a_ban_by_the_proxy_is_a_rate_limit(world: World) -> None:
    async def ban(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, text="<html>error 1015", headers={"Retry-After": "120"})

    world.discord.misbehave("POST", POSTS, ban)
    error = await refused(world)
    assert (error.fault, error.retry_after, error.everywhere) == (Fault.RATE, 120, True)


async def test_the_edit_that_empties_the_bucket_returns_at_once(world: World) -> None:
    spent = {
        "X_RateLimit_Limit": "5",
        "X_RateLimit_Remaining": "0",
        "X_RateLimit_Reset_After": "0.3",
        "X_RateLimit_Bucket": "abc",
    }

    async def last_token(_: web.Request) -> web.StreamResponse:
        return reply({"id": "1"}, **spent)

    world.discord.misbehave("PATCH", f"{POSTS}/.*", last_token)
    chat = world.build()
    message = await chat.send(HERE, Part("x"), key="k")
    async with asyncio.timeout(0.25):
        await chat.edit(HERE, message, Part("y"))
    with pytest.raises(DeliveryError) as caught:
        await chat.edit(HERE, message, Part("z"))
    assert caught.value.fault is Fault.RATE
    assert 0 < (caught.value.retry_after or 0) <= 0.3
    await asyncio.sleep(caught.value.retry_after or 0)
    await chat.edit(HERE, message, Part("z"))
    assert world.discord.messages[message]["content"] == "z"


async def test_an_archived_thread_is_opened_for_an_edit(world: World) -> None:
    place = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)
    chat = world.build()
    message = await chat.send(place, Part("x"), key="k")
    world.discord.misbehave("PATCH", f"/channels/{THREAD}/messages/.*", refusal(400, 50083))
    await chat.edit(place, message, Part("y"))
    assert world.discord.messages[message]["content"] == "y"


async def test_typing_where_it_is_forbidden_is_not_tried_again(world: World) -> None:
    world.discord.misbehave("POST", f"/channels/{CHANNEL}/typing", refusal(403, 50001))
    chat = world.build()
    await chat.typing(HERE)
    await chat.typing(HERE)
    assert len(world.discord.requests) == 1
