"""/thread creates a thread with a conversation of its own."""

import asyncio
from typing import Any

import pytest

from bots.sandbox.discord.state import CREATE_PUBLIC_THREADS, DEFAULT_PERMISSIONS, Call, Channel, User
from bots.sandbox.stand_in import Fault, FaultKind, ScriptedReply
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.spec_checks import spec_violations


async def use_thread(harness: Harness, user: User, channel: Channel, **options: Any) -> str:
    """Returns the reply, which only the person sees."""
    interaction = await harness.discord.use_command(user, channel, "thread", **options)
    await harness.discord.wait_for(lambda: interaction.responses and interaction.responses[0].content)
    assert interaction.responses[0].ephemeral_to == user.id
    return interaction.responses[0].text


def threads_of(harness: Harness, channel: Channel) -> list[Channel]:
    return [each for each in harness.discord.channels.values() if each.parent is channel]


def create_channel(harness: Harness) -> tuple[Any, Any]:
    discord = harness.discord
    olga, ann = discord.create_user("Olga"), discord.create_user("Ann")
    return ann, discord.create_channel(discord.create_guild("Home", olga, ann), "general")


async def ask(harness: Harness, user: User, channel: Channel, text: str, answer: str) -> None:
    await harness.discord.send_message(user, channel, f"{harness.discord.mention} {text}")
    await harness.discord.wait_for(lambda: answer in bot_texts(harness.discord.messages(channel)))


