"""Defects that stopped other bots or broke their answers, one test for each.

Only those that no other test covers. Elsewhere:

- The library: a gateway that is down at the start, exceptions in parsers, silent connections, rejected
  tokens and intents (`test_gateway_supervisor`); requests that wait although they were answered, lost
  connections (`test_sending`); shards that ignore each other's IDENTIFYs (`test_replicas`).
- Late acknowledgements, buttons that are dead after a restart, menus and completions beyond their
  limits (`test_interactions`).
- Messages beyond the limit, lost ends, open fences (`test_dialect`).
- Messages repeated, lost in a restart or answered again (`test_backfill`).
- Answers to bots, webhooks and @everyone (`test_receiving`); answers that ping everyone (`test_sending`).
- Commands registered at every start, events lost at SIGTERM, hanging shutdowns (`test_gateway_supervisor`).
- Defects of the whole product, such as streams that stall (`tests/end_to_end/test_discord_pitfalls.py`).
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from bots.discord.interaction_responder import InteractionToken
from bots.sandbox.discord import Interaction, ScriptedReply
from bots.sandbox.discord.state import (
    DEFAULT_PERMISSIONS,
    READ_MESSAGE_HISTORY,
    SEND_MESSAGES,
    SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
    next_snowflake,
)
from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, EventKind, Incoming, Part
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, messages_path


async def failure_of(call: Awaitable[Any]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await call
    return caught.value


async def use_command(harness: AdapterHarness, name: str, **options: Any) -> tuple[Incoming, Interaction]:
    interaction = await harness.discord.use_command(harness.ann, harness.channel, name, **options)
    return await harness.inbox.next(), interaction


# Deleted and edited messages


async def test_deleted_question_is_still_answered(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    question = await harness.mention("hello")
    incoming = await harness.inbox.next()
    await harness.discord.delete_message(question)
    await adapter.send(incoming.place, Part("the answer"), key="k", reply_to=incoming.message_id)
    assert harness.bot_texts() == ["the answer"]


@pytest.mark.parametrize("is_age_restricted", [False, True], ids=["160009", "160010"])
async def test_answer_is_sent_without_refused_reference(harness: AdapterHarness, is_age_restricted: bool) -> None:
    adapter = await harness.start()
    await harness.mention("hello")
    incoming = await harness.inbox.next()
    harness.channel.is_age_restricted = is_age_restricted
    if not is_age_restricted:
        harness.channel.bot_permissions &= ~READ_MESSAGE_HISTORY
    await adapter.send(incoming.place, Part("the answer"), key="k", reply_to=incoming.message_id)
    assert harness.bot_texts() == ["the answer"]
    refused = [call.status for call in harness.discord.calls if call.method == "POST" and "/messages" in call.path]
    assert refused == [400, 200]


async def test_deleted_answer_is_not_sent_again(harness: AdapterHarness) -> None:
    adapter, place = await harness.start(), harness.place(harness.channel)
    message_id = await adapter.send(place, Part("begins"), key="k")
    await harness.discord.delete_message(harness.message(message_id))
    error = await failure_of(adapter.edit(place, message_id, Part("goes on")))
    assert (error.failure, str(error)) == (DeliveryFailure.GONE, "The message was deleted")
    assert harness.bot_texts() == []


async def test_link_embeds_are_no_edits(harness: AdapterHarness) -> None:
    await harness.start()
    question = await harness.mention("hello")
    await harness.inbox.next()
    await harness.discord.gateway.dispatch("MESSAGE_UPDATE", {**question.json(), "embeds": []})
    await harness.discord.edit_message(harness.ann, question, f"{harness.discord.mention} hello again")
    edit = await harness.inbox.next()
    assert (edit.kind, edit.text) == (EventKind.EDIT, "hello again")
    assert harness.inbox.events.empty()


# Threads


async def test_answer_in_archived_thread_is_finished(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming = await harness.mentioned(harness.thread)
    first = await adapter.send(incoming.place, Part("begins"), key="k1")
    harness.thread.archived = True
    await adapter.edit(incoming.place, first, Part("whole"))
    harness.thread.archived = True
    await adapter.send(incoming.place, Part("and more"), key="k2")
    assert harness.bot_texts(harness.thread) == ["whole", "and more"]


async def test_surplus_part_in_archived_thread_is_deleted(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.thread)
    message_id = await adapter.send(place, Part("x"), key="k")
    path = f"{messages_path(harness.thread)}/{message_id}"
    harness.discord.script.add(f"DELETE {path}", ScriptedReply.error(400, 50083))
    await adapter.delete(place, message_id)
    [reopening] = harness.discord.calls_to("PATCH", f"/channels/{harness.thread.id}")
    assert reopening.body == {"archived": False}
    assert not harness.bot_messages()


async def test_locked_thread_is_reported_by_direct_message(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming = await harness.mentioned(harness.thread)
    message_id = await adapter.send(incoming.place, Part("begins"), key="k1")
    harness.thread.archived = harness.thread.locked = True
    error = await failure_of(adapter.edit(incoming.place, message_id, Part("whole")))
    assert (error.failure, str(error)) == (DeliveryFailure.FORBIDDEN, "The thread is locked")
    error = await failure_of(adapter.send(incoming.place, Part("more"), key="k2", reply_to=incoming.message_id))
    assert error.failure is DeliveryFailure.FORBIDDEN
    notice = f"I couldn't answer you in <#{harness.thread.id}>: The thread is locked."
    assert harness.bot_texts(harness.dm) == [notice]


async def test_existing_thread_is_received(harness: AdapterHarness) -> None:
    await harness.start(message_content=True)
    unknown = str(next_snowflake())
    await harness.say_raw(
        f"{harness.discord.mention} still here?",
        harness.channel,
        channel_id=unknown,
        mentions=[harness.discord.bot.json()],
    )
    assert (await harness.inbox.next()).text == "still here?"
    known = str(next_snowflake())
    await harness.discord.gateway.dispatch("THREAD_UPDATE", {**harness.thread.json(), "id": known})
    await harness.say_raw(
        f"{harness.discord.mention} awake", harness.channel, channel_id=known, mentions=[harness.discord.bot.json()]
    )
    place = (await harness.inbox.next()).place
    assert (place.chat, place.thread) == (str(harness.channel.id), known)


# Channels in which the bot may not write


@pytest.mark.parametrize(
    "permissions",
    [
        DEFAULT_PERMISSIONS & ~SEND_MESSAGES,
        DEFAULT_PERMISSIONS & ~SEND_MESSAGES & ~SEND_MESSAGES_IN_THREADS,
    ],
)
async def test_missing_permission_is_reported_to_asker_once(harness: AdapterHarness, permissions: int) -> None:
    adapter = await harness.start()
    await harness.discord.set_bot_permissions(harness.channel, permissions)
    for key in ("k1", "k2"):
        incoming = await harness.mentioned()
        error = await failure_of(adapter.send(incoming.place, Part("x"), key=key, reply_to=incoming.message_id))
        assert error.failure is DeliveryFailure.FORBIDDEN
    reason = "I don't have permission to write in this channel"
    assert harness.bot_texts(harness.dm) == [f"I couldn't answer you in <#{harness.channel.id}>: {reason}."]


async def test_forbidden_channel_is_not_retried(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    await harness.discord.set_bot_permissions(harness.channel, VIEW_CHANNEL)
    incoming = await harness.mentioned()
    for number in range(20):
        await failure_of(adapter.send(incoming.place, Part("x"), key=f"k{number}"))
        await adapter.show_typing(incoming.place)
    assert len(harness.discord.calls_with_status(403)) <= 2
    await adapter.send(harness.place(harness.dm), Part("here I may"), key="k")
    assert harness.bot_texts(harness.dm) == ["here I may"]


async def test_closed_direct_messages_are_reported(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    harness.ann.has_closed_dms = True
    await harness.discord.set_bot_permissions(harness.channel, VIEW_CHANNEL)
    incoming = await harness.mentioned()
    error = await failure_of(adapter.send(incoming.place, Part("x"), key="k", reply_to=incoming.message_id))
    assert error.failure is DeliveryFailure.FORBIDDEN
    error = await failure_of(adapter.send(harness.place(harness.dm), Part("x"), key="k"))
    assert error.failure is DeliveryFailure.FORBIDDEN
    assert str(error) == "This person does not accept direct messages from me"


# Interactions


def expired(token: str | None) -> str:
    return replace(InteractionToken.decode(token or ""), expires_at=int(time.time())).encode()


async def test_expired_interaction_is_answered_by_direct_message(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    interaction = await harness.discord.use_command(harness.ann, harness.dm, "usage")
    incoming = await harness.inbox.next()
    await harness.acknowledgement(interaction)
    token = expired(incoming.interaction_token)
    message_id = await adapter.send(incoming.place, Part("late"), key="k", interaction_token=token, ephemeral=True)
    await adapter.edit(incoming.place, message_id, Part("late, but whole"), interaction_token=token)
    assert harness.message(message_id).content == "late, but whole"
    assert harness.discord.calls_to("PATCH", f"{messages_path(harness.dm)}/{message_id}")


async def test_expired_ephemeral_answer_stays_private(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming, _ = await use_command(harness, "usage")
    token = expired(incoming.interaction_token)
    sending = adapter.send(incoming.place, Part("private"), key="k", interaction_token=token, ephemeral=True)
    assert (await failure_of(sending)).failure is DeliveryFailure.GONE
    assert not harness.discord.calls_to("POST", messages_path(harness.channel))


async def test_answer_outlives_its_interaction(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming, _ = await use_command(harness, "ask", prompt="why?")
    first = await adapter.send(incoming.place, Part("begins"), key="k", interaction_token=incoming.interaction_token)
    token = expired(incoming.interaction_token)
    await adapter.edit(incoming.place, first, Part("whole"), interaction_token=token)
    second = await adapter.send(incoming.place, Part("and more"), key="k2", interaction_token=token)
    assert [harness.message(message_id).content for message_id in (first, second)] == ["whole", "and more"]


async def test_unacknowledged_command_is_answered_by_message(harness: AdapterHarness) -> None:
    harness.discord.script.add("POST /interactions/.*/callback", ScriptedReply.error(404, 10062))
    adapter = await harness.start()
    incoming, _ = await use_command(harness, "ask", prompt="why?")
    message_id = await adapter.send(
        incoming.place, Part("because"), key="k", interaction_token=incoming.interaction_token
    )
    assert harness.message(message_id).content == "because"


# Limits and refusals of a channel


@pytest.mark.parametrize("code", [20016, 20028])
async def test_slow_mode_delays_only_its_channel(harness: AdapterHarness, code: int) -> None:
    slow_mode = ScriptedReply.error(429, code, retry_after=12.5, **{"global": False})
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", slow_mode)
    adapter = harness.build()
    error = await failure_of(adapter.send(harness.place(harness.channel), Part("x"), key="k"))
    assert (error.failure, error.retry_after, error.account_wide) == (DeliveryFailure.RATE_LIMITED, 12.5, False)
    await adapter.send(harness.place(harness.thread), Part("x"), key="k")


async def test_automod_block_is_reported(harness: AdapterHarness) -> None:
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", ScriptedReply.error(400, 200000))
    adapter, place = harness.build(), harness.place(harness.channel)
    error = await failure_of(adapter.send(place, Part("a rude word"), key="k"))
    assert error.failure is DeliveryFailure.REJECTED
    assert str(error) == "This server's AutoMod blocked the message"
    await adapter.send(place, Part("a kind word"), key="k2")


async def test_old_message_edits_have_own_rate_limit(harness: AdapterHarness) -> None:
    adapter, place = harness.build(), harness.place(harness.channel)
    message_id = await adapter.send(place, Part("x"), key="k")
    path = f"{messages_path(harness.channel)}/{message_id}"
    harness.discord.script.add(f"PATCH {path}", ScriptedReply.error(429, 30046, retry_after=20))
    error = await failure_of(adapter.edit(place, message_id, Part("y")))
    assert (error.failure, error.account_wide) == (DeliveryFailure.RATE_LIMITED, False)
    await adapter.send(place, Part("new messages may be sent"), key="k2")


async def test_channels_stream_independently(harness: AdapterHarness) -> None:
    adapter, channel, thread = harness.build(), harness.place(harness.channel), harness.place(harness.thread)
    first = await adapter.send(channel, Part("x"), key="k1")
    second = await adapter.send(thread, Part("x"), key="k2")
    path = f"{messages_path(harness.channel)}/.*"
    harness.discord.script.add(f"PATCH {path}", ScriptedReply.error(429, retry_after=30))
    await failure_of(adapter.edit(channel, first, Part("y")))
    await adapter.edit(thread, second, Part("y"))
    assert harness.message(second).content == "y"


# The life of the process


async def test_requests_share_one_connection(harness: AdapterHarness) -> None:
    adapter = harness.build()
    for number in range(20):
        await adapter.send(harness.place(harness.channel), Part("x"), key=f"k{number}")
    assert len({call.client_port for call in harness.discord.calls}) == 1


async def test_new_session_starts_tasks_once(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    for count in (2, 3):
        await harness.discord.gateway.invalidate_sessions()
        await harness.discord.wait_for(
            lambda count=count: len(harness.discord.gateway.identifies) == count  # type: ignore[misc]
        )
        await harness.wait_for_connections(1)
    await harness.say("once")
    assert (await harness.inbox.next()).text == "once"
    assert harness.inbox.events.empty()
    assert len(harness.discord.calls_to("PUT", "/applications/.*")) == 1
    assert harness.connection_count == 1


async def test_shutdown_keeps_commands_registered(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    await harness.stop()
    assert harness.discord.commands
    assert len(harness.discord.calls_to("PUT", "/applications/.*")) == 1
    assert not harness.discord.calls_to("DELETE", ".*")


async def test_people_with_same_name_are_distinct(harness: AdapterHarness) -> None:
    await harness.start()
    other_ann = harness.discord.create_user("Ann")
    await harness.mention("mine")
    await harness.discord.send_message(other_ann, harness.channel, f"{harness.discord.mention} mine")
    senders = {(await harness.inbox.next()).sender.user for _ in range(2)}
    assert senders == {str(harness.ann.id), str(other_ann.id)}


async def test_unknown_and_missing_fields_are_tolerated(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.discord.gateway.dispatch("SOMETHING_NEW_OF_2027", {"id": "1"})
    await harness.say_raw("hello", application_id=None, brand_new={"x": [1]})
    assert (await harness.inbox.next()).text == "hello"


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (ScriptedReply(502, b"<html>Bad gateway", {"Content-Type": "text/html"}), DeliveryFailure.TRANSIENT),
        (ScriptedReply(400, ["no", "object"]), DeliveryFailure.REJECTED),
        (ScriptedReply(400, b'{"message": "\xff"}'), DeliveryFailure.REJECTED),
        (ScriptedReply(400, b"[" * 100_000), DeliveryFailure.REJECTED),
    ],
    ids=["HTML", "list", "not UTF-8", "deeply nested"],
)
async def test_unexpected_error_body_is_delivery_failure(
    harness: AdapterHarness, reply: ScriptedReply, failure: DeliveryFailure
) -> None:
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", reply)
    error = await failure_of(harness.build().send(harness.place(harness.channel), Part("x"), key="k"))
    assert error.failure is failure


async def test_short_database_outage_loses_no_message(harness: AdapterHarness) -> None:
    await harness.start(timings=replace(FAST_TIMINGS, store_timeout=10.0))
    harness.inbox.is_failing = True
    await harness.say("stored at last")
    async with asyncio.timeout(5):
        await harness.inbox.has_failed.wait()
    harness.inbox.is_failing = False
    assert (await harness.inbox.next()).text == "stored at last"
    assert not harness.bot_messages()


async def test_message_of_dead_process_is_updated(harness: AdapterHarness) -> None:
    """The key keeps the message single, so its text is still that of the process that died."""
    adapter, place = harness.build(), harness.place(harness.channel)
    growing = Part("half of", buttons=(Button("Stop", "stop:1", is_destructive=True),))
    whole = Part("half of it all", buttons=(Button("Retry", "retry:1"),))
    first = await adapter.send(place, growing, key="turn-1-0")
    for _ in range(2):
        assert await adapter.send(place, whole, key="turn-1-0") == first
        [message] = harness.bot_messages()
        assert message.content == "half of it all"
        assert "retry:1" in str(message.components)
    assert len(harness.discord.calls_to("PATCH", f"{messages_path(harness.channel)}/.*")) == 1
