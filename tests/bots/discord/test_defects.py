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

from bots.discord.chat import DiscordChat
from bots.discord.rest import Rest
from bots.discord.ticket import Ticket
from bots.sandbox.discord import Channel, DiscordStandIn, Person
from bots.sandbox.discord.world import SEND, SEND_IN_THREADS, VIEW, WRITES, Message
from core.commands.declared import COMMANDS
from core.errors import DeliveryError, Fault
from core.port import Button, Incoming, Part, Place
from tests.bots.discord.conftest import HERE, QUICK, Inbox, Memory, World
from tests.bots.discord.loopback import (
    BOT,
    CHANNEL,
    DM,
    GUILD,
    PERSON,
    THREAD,
    refusal,
    reply,
    snowflake,
    user,
)

US: dict[str, Any] = {"mentions": [user(BOT, "parley", bot=True)]}
POSTS = f"/channels/{CHANNEL}/messages"
ASIDE = Place("discord", BOT, CHANNEL, thread=THREAD, server=GUILD)


class Strict:
    """The adapter against the strict stand-in, with a person who writes."""

    def __init__(self, discord: DiscordStandIn) -> None:
        self.discord = discord
        self.inbox = Inbox()
        self.ann: Person = discord.person("Ann")
        self.channel: Channel = discord.channel(discord.guild("Home", self.ann), "general")
        self.chat = DiscordChat(
            discord.token,
            commands=COMMANDS,
            suggest=lambda *_: (),
            remember=Memory(),
            api_base=discord.api_base,
            gateway_url=discord.gateway_url,
            timing=QUICK,
        )

    async def ask(self, channel: Channel | None = None) -> tuple[Incoming, Message]:
        said = await self.discord.say(
            self.ann, channel or self.channel, f"{self.discord.mention} hello"
        )
        return await self.inbox.next(), said

    def texts(self, channel: Channel | None = None) -> list[str]:
        messages = self.discord.messages(channel or self.channel)
        return [message.content for message in messages if message.author.bot]


@pytest.fixture
async def strict() -> AsyncIterator[Strict]:
    discord = DiscordStandIn()
    await discord.start()
    made = Strict(discord)
    running = asyncio.create_task(made.chat.run(made.inbox))
    try:
        await discord.ready()
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


async def test_an_answer_to_a_deleted_question_is_still_sent(strict: Strict) -> None:
    incoming, question = await strict.ask()
    await strict.discord.delete(question)
    await strict.chat.send(incoming.place, Part("the answer"), key="k", reply_to=incoming.message)
    assert strict.texts() == ["the answer"]


async def test_a_deleted_answer_is_gone_and_not_written_again(strict: Strict) -> None:
    incoming, _ = await strict.ask()
    message = await strict.chat.send(incoming.place, Part("begins"), key="k")
    [shown] = [m for m in strict.discord.messages(strict.channel) if m.author.bot]
    await strict.discord.delete(shown)
    error = await refused(strict.chat.edit(incoming.place, message, Part("goes on")))
    assert (error.fault, str(error)) == (Fault.GONE, "The message was deleted.")
    assert strict.texts() == []


async def test_edits_and_unfolded_links_are_no_new_questions(strict: Strict) -> None:
    _, question = await strict.ask()
    await strict.discord.edit(strict.ann, question, f"{strict.discord.mention} hello again")
    await strict.discord.send_raw("MESSAGE_UPDATE", {**question.json(), "embeds": []})
    other = strict.discord.dm(strict.ann)
    assert (await strict.ask(other))[0].place.private
    assert strict.inbox.arrived.empty()


# -- threads


async def test_an_answer_in_a_thread_that_fell_asleep_is_finished(strict: Strict) -> None:
    thread = strict.discord.thread(strict.channel, "aside")
    incoming, _ = await strict.ask(thread)
    first = await strict.chat.send(incoming.place, Part("begins"), key="k1")
    thread.archived = True
    await strict.chat.edit(incoming.place, first, Part("whole"))
    thread.archived = True
    await strict.chat.send(incoming.place, Part("and more"), key="k2")
    assert strict.texts(thread) == ["whole", "and more"]