async def test_thread_has_its_own_conversation_and_the_model_of_the_channel(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    await harness.discord.use_command(ann, channel, "model", name="phi-4")
    await ask(harness, ann, channel, "repeat: in the channel", "in the channel")
    reply = await use_thread(harness, ann, channel, title="Our *trip*\n@everyone")
    [thread] = threads_of(harness, channel)
    assert thread.name == "Our *trip*"
    assert f"https://discord.com/channels/{channel.guild.id}/{thread.id}" in reply
    await ask(harness, ann, thread, "repeat: in the thread", "in the thread")
    request = harness.model.requests[-1].body
    assert request["model"] == "microsoft/phi-4"
    assert "in the channel" not in str(request["messages"])
    assert not spec_violations(harness)


async def test_thread_is_named_after_the_last_question(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    await use_thread(harness, ann, channel)
    quoted = await harness.discord.send_message(ann, channel, "something else")
    await harness.discord.send_message(
        ann, channel, f"{harness.discord.mention} repeat: a thread about {'many ' * 30}things", reply_to=quoted
    )
    await harness.discord.wait_for(lambda: any(m.from_bot for m in harness.discord.messages(channel)))
    await harness.wait_until_stored("SELECT 1 FROM messages WHERE role = 'assistant'")
    await use_thread(harness, ann, channel)
    first, second = threads_of(harness, channel)
    assert first.name == "Conversation with Ann"
    assert second.name.startswith("repeat: a thread about many many")
    assert second.name.endswith("many…")
    assert len(second.name) <= 100


@pytest.mark.parametrize("locale", ["en-US", "de", "ja"])
async def test_thread_without_a_title_is_named_after_its_first_question(harness: Harness, locale: str) -> None:
    ann, channel = create_channel(harness)
    ann.locale = locale
    await use_thread(harness, ann, channel)
    [thread] = threads_of(harness, channel)
    assert "Ann" in thread.name
    await harness.discord.use_command(ann, thread, "ask", prompt="repeat: a secret", private=True)
    await harness.discord.wait_for(lambda: "a secret" in bot_texts(harness.discord.messages(thread)))
    assert "Ann" in thread.name, "others would read the private question"
    await ask(harness, ann, thread, "repeat: first", "first")
    await harness.discord.wait_for(lambda: thread.name == "repeat: first")
    await ask(harness, ann, thread, "repeat: second", "second")
    renames = [call for call in harness.discord.calls if call.method == "PATCH" and "name" in call.body]
    assert (thread.name, len(renames)) == ("repeat: first", 1)
    assert not spec_violations(harness)


async def test_thread_is_named_after_the_question_of_a_command(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    await use_thread(harness, ann, channel)
    [thread] = threads_of(harness, channel)
    await harness.discord.use_command(ann, thread, "ask", prompt="repeat: first")
    await harness.discord.wait_for(lambda: thread.name == "repeat: first")


async def test_other_threads_keep_their_titles(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    titles = ["Our trip", "Conversation with our landlord"]
    for title in titles:
        await use_thread(harness, ann, channel, title=title)
    threads = threads_of(harness, channel)
    threads.append(harness.discord.create_thread(channel, "Conversation with Ann", owner=ann))
    for thread in threads:
        await ask(harness, ann, thread, "repeat: hello", "hello")
    assert [thread.name for thread in threads] == [*titles, "Conversation with Ann"]


async def test_repeated_command_finds_the_thread_that_it_has_created(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    discord = harness.discord
    response = ScriptedReply(hold_until=asyncio.Event())
    discord.script.add(f"POST /channels/{channel.id}/threads", response)
    interaction = await discord.use_command(ann, channel, "thread")
    [request] = await discord.wait_for(lambda: [call for call in discord.calls if call.path.endswith("/threads")])
    title = request.body["name"]
    of_ann = discord.create_thread(channel, title)
    thread = discord.create_thread(channel, title, owner=discord.bot)
    await ask(harness, ann, channel, "repeat: another subject", "another subject")
    await harness.kill()
    await harness.start()
    await discord.wait_for(lambda: interaction.responses and str(thread.id) in interaction.responses[0].content)
    assert threads_of(harness, channel) == [of_ann, thread]
    assert not spec_violations(harness)


async def test_repeated_command_creates_the_thread_that_is_missing(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    discord = harness.discord
    await use_thread(harness, ann, channel, title="Trip")
    discord.script.add(f"POST /channels/{channel.id}/threads", ScriptedReply(hold_until=asyncio.Event()))
    interaction = await discord.use_command(ann, channel, "thread", title="Trip")
    await discord.wait_for(lambda: len([call for call in discord.calls if call.path.endswith("/threads")]) == 2)
    await harness.kill()
    await harness.start()
    await discord.wait_for(lambda: interaction.responses and interaction.responses[0].content)
    first, second = threads_of(harness, channel)
    assert str(second.id) in interaction.responses[0].content
    assert (first.name, second.name) == ("Trip", "Trip")


async def test_thread_in_an_announcement_channel(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    channel.is_announcement = True
    reply = await use_thread(harness, ann, channel, title="Our trip")
    [thread] = threads_of(harness, channel)
    assert str(thread.id) in reply
    assert not spec_violations(harness)


async def test_bot_answers_all_in_its_own_thread_if_it_receives_texts(harness: Harness) -> None:
    await harness.stop()
    await harness.start(discord_message_content=True)
    ann, channel = create_channel(harness)
    discord = harness.discord
    reply = await use_thread(harness, ann, channel, title="Our trip")
    assert reply.endswith("Just write there. You don't need to mention me.")
    [thread] = threads_of(harness, channel)
    bob = discord.create_user("Bob")
    aside = discord.create_thread(channel, "aside")
    words = await discord.send_message(bob, thread, f"<@{ann.id}> not for the bot")
    await discord.send_message(ann, thread, "nor this", reply_to=words)
    await discord.send_message(ann, aside, "nor that")
    await discord.send_message(ann, thread, "repeat: without a mention")
    await discord.wait_for(lambda: "without a mention" in bot_texts(discord.messages(thread)))
    assert len(harness.model.requests) == 1
    assert not bot_texts(discord.messages(aside))


async def test_without_texts_the_bot_answers_mentions_in_its_own_thread(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    discord = harness.discord
    reply = await use_thread(harness, ann, channel, title="Our trip")
    assert reply.endswith("Mention me there, or use /ask.")
    [thread] = threads_of(harness, channel)
    await discord.send_message(ann, thread, "repeat: without a mention")
    await ask(harness, ann, thread, "repeat: with a mention", "with a mention")
    assert len(harness.model.requests) == 1


async def test_thread_is_found_after_a_lost_response(harness: Harness) -> None:
    ann, channel = create_channel(harness)

    def lose_response(call: Call) -> Fault | None:
        return Fault(FaultKind.DROP_AFTER) if call.path.endswith("/threads") else None

    harness.discord.fault_hook = lose_response
    reply = await use_thread(harness, ann, channel, title="Our trip")
    [thread] = threads_of(harness, channel)
    assert str(thread.id) in reply


async def test_thread_needs_a_channel_and_permissions(harness: Harness) -> None:
    ann, channel = create_channel(harness)
    discord = harness.discord
    assert (await use_thread(harness, ann, discord.open_dm(ann))).startswith("There are no threads here.")
    aside = discord.create_thread(channel, "aside")
    assert (await use_thread(harness, ann, aside)).startswith("This is a thread already")
    channel.denied_permissions[ann.id] = CREATE_PUBLIC_THREADS
    assert await use_thread(harness, ann, channel) == "You're not allowed to create threads here."
    channel.denied_permissions.clear()
    await discord.set_bot_permissions(channel, DEFAULT_PERMISSIONS & ~CREATE_PUBLIC_THREADS)
    assert "**Create Public Threads**" in await use_thread(harness, ann, channel)
    assert threads_of(harness, channel) == [aside]


async def test_private_chat_offers_no_threads(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel, dm = discord.create_channel(discord.create_guild("Home", ann), "general"), discord.open_dm(ann)
    for place, has_threads in ((channel, True), (dm, False)):
        interaction = await discord.use_command(ann, place, "help")
        await discord.wait_for(lambda: interaction.responses and "/help" in interaction.responses[-1].text)  # noqa: B023
        assert ("/thread" in interaction.responses[-1].text) is has_threads
    contexts = {command["name"]: command["contexts"] for command in discord.commands}
    assert (contexts["thread"], contexts["new"]) == ([0], [0, 1, 2])
