"""The mark of a question that waits, as a reaction with a limit of its own."""

import asyncio
from dataclasses import replace

import pytest

from bots.discord.waiting_reactions import WAITING_EMOJI
from bots.sandbox.discord.state import ADD_REACTIONS, DEFAULT_PERMISSIONS
from bots.sandbox.stand_in import ScriptedReply
from core.errors import DeliveryError, DeliveryFailure
from core.port import Part
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness
from tests.clock import FakeClock

USED_UP = {
    "X-RateLimit-Limit": "1",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset-After": "0.25",
    "X-RateLimit-Bucket": "reactions",
}


def reaction_calls(harness: AdapterHarness) -> list[str]:
    return [call.method for call in harness.discord.calls if "/reactions/" in call.path]


async def test_mark_is_a_reaction(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.thread)
    message = await harness.discord.send_message(harness.ann, harness.thread, "hello")
    await adapter.mark_waiting(place, str(message.id), is_waiting=True)
    assert message.reactions == [WAITING_EMOJI]
    await adapter.mark_waiting(place, str(message.id), is_waiting=False)
    assert message.reactions == []


async def test_mark_is_left_out_where_its_limit_is_used_up_and_removed_after_it(harness: AdapterHarness) -> None:
    clock = FakeClock()
    adapter, place = harness.build(timings=replace(FAST_TIMINGS, clock=clock)), harness.place(harness.channel)
    first = await harness.discord.send_message(harness.ann, harness.channel, "one")
    second = await harness.discord.send_message(harness.ann, harness.channel, "two")
    first.reactions = [WAITING_EMOJI]
    harness.discord.script.add("PUT .*/reactions/.*", ScriptedReply(200, {}, USED_UP))
    await adapter.mark_waiting(place, str(first.id), is_waiting=True)
    with pytest.raises(DeliveryError) as raised:
        await adapter.mark_waiting(place, str(second.id), is_waiting=True)
    assert raised.value.failure is DeliveryFailure.REJECTED, "the chat has to wait for nothing"
    removal = asyncio.create_task(adapter.mark_waiting(place, str(first.id), is_waiting=False))
    await clock.wait_for_timer()
    assert reaction_calls(harness) == ["PUT"]
    message_id = await adapter.send(place, Part("x"), key="k")
    await adapter.delete(place, message_id)
    await clock.advance(0.25)
    await removal
    assert first.reactions == []


async def test_channel_without_the_permission_is_asked_once(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    message = await harness.discord.send_message(harness.ann, harness.channel, "hello")
    harness.channel.bot_permissions = DEFAULT_PERMISSIONS & ~ADD_REACTIONS
    for _ in range(2):
        with pytest.raises(DeliveryError) as raised:
            await adapter.mark_waiting(place, str(message.id), is_waiting=True)
        assert raised.value.failure is DeliveryFailure.FORBIDDEN
    assert reaction_calls(harness) == ["PUT"]


async def test_mark_of_a_deleted_question_is_gone(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    message = await harness.discord.send_message(harness.ann, harness.channel, "hello")
    message.is_deleted = True
    with pytest.raises(DeliveryError) as raised:
        await adapter.mark_waiting(place, str(message.id), is_waiting=False)
    assert raised.value.failure is DeliveryFailure.GONE