async def test_a_part_too_many_in_a_thread_that_fell_asleep_is_removed(world: World) -> None:
    chat = world.build()
    message = await chat.send(ASIDE, Part("x"), key="k")
    path = f"/channels/{THREAD}/messages/{message}"
    world.discord.misbehave("DELETE", path, refusal(400, 50083))
    await chat.delete(ASIDE, message)
    assert world.discord.made("PATCH", f"/channels/{THREAD}")[0].body == {"archived": False}
    assert not world.discord.messages


async def test_an_answer_in_a_locked_thread_is_told_in_private(strict: Strict) -> None:
    thread = strict.discord.thread(strict.channel, "aside")
    incoming, question = await strict.ask(thread)
    begun = await strict.chat.send(incoming.place, Part("begins"), key="k1")
    thread.archived = thread.locked = True
    error = await refused(strict.chat.edit(incoming.place, begun, Part("whole")))
    assert (error.fault, str(error)) == (Fault.FORBIDDEN, "The thread is locked.")
    sending = strict.chat.send(incoming.place, Part("more"), key="k2", reply_to=str(question.id))
    assert (await refused(sending)).fault is Fault.FORBIDDEN
    assert strict.texts(strict.discord.dm(strict.ann)) == [
        f"I could not answer you in <#{thread.id}>: The thread is locked."
    ]


async def test_a_thread_from_before_the_start_is_heard(world: World) -> None:
    await world.start()
    unknown = snowflake()
    await world.discord.say(f"<@{BOT}> still here?", channel=unknown, **US)
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
    await world.discord.say(f"<@{BOT}> awake", channel=known, **US)
    place = (await world.inbox.next()).place
    assert (place.chat, place.thread) == (CHANNEL, known)


# -- where the bot may not write


@pytest.mark.parametrize("may", [WRITES & ~SEND, WRITES & ~SEND & ~SEND_IN_THREADS])
async def test_a_missing_permission_is_told_to_who_asked(strict: Strict, may: int) -> None:
    await strict.discord.permit(strict.channel, may)
    for number in (1, 2):
        incoming, _ = await strict.ask()
        sending = strict.chat.send(
            incoming.place, Part("x"), key=f"k{number}", reply_to=incoming.message
        )
        assert (await refused(sending)).fault is Fault.FORBIDDEN
    words = "I lack the permission to write in this channel."
    assert strict.texts(strict.discord.dm(strict.ann)) == [
        f"I could not answer you in <#{strict.channel.id}>: {words}"
    ]


async def test_refusals_are_not_provoked_again_and_again(strict: Strict) -> None:
    await strict.discord.permit(strict.channel, VIEW)
    incoming, _ = await strict.ask()
    for number in range(20):
        await refused(strict.chat.send(incoming.place, Part("x"), key=f"k{number}"))
        await strict.chat.typing(incoming.place)
    assert len(strict.discord.refused(403)) <= 2
    private = (await strict.ask(strict.discord.dm(strict.ann)))[0]
    await strict.chat.send(private.place, Part("here I may"), key="k")


async def test_who_takes_no_direct_messages_costs_no_more_than_that(strict: Strict) -> None:
    strict.ann.closed = True
    await strict.discord.permit(strict.channel, VIEW)
    incoming, _ = await strict.ask()
    sending = strict.chat.send(incoming.place, Part("x"), key="k", reply_to=incoming.message)
    assert (await refused(sending)).fault is Fault.FORBIDDEN
    error = await refused(
        strict.chat.send(
            replace(incoming.place, chat=str(strict.discord.dm(strict.ann).id)), Part("x"), key="k"
        )
    )
    assert (error.fault, str(error)) == (
        Fault.FORBIDDEN,
        "This person does not take direct messages from me.",
    )


# -- interactions


def expired(ticket: str | None) -> str:
    return replace(Ticket.decode(ticket or ""), expires=int(time.time())).encode()


async def test_a_command_whose_right_ran_out_is_answered_by_a_message_in_private(
    world: World,
) -> None:
    chat = await world.start()
    await world.discord.command("usage", channel={"id": DM, "type": 1, "recipients": []})
    incoming = await world.inbox.next()
    await world.discord.until(lambda: world.discord.callbacks)
    ticket = expired(incoming.ticket)
    message = await chat.send(incoming.place, Part("late"), key="k", ticket=ticket, quiet=True)
    await chat.edit(incoming.place, message, Part("late, but whole"), ticket=ticket)
    assert world.discord.messages[message]["content"] == "late, but whole"
    assert world.discord.made("PATCH", f"/channels/{DM}/messages/{message}")


