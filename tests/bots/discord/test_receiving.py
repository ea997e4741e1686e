"""Messages for the bot reach the inbox, and nothing else does."""

import asyncio
from dataclasses import replace

import pytest

from core.port import Attachment, EventKind, Incoming, Part
from core.texts.threads import default_title
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, messages_path


async def test_mention_is_stripped_from_prompt(harness: AdapterHarness) -> None:
    await harness.start()
    message = await harness.mention("what is a monad?")
    incoming = await harness.inbox.next()
    assert (incoming.kind, incoming.text) == (EventKind.PROMPT, "what is a monad?")
    assert (incoming.key, incoming.message_id) == (f"m{message.id}", str(message.id))
    assert incoming.place == harness.place(harness.channel)
    assert not incoming.place.is_private
    sender = incoming.sender
    assert (sender.user, sender.name, sender.is_manager) == (str(harness.ann.id), "Ann", False)


async def test_mentions_become_names_and_bot_role_counts(harness: AdapterHarness) -> None:
    await harness.start(message_content=True)
    bob = harness.discord.create_user("Bob")
    await harness.say(f"<@&{harness.guild.bot_role_id}> greet <@{bob.id}>", harness.channel)
    assert (await harness.inbox.next()).text == "greet @Bob"


async def test_direct_message_is_prompt(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.say("hello")
    incoming = await harness.inbox.next()
    assert (incoming.text, incoming.place) == ("hello", harness.place(harness.dm))
    assert incoming.place.is_private
    assert incoming.place.server is None


async def test_thread_is_own_place(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.mention("hi", harness.thread)
    place = (await harness.inbox.next()).place
    assert (place.chat, place.thread) == (str(harness.channel.id), str(harness.thread.id))


async def test_reply_to_bot_is_prompt(harness: AdapterHarness) -> None:
    adapter = await harness.start(message_content=True)
    incoming = await harness.mentioned()
    answer_id = await adapter.send(incoming.place, Part("an answer"), key="k")
    await harness.say("go on", harness.channel, reply_to=harness.message(answer_id), ping=False)
    reply = await harness.inbox.next()
    assert (reply.text, [quote.message_id for quote in reply.quotes]) == ("go on", [answer_id])


async def test_unaddressed_and_everyone_messages_are_ignored(harness: AdapterHarness) -> None:
    await harness.start(message_content=True)
    await harness.say("just talking", harness.channel)
    await harness.say("@everyone", harness.channel)
    await harness.say("the next one")
    assert (await harness.inbox.next()).text == "the next one"


async def test_messages_to_others_in_the_bots_thread_are_ignored(harness: AdapterHarness) -> None:
    role = harness.discord.create_role(harness.guild, harness.owner)
    thread = harness.discord.create_thread(harness.channel, "trip", owner=harness.discord.bot)
    await harness.start(message_content=True)
    await harness.say(f"<@{harness.owner.id}> one", thread)
    await harness.say_raw(f"<@&{role}> two", thread, mention_roles=[str(role)])
    await harness.say("@everyone three", thread)
    await harness.say("for the bot", thread)
    assert (await harness.inbox.next()).text == "for the bot"


async def test_reply_to_a_deleted_message_in_the_bots_thread_is_ignored(harness: AdapterHarness) -> None:
    thread = harness.discord.create_thread(harness.channel, "trip", owner=harness.discord.bot)
    await harness.start(message_content=True)
    reference = {"message_id": "5", "channel_id": str(thread.id), "type": 0}
    await harness.say_raw("you are right", thread, type=19, message_reference=reference, referenced_message=None)
    await harness.say("for the bot", thread)
    assert (await harness.inbox.next()).text == "for the bot"


async def test_people_without_access_talk_in_the_bots_thread(harness: AdapterHarness) -> None:
    """The inbox, which would refuse it in public, gets only what they say to the bot. None of it names the thread."""
    title = default_title("Ann")
    thread = harness.discord.create_thread(harness.channel, title, owner=harness.discord.bot)
    harness.inbox.denies = True
    received: asyncio.Queue[str] = asyncio.Queue()

    async def inbox(incoming: Incoming) -> None:
        await received.put(incoming.text)
        await harness.inbox(incoming)

    await harness.start(inbox=inbox, message_content=True)
    message = await harness.say("one", thread)
    await harness.discord.edit_message(harness.ann, message, "two")
    await harness.mention("three", thread)
    async with asyncio.timeout(5):
        assert await received.get() == "three"
    await harness.stop()
    assert thread.name == title


async def test_unstored_message_in_the_bots_thread_is_reported(harness: AdapterHarness) -> None:
    """Whoever has access is not ignored because the database does not answer."""
    thread = harness.discord.create_thread(harness.channel, "trip", owner=harness.discord.bot)
    await harness.start(message_content=True)
    harness.inbox.is_failing = True
    await harness.say("for the bot", thread)
    [post] = await harness.discord.wait_for(lambda: harness.discord.calls_to("POST", messages_path(thread)))
    assert "couldn't save" in post.body["content"]


async def test_message_of_another_bot_is_ignored(harness: AdapterHarness) -> None:
    await harness.start()
    robot = harness.discord.create_user("Robot")
    robot.is_bot = True
    await harness.discord.send_message(robot, harness.channel, f"{harness.discord.mention} x")
    await harness.say("the next one")
    assert (await harness.inbox.next()).text == "the next one"


@pytest.mark.parametrize("fields", [{"webhook_id": "7"}, {"type": 6}], ids=["webhook", "system message"])
async def test_messages_not_written_by_people_are_ignored(harness: AdapterHarness, fields: dict[str, object]) -> None:
    await harness.start()
    await harness.say_raw("x", harness.channel, mentions=[harness.discord.bot.json()], **fields)
    await harness.say("the next one")
    assert (await harness.inbox.next()).text == "the next one"


async def test_attachments_and_stickers_are_named(harness: AdapterHarness) -> None:
    await harness.start()
    file = {
        "id": "1",
        "filename": "a.png",
        "size": 99,
        "url": "x",
        "proxy_url": "x",
        "content_type": "image/png",
    }
    sticker = {"id": "2", "name": "wave", "format_type": 1}
    animation = {"id": "3", "name": "dance", "format_type": 3}
    await harness.say_raw("", attachments=[file], sticker_items=[sticker, animation])
    incoming = await harness.inbox.next()
    assert incoming.attachments == (
        Attachment("photo", "a.png", 99, f"x#{harness.dm.id}/{incoming.message_id}/1", is_image=True),
        Attachment("sticker", "wave", file_id="https://cdn.discordapp.com/stickers/2.png", is_image=True),
        Attachment("sticker", "dance"),
    )


async def test_owner_is_manager(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.discord.send_message(harness.owner, harness.channel, f"{harness.discord.mention} x")
    assert (await harness.inbox.next()).sender.is_manager


async def test_unstored_message_is_reported(harness: AdapterHarness) -> None:
    await harness.start()
    harness.inbox.is_failing = True
    message = await harness.say("hello")
    [post] = await harness.discord.wait_for(lambda: harness.discord.calls_to("POST", messages_path(harness.dm)))
    assert "couldn't save" in post.body["content"]
    assert post.body["message_reference"]["message_id"] == str(message.id)


async def test_channel_messages_are_stored_in_order(harness: AdapterHarness) -> None:
    started: list[str] = []
    may_store_first = asyncio.Event()

    async def slow_inbox(incoming: Incoming) -> None:
        started.append(incoming.text)
        if incoming.text == "1":
            await may_store_first.wait()
        await harness.inbox(incoming)

    await harness.start(inbox=slow_inbox)
    for text in ("1", "2", "3"):
        await harness.say(text)
    await harness.mention("elsewhere")
    assert (await harness.inbox.next()).text == "elsewhere"
    assert started == ["1", "elsewhere"]
    may_store_first.set()
    assert [(await harness.inbox.next()).text for _ in range(3)] == ["1", "2", "3"]


async def test_adapter_that_stops_stores_what_it_has_received(harness: AdapterHarness) -> None:
    adapter = harness.build()
    running = harness.run(adapter)
    await harness.discord.wait_until_ready()
    harness.inbox.may_store.clear()
    interaction = await harness.discord.use_command(harness.ann, harness.dm, "usage")
    await harness.acknowledgement(interaction)
    running.cancel()
    await harness.wait_for_connections(0)
    harness.inbox.may_store.set()
    await asyncio.wait({running})
    assert harness.inbox.events.get_nowait().command == "usage"


async def test_nothing_is_being_stored_when_the_adapter_has_stopped(harness: AdapterHarness) -> None:
    has_ended = False

    async def store_for_ever(incoming: Incoming) -> None:
        nonlocal has_ended
        try:
            await asyncio.Event().wait()
        finally:
            has_ended = True

    adapter = harness.build(timings=replace(FAST_TIMINGS, drain_timeout=0.02))
    running = harness.run(adapter, store_for_ever)
    await harness.discord.wait_until_ready()
    await harness.acknowledgement(await harness.discord.use_command(harness.ann, harness.dm, "usage"))
    running.cancel()
    await asyncio.wait({running})
    assert has_ended
