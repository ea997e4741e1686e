"""Messages reach Discord in its form; each of its refusals becomes a `DeliveryFailure`."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from bots.discord.interaction_responder import InteractionToken, ResponseMode
from bots.sandbox.discord import Fault, FaultKind, ScriptedReply
from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, Part, RateWindow
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, messages_path
from tests.clock import FakeClock


async def failure_of(call: Awaitable[Any]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await call
    return caught.value


async def failed_send(harness: AdapterHarness, *replies: ScriptedReply) -> DeliveryError:
    """The failure of a message whose requests get these replies."""
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", *replies)
    return await failure_of(harness.build().send(harness.place(harness.channel), Part("x"), key="k"))


async def test_message_pings_nobody_and_replies_to_deleted(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    message_id = await adapter.send(place, Part("@everyone <@1>"), key="turn-1", reply_to="17")
    [post] = harness.discord.calls_to("POST", messages_path(harness.channel))
    assert post.body == {
        "content": "@everyone <@1>",
        "allowed_mentions": {"parse": [], "replied_user": False},
        "components": [],
        "nonce": "turn-1",
        "enforce_nonce": True,
        "flags": 4,
        "message_reference": {"message_id": "17", "fail_if_not_exists": False},
    }
    assert harness.message(message_id).content == "@everyone <@1>"


async def test_buttons_are_five_per_row_and_removed_by_edit(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    buttons = tuple(Button(f"B{n}", f"b:{n}", is_destructive=n == 0) for n in range(7))
    message_id = await adapter.send(place, Part("x", buttons=buttons), key="k")
    message = harness.message(message_id)
    assert [len(row["components"]) for row in message.components] == [5, 2]
    assert [button["style"] for button in message.components[0]["components"]][:2] == [4, 2]
    await adapter.edit(place, message_id, Part("y"))
    assert (message.content, message.components) == ("y", [])


async def test_edit_and_delete_need_no_fetch(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    message_id = await adapter.send(place, Part("x"), key="k")
    await adapter.edit(place, message_id, Part("y"))
    await adapter.delete(place, message_id)
    assert [call.method for call in harness.discord.calls] == ["POST", "PATCH", "DELETE"]
    assert not harness.bot_messages()


async def test_sends_to_thread(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.thread)
    await adapter.show_typing(place)
    await adapter.send(place, Part("x"), key="k")
    paths = [call.path for call in harness.discord.calls]
    assert paths == [f"/channels/{harness.thread.id}/typing", messages_path(harness.thread)]
    assert harness.bot_texts(harness.thread) == ["x"]


async def test_connection_lost_after_acceptance_sends_once(harness: AdapterHarness) -> None:
    faults = [Fault(FaultKind.DROP_AFTER)]
    harness.discord.fault_hook = lambda _: faults.pop() if faults else None
    message_id = await harness.build().send(harness.place(harness.channel), Part("x"), key="k")
    assert [str(message.id) for message in harness.bot_messages()] == [message_id]
    assert len(harness.discord.calls_to("POST", messages_path(harness.channel))) == 2


async def test_unreachable_service_certainly_got_nothing(harness: AdapterHarness, unused_tcp_port: int) -> None:
    """A message that was certainly not sent may be sent again."""
    adapter = harness.build(api_base=f"http://127.0.0.1:{unused_tcp_port}")
    place = harness.place(harness.channel)
    token = InteractionToken(
        ResponseMode.COMPONENT, harness.account, "1", "t", expires_at=2**40, can_post=True
    ).encode()
    for request in (
        adapter.send(place, Part("x"), key="k"),
        adapter.send(place, Part("x"), key="k", interaction_token=token, ephemeral=True),
        adapter.edit(place, "1", Part("x")),
        adapter.delete(place, "1"),
    ):
        assert (await failure_of(request)).failure is DeliveryFailure.TRANSIENT


async def test_lost_edit_may_be_retried(harness: AdapterHarness) -> None:
    dropped = ScriptedReply(drops_connection=True)
    harness.discord.script.add(f"PATCH {messages_path(harness.channel)}/1", dropped, dropped)
    error = await failure_of(harness.build().edit(harness.place(harness.channel), "1", Part("x")))
    assert error.failure is DeliveryFailure.TRANSIENT


@pytest.mark.parametrize(
    ("status", "code", "failure"),
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
async def test_refusals_are_classified(
    harness: AdapterHarness, status: int, code: int, failure: DeliveryFailure
) -> None:
    error = await failed_send(harness, ScriptedReply.error(status, code))
    assert error.failure is failure
    assert error.retry_after is None
    assert re.fullmatch(r"[A-Z].*[^.]", str(error))


async def test_slow_mode_has_retry_after(harness: AdapterHarness) -> None:
    error = await failed_send(harness, ScriptedReply.error(429, 20016, retry_after=7.5))
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 7.5)


async def test_rate_limit_is_kept_without_requests(harness: AdapterHarness) -> None:
    clock = FakeClock()
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", ScriptedReply.error(429, retry_after=30.0))
    adapter = harness.build(timings=replace(FAST_TIMINGS, clock=clock))
    for seconds in (30.0, 20.0, 10.0):
        error = await failure_of(adapter.send(harness.place(harness.channel), Part("x"), key="k"))
        assert (error.failure, error.account_wide) == (DeliveryFailure.RATE_LIMITED, False)
        assert error.retry_after == pytest.approx(seconds)
        await clock.advance(10)
    assert len(harness.discord.calls_to("POST", messages_path(harness.channel))) == 1
    await adapter.send(harness.place(harness.channel), Part("x"), key="k")


async def test_rate_limit_of_channel_does_not_affect_others(harness: AdapterHarness) -> None:
    adapter = harness.build(timings=replace(FAST_TIMINGS, clock=FakeClock()))
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", ScriptedReply.error(429, retry_after=30.0))
    await failure_of(adapter.send(harness.place(harness.channel), Part("x"), key="k"))
    async with asyncio.timeout(5):
        await adapter.send(harness.place(harness.thread), Part("x"), key="k")


@pytest.mark.parametrize(
    ("fields", "headers"),
    [({"global": True}, {}), ({"global": False}, {"X-RateLimit-Global": "true"})],
    ids=["body", "header"],
)
async def test_global_rate_limit_is_account_wide(
    harness: AdapterHarness, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    body = {"retry_after": 30.0, "code": 0, "message": "wait", **fields}
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", ScriptedReply(429, body, headers))
    adapter = harness.build(timings=replace(FAST_TIMINGS, clock=FakeClock()))
    for channel in (harness.channel, harness.thread):
        error = await failure_of(adapter.send(harness.place(channel), Part("x"), key="k"))
        assert (error.failure, error.account_wide) == (DeliveryFailure.RATE_LIMITED, True)
        assert error.retry_after == pytest.approx(30)
    assert not harness.discord.calls_to("POST", messages_path(harness.thread))


async def test_cloudflare_ban_is_rate_limit(harness: AdapterHarness) -> None:
    headers = {"Retry-After": "120", "Content-Type": "text/html"}
    error = await failed_send(harness, ScriptedReply(429, b"<html>error 1015", headers))
    assert (error.failure, error.retry_after, error.account_wide) == (DeliveryFailure.RATE_LIMITED, 120, True)


async def test_edit_that_empties_bucket_returns_at_once(harness: AdapterHarness) -> None:
    clock = FakeClock()
    headers = {
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset-After": "0.3",
        "X-RateLimit-Bucket": "abc",
    }
    harness.discord.script.add(f"PATCH {messages_path(harness.channel)}/.*", ScriptedReply(200, {"id": "1"}, headers))
    adapter, place = harness.build(timings=replace(FAST_TIMINGS, clock=clock)), harness.place(harness.channel)
    message_id = await adapter.send(place, Part("x"), key="k")
    async with asyncio.timeout(5):
        await adapter.edit(place, message_id, Part("y"))
    error = await failure_of(adapter.edit(place, message_id, Part("z")))
    assert error.failure is DeliveryFailure.RATE_LIMITED
    assert error.retry_after == pytest.approx(0.3)
    assert error.is_foreseen
    await clock.advance(error.retry_after or 0)
    await adapter.edit(place, message_id, Part("z"))
    assert harness.message(message_id).content == "z"


async def test_limits_that_discord_reports_are_kept(harness: AdapterHarness) -> None:
    """Of each channel, for messages and edits apart; a window's length is known when it begins."""
    adapter, place, other = harness.build(), harness.place(harness.channel), harness.place(harness.thread)
    usual = adapter.capabilities(place)

    def reported(remaining: str) -> ScriptedReply:
        headers = {
            "X-RateLimit-Limit": "3",
            "X-RateLimit-Remaining": remaining,
            "X-RateLimit-Reset-After": "9.8",
            "X-RateLimit-Bucket": "abc",
        }
        return ScriptedReply(200, {"id": "1"}, headers)

    harness.discord.script.add(f"PATCH {messages_path(harness.channel)}/.*", reported("1"), reported("2"))
    message_id = await adapter.send(place, Part("x"), key="k")
    await adapter.edit(place, message_id, Part("y"))
    assert adapter.capabilities(place).edit_rate_limit == usual.edit_rate_limit
    await adapter.edit(place, message_id, Part("z"))
    assert adapter.capabilities(place).edit_rate_limit == (RateWindow(3, 10.0),)
    assert adapter.capabilities(place).rate_limit[0].count == 5
    assert adapter.capabilities(other) == usual


async def test_archived_thread_is_reopened_for_edit(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.thread)
    message_id = await adapter.send(place, Part("x"), key="k")
    harness.thread.archived = True
    await adapter.edit(place, message_id, Part("y"))
    assert harness.message(message_id).content == "y"


async def test_forbidden_typing_is_not_retried(harness: AdapterHarness) -> None:
    path = f"/channels/{harness.channel.id}/typing"
    harness.discord.script.add(f"POST {path}", ScriptedReply.error(403, 50001))
    adapter = harness.build()
    await adapter.show_typing(harness.place(harness.channel))
    await adapter.show_typing(harness.place(harness.channel))
    assert len(harness.discord.calls) == 1