async def test_a_quiet_answer_whose_right_ran_out_is_shown_to_nobody_else(world: World) -> None:
    chat = await world.start()
    await world.discord.command("usage")
    incoming = await world.inbox.next()
    ticket = expired(incoming.ticket)
    sending = chat.send(incoming.place, Part("private"), key="k", ticket=ticket, quiet=True)
    assert (await refused(sending)).fault is Fault.GONE
    assert not world.discord.made("POST", POSTS)


async def test_an_answer_begun_through_an_interaction_outlives_it(world: World) -> None:
    chat = await world.start()
    options = [{"name": "prompt", "type": 3, "value": "why?"}]
    await world.discord.command("ask", options=options)
    incoming = await world.inbox.next()
    message = await chat.send(incoming.place, Part("begins"), key="k", ticket=incoming.ticket)
    ticket = expired(incoming.ticket)
    await chat.edit(incoming.place, message, Part("whole"), ticket=ticket)
    more = await chat.send(incoming.place, Part("and more"), key="k2", ticket=ticket)
    shown = [world.discord.messages[one]["content"] for one in (message, more)]
    assert shown == ["whole", "and more"]


async def test_a_command_discord_gave_up_on_is_answered_by_a_message(world: World) -> None:
    gone = refusal(404, 10062)
    world.discord.misbehave("POST", "/interactions/.*/callback", gone)
    world.discord.misbehave("GET", "/webhooks/.*", refusal(404, 10015))
    chat = await world.start()
    options = [{"name": "prompt", "type": 3, "value": "why?"}]
    await world.discord.command("ask", options=options)
    incoming = await world.inbox.next()
    message = await chat.send(incoming.place, Part("because"), key="k", ticket=incoming.ticket)
    assert world.discord.messages[message]["content"] == "because"


# -- limits and refusals of a channel


@pytest.mark.parametrize("code", [20016, 20028])
async def test_slow_mode_waits_in_its_channel_alone(world: World, code: int) -> None:
    world.discord.misbehave(
        "POST", POSTS, refusal(429, code, retry_after=12.5, **{"global": False})
    )
    chat = world.build()
    error = await refused(chat.send(HERE, Part("x"), key="k"))
    assert (error.fault, error.retry_after, error.everywhere) == (Fault.RATE, 12.5, False)
    await chat.send(ASIDE, Part("x"), key="k")


async def test_what_automod_blocks_says_so(world: World) -> None:
    world.discord.misbehave("POST", POSTS, refusal(400, 200000))
    chat = world.build()
    error = await refused(chat.send(HERE, Part("a rude word"), key="k"))
    assert error.fault is Fault.REJECTED
    assert str(error) == "AutoMod of this server blocked the message."
    await chat.send(HERE, Part("a kind word"), key="k2")


async def test_edits_of_an_old_message_wait_by_themselves(world: World) -> None:
    chat = world.build()
    message = await chat.send(HERE, Part("x"), key="k")
    path = f"{POSTS}/{message}"
    world.discord.misbehave("PATCH", path, refusal(429, 30046, retry_after=20))
    error = await refused(chat.edit(HERE, message, Part("y")))
    assert (error.fault, error.everywhere) == (Fault.RATE, False)
    await chat.send(HERE, Part("new ones may be sent"), key="k2")


async def test_streams_in_two_channels_share_no_clock(world: World) -> None:
    chat = world.build()
    first = await chat.send(HERE, Part("x"), key="k1")
    second = await chat.send(ASIDE, Part("x"), key="k2")
    world.discord.misbehave("PATCH", f"{POSTS}/.*", refusal(429, 0, retry_after=30))
    await refused(chat.edit(HERE, first, Part("y")))
    await chat.edit(ASIDE, second, Part("y"))
    assert world.discord.messages[second]["content"] == "y"


async def test_a_file_without_an_end_is_read_to_its_limit_only() -> None:
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
    rest = Rest("token", f"{base}/api/v10")
    async with asyncio.timeout(20):
        error = await refused(rest.download(f"{base}/attachments/1/a.txt", 1_000_000))
    await rest.close()
    await runner.cleanup()
    assert (error.fault, str(error)) == (Fault.REJECTED, "The file is too large.")
    assert sent < 50_000_000


