"""What stopped other bots or broke their answers, each defect under its own name.

Here are those that no other test shows. The rest:

- The library: a gateway down at the start, an exception in a parser, a connection that went deaf,
  a token or an intent refused (`test_connection`); a request that waits though it was answered, a
  503 and a lost connection not tried again (`test_sending`); a shard that ignores the others'
  IDENTIFYs (`test_replicas`).
- Answers made inside the handler, acknowledgements too late, buttons dead after a restart, menus
  and completions cut or beyond their limits (`test_interactions`).
- Messages beyond the limit, cut tails, fences left open (`test_dialect`).
- Messages repeated, lost in a restart, or answered again and again (`test_missed`).
- Bots that answer bots, webhooks, @everyone (`test_messages_in`); answers that ring everybody
  (`test_sending`).
- Commands synchronised at each start (`test_connection`).
- A process killed by SIGTERM with events half taken, one that hangs at the end
  (`test_connection`).
- What only the whole product could have wrong: streams that stall, end or stay untold, histories
  and instructions that mix, messages beside the answer (end_to_end/test_discord_defects).
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from bots.discord.adapter import DiscordAdapter
from bots.discord.files import download
from bots.discord.http_client import HttpClient
from bots.discord.interaction_token import InteractionToken
from bots.discord.timings import DiscordTimings
from bots.sandbox.discord import Channel, DiscordStandIn, User
from bots.sandbox.discord.state import (
    DEFAULT_PERMISSIONS,
    SEND_MESSAGES,
    SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
    Message,
)
from core.clock import SystemClock
from core.commands.declarations import COMMANDS
from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, Incoming, Part, Place
from tests.bots.discord.conftest import (
    CHANNEL_PLACE,
    FAST_TIMING,
    AdapterHarness,
    FakeInbox,
    FakeNotes,
)
from tests.bots.discord.scripted_discord import (
    BOT,
    CHANNEL,
    DM,
    GUILD,
    PERSON,
    THREAD,
    error_reply,
    json_response,
    snowflake,
    user,
)

MENTIONS_BOT: dict[str, Any] = {"mentions": [user(BOT, "parley", bot=True)]}
MESSAGES_PATH = f"/channels/{CHANNEL}/messages"
THREAD_PLACE = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)


class StrictServer:
    """The adapter against the strict stand-in, with a person who writes."""

    def __init__(self, discord: DiscordStandIn) -> None:
        self.discord = discord
        self.inbox = FakeInbox()
        self.ann: User = discord.create_user("Ann")
        self.channel: Channel = discord.create_channel(discord.create_guild("Home", self.ann), "general")
        self.chat = DiscordAdapter(
            discord.token,
            commands=COMMANDS,
            suggest_models=lambda *_: (),
            state=FakeNotes(),
            api_base=discord.api_base,
            gateway_url=discord.gateway_url,
            timings=FAST_TIMING,
        )

    async def ask(self, channel: Channel | None = None) -> tuple[Incoming, Message]:
        said = await self.discord.send_message(self.ann, channel or self.channel, f"{self.discord.mention} hello")
        return await self.inbox.next(), said

    def texts(self, channel: Channel | None = None) -> list[str]:
        messages = self.discord.messages(channel or self.channel)
        return [message.content for message in messages if message.author.is_bot]


@pytest.fixture
async def strict() -> AsyncIterator[StrictServer]:
    discord = DiscordStandIn()
    await discord.start()
    made = StrictServer(discord)
    running = asyncio.create_task(made.chat.run(made.inbox))
    try:
        await discord.wait_until_ready()
        yield made
    finally:
        running.cancel()
        await asyncio.wait({running})
        await made.chat.close()
        await discord.close()


async def refused(sending: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sending
    return caught.value


# -- what people delete


async def test_deleted_question_is_still_answered(strict: StrictServer) -> None:
    incoming, question = await strict.ask()
    await strict.discord.delete_message(question)
    await strict.chat.send(incoming.place, Part("the answer"), key="k", reply_to=incoming.message_id)
    assert strict.texts() == ["the answer"]


async def test_deleted_answer_is_not_sent_again(strict: StrictServer) -> None:
    incoming, _ = await strict.ask()
    message = await strict.chat.send(incoming.place, Part("begins"), key="k")
    [shown] = [m for m in strict.discord.messages(strict.channel) if m.author.is_bot]
    await strict.discord.delete_message(shown)
    error = await refused(strict.chat.edit(incoming.place, message, Part("goes on")))
    assert (error.failure, str(error)) == (DeliveryFailure.GONE, "The message was deleted")
    assert strict.texts() == []


async def test_edits_and_link_embeds_are_not_questions(strict: StrictServer) -> None:
    _, question = await strict.ask()
    await strict.discord.edit_message(strict.ann, question, f"{strict.discord.mention} hello again")
    await strict.discord.dispatch_raw("MESSAGE_UPDATE", {**question.json(), "embeds": []})
    other = strict.discord.open_dm(strict.ann)
    assert (await strict.ask(other))[0].place.is_private
    assert strict.inbox.arrived.empty()


# -- threads


async def test_answer_in_archived_thread_is_finished(strict: StrictServer) -> None:
    thread = strict.discord.create_thread(strict.channel, "aside")
    incoming, _ = await strict.ask(thread)
    first = await strict.chat.send(incoming.place, Part("begins"), key="k1")
    thread.archived = True
    await strict.chat.edit(incoming.place, first, Part("whole"))
    thread.archived = True
    await strict.chat.send(incoming.place, Part("and more"), key="k2")
    assert strict.texts(thread) == ["whole", "and more"]


async def test_surplus_part_in_archived_thread_is_deleted(world: AdapterHarness) -> None:
    chat = world.build()
    message = await chat.send(THREAD_PLACE, Part("x"), key="k")
    path = f"/channels/{THREAD}/messages/{message}"
    world.discord.script("DELETE", path, error_reply(400, 50083))
    await chat.delete(THREAD_PLACE, message)
    assert world.discord.requests_to("PATCH", f"/channels/{THREAD}")[0].body == {"archived": False}
    assert not world.discord.messages


async def test_locked_thread_is_reported_by_direct_message(strict: StrictServer) -> None:
    thread = strict.discord.create_thread(strict.channel, "aside")
    incoming, question = await strict.ask(thread)
    begun = await strict.chat.send(incoming.place, Part("begins"), key="k1")
    thread.archived = thread.locked = True
    error = await refused(strict.chat.edit(incoming.place, begun, Part("whole")))
    assert (error.failure, str(error)) == (DeliveryFailure.FORBIDDEN, "The thread is locked")
    sending = strict.chat.send(incoming.place, Part("more"), key="k2", reply_to=str(question.id))
    assert (await refused(sending)).failure is DeliveryFailure.FORBIDDEN
    assert strict.texts(strict.discord.open_dm(strict.ann)) == [
        f"I could not answer you in <#{thread.id}>: The thread is locked."
    ]


async def test_existing_thread_is_received(world: AdapterHarness) -> None:
    await world.start()
    unknown = snowflake()
    await world.discord.say(f"<@{BOT}> still here?", channel=unknown, **MENTIONS_BOT)
    assert (await world.inbox.next()).text == "still here?"
    known = snowflake()
    thread = {
        "id": known,
        "type": 11,
        "guild_id": GUILD,
        "parent_id": CHANNEL,
        "owner_id": PERSON,
        "name": "from long ago",
        "message_count": 1,
        "member_count": 1,
        "thread_metadata": {
            "archived": False,
            "auto_archive_duration": 60,
            "archive_timestamp": "2024-01-01T00:00:00Z",
            "locked": False,
        },
    }
    await world.discord.dispatch("THREAD_UPDATE", thread)
    await world.discord.say(f"<@{BOT}> awake", channel=known, **MENTIONS_BOT)
    place = (await world.inbox.next()).place
    assert (place.chat, place.thread) == (CHANNEL, known)


# -- where the bot may not write


@pytest.mark.parametrize(
    "may",
    [
        DEFAULT_PERMISSIONS & ~SEND_MESSAGES,
        DEFAULT_PERMISSIONS & ~SEND_MESSAGES & ~SEND_MESSAGES_IN_THREADS,
    ],
)
async def test_missing_permission_is_reported_to_asker(strict: StrictServer, may: int) -> None:
    await strict.discord.set_bot_permissions(strict.channel, may)
    for number in (1, 2):
        incoming, _ = await strict.ask()
        sending = strict.chat.send(incoming.place, Part("x"), key=f"k{number}", reply_to=incoming.message_id)
        assert (await refused(sending)).failure is DeliveryFailure.FORBIDDEN
    words = "I do not have permission to write in this channel."
    assert strict.texts(strict.discord.open_dm(strict.ann)) == [
        f"I could not answer you in <#{strict.channel.id}>: {words}"
    ]


async def test_forbidden_channel_is_not_retried(strict: StrictServer) -> None:
    await strict.discord.set_bot_permissions(strict.channel, VIEW_CHANNEL)
    incoming, _ = await strict.ask()
    for number in range(20):
        await refused(strict.chat.send(incoming.place, Part("x"), key=f"k{number}"))
        await strict.chat.show_typing(incoming.place)
    assert len(strict.discord.calls_with_status(403)) <= 2
    private = (await strict.ask(strict.discord.open_dm(strict.ann)))[0]
    await strict.chat.send(private.place, Part("here I may"), key="k")


async def test_closed_direct_messages_cost_one_request(strict: StrictServer) -> None:
    strict.ann.has_closed_dms = True
    await strict.discord.set_bot_permissions(strict.channel, VIEW_CHANNEL)
    incoming, _ = await strict.ask()
    sending = strict.chat.send(incoming.place, Part("x"), key="k", reply_to=incoming.message_id)
    assert (await refused(sending)).failure is DeliveryFailure.FORBIDDEN
    error = await refused(
        strict.chat.send(
            replace(incoming.place, chat=str(strict.discord.open_dm(strict.ann).id)),
            Part("x"),
            key="k",
        )
    )
    assert (error.failure, str(error)) == (
        DeliveryFailure.FORBIDDEN,
        "This person does not accept direct messages from me",
    )


# -- interactions


def is_expired(ticket: str | None) -> str:
    return replace(InteractionToken.decode(ticket or ""), expires_at=int(time.time())).encode()


async def test_expired_interaction_is_answered_by_direct_message(
    world: AdapterHarness,
) -> None:
    chat = await world.start()
    await world.discord.command("usage", channel={"id": DM, "type": 1, "recipients": []})
    incoming = await world.inbox.next()
    await world.discord.wait_until(lambda: world.discord.callbacks)
    ticket = is_expired(incoming.interaction_token)
    message = await chat.send(incoming.place, Part("late"), key="k", interaction_token=ticket, ephemeral=True)
    await chat.edit(incoming.place, message, Part("late, but whole"), interaction_token=ticket)
    assert world.discord.messages[message]["content"] == "late, but whole"
    assert world.discord.requests_to("PATCH", f"/channels/{DM}/messages/{message}")


async def test_expired_ephemeral_answer_stays_private(world: AdapterHarness) -> None:
    chat = await world.start()
    await world.discord.command("usage")
    incoming = await world.inbox.next()
    ticket = is_expired(incoming.interaction_token)
    sending = chat.send(incoming.place, Part("private"), key="k", interaction_token=ticket, ephemeral=True)
    assert (await refused(sending)).failure is DeliveryFailure.GONE
    assert not world.discord.requests_to("POST", MESSAGES_PATH)


async def test_answer_outlives_its_interaction(world: AdapterHarness) -> None:
    chat = await world.start()
    options = [{"name": "prompt", "type": 3, "value": "why?"}]
    await world.discord.command("ask", options=options)
    incoming = await world.inbox.next()
    message = await chat.send(incoming.place, Part("begins"), key="k", interaction_token=incoming.interaction_token)
    ticket = is_expired(incoming.interaction_token)
    await chat.edit(incoming.place, message, Part("whole"), interaction_token=ticket)
    more = await chat.send(incoming.place, Part("and more"), key="k2", interaction_token=ticket)
    shown = [world.discord.messages[one]["content"] for one in (message, more)]
    assert shown == ["whole", "and more"]


async def test_unacknowledged_command_is_answered_by_message(world: AdapterHarness) -> None:
    gone = error_reply(404, 10062)
    world.discord.script("POST", "/interactions/.*/callback", gone)
    world.discord.script("GET", "/webhooks/.*", error_reply(404, 10015))
    chat = await world.start()
    options = [{"name": "prompt", "type": 3, "value": "why?"}]
    await world.discord.command("ask", options=options)
    incoming = await world.inbox.next()
    message = await chat.send(incoming.place, Part("because"), key="k", interaction_token=incoming.interaction_token)
    assert world.discord.messages[message]["content"] == "because"


# -- limits and refusals of a channel


@pytest.mark.parametrize("code", [20016, 20028])
async def test_slow_mode_delays_only_its_channel(world: AdapterHarness, code: int) -> None:
    world.discord.script("POST", MESSAGES_PATH, error_reply(429, code, retry_after=12.5, **{"global": False}))
    chat = world.build()
    error = await refused(chat.send(CHANNEL_PLACE, Part("x"), key="k"))
    assert (error.failure, error.retry_after, error.account_wide) == (
        DeliveryFailure.RATE_LIMITED,
        12.5,
        False,
    )
    await chat.send(THREAD_PLACE, Part("x"), key="k")


async def test_automod_block_is_reported(world: AdapterHarness) -> None:
    world.discord.script("POST", MESSAGES_PATH, error_reply(400, 200000))
    chat = world.build()
    error = await refused(chat.send(CHANNEL_PLACE, Part("a rude word"), key="k"))
    assert error.failure is DeliveryFailure.REJECTED
    assert str(error) == "This server's AutoMod blocked the message"
    await chat.send(CHANNEL_PLACE, Part("a kind word"), key="k2")


async def test_old_message_edits_have_own_rate_limit(world: AdapterHarness) -> None:
    chat = world.build()
    message = await chat.send(CHANNEL_PLACE, Part("x"), key="k")
    path = f"{MESSAGES_PATH}/{message}"
    world.discord.script("PATCH", path, error_reply(429, 30046, retry_after=20))
    error = await refused(chat.edit(CHANNEL_PLACE, message, Part("y")))
    assert (error.failure, error.account_wide) == (DeliveryFailure.RATE_LIMITED, False)
    await chat.send(CHANNEL_PLACE, Part("new ones may be sent"), key="k2")


async def test_channels_stream_independently(world: AdapterHarness) -> None:
    chat = world.build()
    first = await chat.send(CHANNEL_PLACE, Part("x"), key="k1")
    second = await chat.send(THREAD_PLACE, Part("x"), key="k2")
    world.discord.script("PATCH", f"{MESSAGES_PATH}/.*", error_reply(429, 0, retry_after=30))
    await refused(chat.edit(CHANNEL_PLACE, first, Part("y")))
    await chat.edit(THREAD_PLACE, second, Part("y"))
    assert world.discord.messages[second]["content"] == "y"


async def test_endless_file_is_read_up_to_limit() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            sent += 65_536

    app = web.Application()
    app.router.add_get("/attachments/1/a.txt", endless)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    rest = HttpClient("token", f"{base}/api/v10", DiscordTimings(), SystemClock())
    async with asyncio.timeout(20):
        error = await refused(download(rest, f"{base}/attachments/1/a.txt", 1_000_000, DiscordTimings()))
    await rest.close()
    await runner.cleanup()
    assert (error.failure, str(error)) == (DeliveryFailure.REJECTED, "The file is too large")
    assert sent < 50_000_000


# -- the life of the process


async def test_requests_share_one_connection(world: AdapterHarness) -> None:
    seen: set[Any] = set()

    async def look(request: web.Request) -> web.StreamResponse | None:
        seen.add(request.transport)
        return None

    world.discord.script("POST", MESSAGES_PATH, *[look] * 20)
    chat = world.build()
    for number in range(20):
        await chat.send(CHANNEL_PLACE, Part("x"), key=f"k{number}")
    assert len(seen) == 1


async def test_new_session_starts_tasks_once(world: AdapterHarness) -> None:
    await world.start()
    async with asyncio.timeout(5):
        await world.memory.written.wait()
    for number in (2, 3):
        await world.discord.invalidate()
        await world.discord.wait_until(
            lambda wanted=number: len(world.discord.identifies) == wanted  # type: ignore[misc]
        )
        await world.discord.wait_until(lambda: world.discord.connection_count)
    await world.discord.say("once", channel=DM)
    assert (await world.inbox.next()).text == "once"
    assert world.inbox.arrived.empty()
    assert len(world.discord.requests_to("PUT", "/applications/.*")) == 1
    assert world.discord.connection_count == 1


async def test_shutdown_keeps_commands_registered(world: AdapterHarness) -> None:
    await world.start()
    async with asyncio.timeout(5):
        await world.memory.written.wait()
    await world.stop()
    [put] = world.discord.requests_to("PUT", "/applications/.*")
    assert put.body
    assert not world.discord.requests_to("DELETE", ".*")


async def test_people_with_same_name_are_distinct(world: AdapterHarness) -> None:
    await world.start()
    other = user("100000000000000077", "ada")
    await world.discord.say(f"<@{BOT}> mine", **MENTIONS_BOT)
    await world.discord.say(f"<@{BOT}> mine", author=other, **MENTIONS_BOT)
    senders = {(await world.inbox.next()).sender.user for _ in range(2)}
    assert senders == {PERSON, other["id"]}


async def test_unknown_and_missing_fields_are_tolerated(world: AdapterHarness) -> None:
    await world.start()
    await world.discord.dispatch("SOMETHING_NEW_OF_2027", {"id": "1"})
    await world.discord.say("hello", channel=DM, application_id=None, brand_new={"x": [1]})
    assert (await world.inbox.next()).text == "hello"


async def test_html_error_page_is_delivery_failure(world: AdapterHarness) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>Bad gateway", content_type="text/html")

    async def odd(_: web.Request) -> web.StreamResponse:
        return json_response(["no", "object"], 400)

    async def no_text(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b'{"message": "\xff"}', content_type="application/json")

    async def deep(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b"[" * 100_000, content_type="application/json")

    world.discord.script("POST", MESSAGES_PATH, page, odd, no_text, deep)
    chat = world.build()
    faults = [(await refused(chat.send(CHANNEL_PLACE, Part("x"), key="k"))).failure for _ in range(4)]
    assert faults == [DeliveryFailure.TRANSIENT, *[DeliveryFailure.REJECTED] * 3]


async def test_short_database_outage_loses_no_message(world: AdapterHarness) -> None:
    await world.start(timings=replace(FAST_TIMING, store_timeout=10.0))
    world.inbox.is_failing = True
    await world.discord.say("kept at last", channel=DM)
    async with asyncio.timeout(5):
        await world.inbox.failed.wait()
    world.inbox.is_failing = False
    assert (await world.inbox.next()).text == "kept at last"
    assert not world.discord.messages, "nobody is told that it was not"


async def test_message_of_dead_process_is_updated(
    strict: StrictServer,
) -> None:
    """The key keeps the message single, so its text is still that of the process that died."""
    chat, discord = strict.chat, strict.discord
    growing = Part("half of", buttons=(Button("Stop", "stop:1", is_destructive=True),))
    incoming, _ = await strict.ask()
    place = incoming.place
    first = await chat.send(place, growing, key="turn-1-0")
    whole = Part("half of it all", buttons=(Button("Retry", "retry:1"),))
    assert await chat.send(place, whole, key="turn-1-0") == first
    [message] = [one for one in discord.messages(strict.channel) if one.author.is_bot]
    assert message.content == "half of it all"
    assert "retry:1" in str(message.components)
    assert await chat.send(place, whole, key="turn-1-0") == first
    assert [call.method for call in discord.calls if "messages" in call.path].count("PATCH") == 1