# -- the life of the process


async def test_one_connection_serves_all_requests(world: World) -> None:
    seen: set[Any] = set()

    async def look(request: web.Request) -> web.StreamResponse | None:
        seen.add(request.transport)
        return None

    world.discord.misbehave("POST", POSTS, *[look] * 20)
    chat = world.build()
    for number in range(20):
        await chat.send(HERE, Part("x"), key=f"k{number}")
    assert len(seen) == 1


async def test_a_new_session_begins_nothing_a_second_time(world: World) -> None:
    await world.start()
    async with asyncio.timeout(5):
        await world.memory.written.wait()
    for number in (2, 3):
        await world.discord.invalidate()
        await world.discord.until(lambda wanted=number: len(world.discord.identifies) == wanted)  # type: ignore[misc]
        await world.discord.until(lambda: world.discord.connected)
    await world.discord.say("once", channel=DM)
    assert (await world.inbox.next()).text == "once"
    assert world.inbox.arrived.empty()
    assert len(world.discord.made("PUT", "/applications/.*")) == 1
    assert world.discord.connected == 1


async def test_the_end_takes_no_commands_away(world: World) -> None:
    await world.start()
    async with asyncio.timeout(5):
        await world.memory.written.wait()
    await world.stop()
    [put] = world.discord.made("PUT", "/applications/.*")
    assert put.body
    assert not world.discord.made("DELETE", ".*")


async def test_people_may_be_called_the_same_and_are_told_apart(world: World) -> None:
    await world.start()
    other = user("100000000000000077", "ada")
    await world.discord.say(f"<@{BOT}> mine", **US)
    await world.discord.say(f"<@{BOT}> mine", author=other, **US)
    senders = {(await world.inbox.next()).sender.user for _ in range(2)}
    assert senders == {PERSON, other["id"]}


async def test_a_payload_with_new_and_missing_fields_is_still_heard(world: World) -> None:
    await world.start()
    await world.discord.dispatch("SOMETHING_NEW_OF_2027", {"id": "1"})
    await world.discord.say("hello", channel=DM, application_id=None, brand_new={"x": [1]})
    assert (await world.inbox.next()).text == "hello"


async def test_an_html_page_instead_of_json_is_a_fault_like_any(world: World) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>Bad gateway", content_type="text/html")

    async def odd(_: web.Request) -> web.StreamResponse:
        return reply(["no", "object"], 400)

    async def no_text(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=400, body=b'{"message": "\xff"}', content_type="application/json"
        )

    async def deep(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b"[" * 100_000, content_type="application/json")

    world.discord.misbehave("POST", POSTS, page, odd, no_text, deep)
    chat = world.build()
    faults = [(await refused(chat.send(HERE, Part("x"), key="k"))).fault for _ in range(4)]
    assert faults == [Fault.TRANSIENT, *[Fault.REJECTED] * 3]


async def test_a_database_away_for_a_moment_costs_nobody_a_message(world: World) -> None:
    await world.start(timing=replace(QUICK, keeping=10.0))
    world.inbox.broken = True
    await world.discord.say("kept at last", channel=DM)
    async with asyncio.timeout(5):
        await world.inbox.refused.wait()
    world.inbox.broken = False
    assert (await world.inbox.next()).text == "kept at last"
    assert not world.discord.messages, "nobody is told that it was not"


async def test_what_a_dead_process_sent_with_the_same_key_is_brought_up_to_date(
    strict: Strict,
) -> None:
    """The key keeps the message single, so its text is still that of the process that died."""
    chat, discord = strict.chat, strict.discord
    growing = Part("half of", buttons=(Button("Stop", "stop:1", danger=True),))
    incoming, _ = await strict.ask()
    place = incoming.place
    first = await chat.send(place, growing, key="turn-1-0")
    whole = Part("half of it all", buttons=(Button("Retry", "retry:1"),))
    assert await chat.send(place, whole, key="turn-1-0") == first
    [message] = [one for one in discord.messages(strict.channel) if one.author.bot]
    assert message.content == "half of it all"
    assert "retry:1" in str(message.components)
    assert await chat.send(place, whole, key="turn-1-0") == first
    assert [call.method for call in discord.calls if "messages" in call.path].count("PATCH") == 1
