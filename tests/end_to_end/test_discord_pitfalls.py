"""Pitfalls of Discord's API and defects known from other Discord bots, tested on the whole product.

Pitfalls that concern the adapter alone are tested in tests/bots/discord/test_pitfalls.py.
"""

import itertools
import re
from functools import partial
from typing import Any

from bots.sandbox.discord import Call, Channel, Fault, FaultKind, ScriptedReply
from bots.sandbox.model import ScriptedAnswer
from bots.sandbox.model.faults import end_stream, stall
from bots.sandbox.model.script import long_document
from core.texts import answers as texts
from tests.end_to_end.harness import Harness, bot_texts, letters_only


def is_edit(call: Call) -> bool:
    return call.method == "PATCH" and "/messages/" in call.path


def last_text(harness: Harness, channel: Channel) -> str:
    return (bot_texts(harness.discord.messages(channel)) or [""])[-1]


def prompts_in(body: dict[str, Any]) -> list[str]:
    return [str(m["content"]) for m in body["messages"] if m["role"] == "user"]


async def test_rate_limited_channel_does_not_stall_stream(harness: Harness) -> None:
    """The answer is read completely and stored while the channel is blocked for ten minutes."""
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 30
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    discord.fault_hook = lambda call: Fault(FaultKind.RATE_LIMITED, 600.0) if is_edit(call) else None
    await discord.send_message(ann, channel, f"repeat: {'A steady stream. ' * 30}")
    await discord.wait_for(discord.calls_with_status)
    assert not model.requests[-1].is_completed
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'delivering'")
    assert len(discord.calls_with_status()) == 1
    await harness.kill()


async def test_failed_edit_does_not_end_answer(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 20
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    text = "on and on " * 50
    kinds = itertools.chain(
        (FaultKind.BAD_GATEWAY, FaultKind.DROP_AFTER, FaultKind.INTERNAL_ERROR, FaultKind.DROP_BEFORE),
        itertools.repeat(None),
    )

    def fail(call: Call) -> Fault | None:
        kind = next(kinds) if is_edit(call) else None
        return Fault(kind) if kind else None

    discord.fault_hook = fail
    await discord.send_message(ann, channel, f"repeat: {text}")
    await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == [text.strip()], 40)
    assert next(kinds) is None, "all of them fell on edits"
    assert len(model.requests) == 1


async def test_broken_answer_keeps_text_and_is_reported(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 100
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    model.fail_next(end_stream(20))
    await discord.send_message(ann, channel, f"repeat: {'begun ' * 100}")
    await discord.wait_for(lambda: "The answer was cut off" in last_text(harness, channel), 20)
    assert last_text(harness, channel).startswith("begun begun")
    assert len(bot_texts(discord.messages(channel))) == 1


async def test_silent_model_is_reported(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    await harness.stop()
    await harness.start(first_token_timeout=0.3)
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    model.fail_next(stall(), times=None)
    await discord.send_message(ann, channel, "repeat: nobody says this")
    await discord.wait_for(lambda: "stopped responding" in last_text(harness, channel), 40)
    assert "Stop" not in str(discord.messages(channel)[-1].components)


async def test_long_reasoning_shows_progress(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 30
    model.answer = lambda _body: ScriptedAnswer("Here it is.", reasoning="I weigh it. " * 45)
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_message(ann, channel, "hello")
    await discord.wait_for(lambda: re.search(r"Thinking… \d+ s", last_text(harness, channel)), 30)
    model.tokens_per_second = 2000
    await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == ["Here it is."], 30)
    assert len(model.requests) == 1


async def test_slow_answer_delays_no_other(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 10
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    home = discord.create_channel(discord.create_guild("Home", ann, bob), "general")
    away = discord.create_channel(discord.create_guild("Away", bob), "general")
    await discord.send_message(ann, home, f"{discord.mention} repeat: {'slowly ' * 200}")
    await model.wait_for(lambda: len(model.requests) == 1)
    for channel in (home, away):
        await discord.send_message(bob, channel, f"{discord.mention} repeat: at once")
        await discord.wait_for(lambda there=channel: last_text(harness, there) == "at once")  # type: ignore[misc]
    assert not model.requests[0].is_completed
    await discord.use_command(ann, home, "stop")
    await model.wait_for(lambda: model.requests[0].disconnected_at is not None)


def all_answers_finished(harness: Harness, channel: Channel, count: int) -> bool:
    """Whether `count` complete answers are visible."""
    answers = [message for message in harness.discord.messages(channel) if message.from_bot]
    growing = any("stop:" in str(message.components) for message in answers)
    return len(answers) == count and not growing and all("x x" in m.content for m in answers)


async def test_concurrent_users_have_separate_histories(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 200
    people = [discord.create_user(name) for name in ("Ann", "Bob", "Eve")]
    channel = discord.create_channel(discord.create_guild("Home", *people), "general")
    for round_ in range(3):
        for person in people:
            await discord.send_message(
                person, channel, f"{discord.mention} repeat: {person.name} {round_} " + "x " * 20
            )
        expected = len(people) * (round_ + 1)
        await discord.wait_for(partial(all_answers_finished, harness, channel, expected), 20)
    assert len(model.requests) == 9
    for request in model.requests:
        own = re.findall(r"Ann|Bob|Eve", prompts_in(request.body)[-1])[0]
        names = set(re.findall(r"Ann|Bob|Eve", str(request.body["messages"])))
        assert names == {own}
    for person in people:
        rounds = [prompts_in(r.body) for r in model.requests if person.name in prompts_in(r.body)[-1]]
        assert [len(prompts) for prompts in rounds] == [1, 2, 3], "no earlier question of the person is missing"


async def test_instructions_are_per_channel(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    first = discord.create_channel(discord.create_guild("Home", ann), "general")
    second = discord.create_channel(discord.create_guild("Away", ann, bob), "general")
    await discord.use_command(ann, first, "system", text="You are a pirate.")
    await discord.wait_for(lambda: len(discord.messages(first)) == 1)  # the announcement to everyone
    for person, channel, pirate in ((ann, first, True), (ann, second, False), (bob, second, False)):
        before = len(model.requests)
        await discord.send_message(person, channel, f"{discord.mention} repeat: hello")
        await model.wait_for(lambda n=before: len(model.requests) > n)  # type: ignore[misc]
        assert ("You are a pirate." in str(model.requests[-1].body["messages"])) is pirate


async def test_last_question_is_per_channel(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann = discord.create_user("Ann")
    guild = discord.create_guild("Home", ann)
    first, second = discord.create_channel(guild, "one"), discord.create_channel(guild, "two")
    for channel in (first, second):
        await discord.send_message(ann, channel, f"{discord.mention} repeat: in {channel.name}")
        await discord.wait_for(lambda there=channel: last_text(harness, there) == f"in {there.name}")  # type: ignore[misc]
    await discord.use_command(ann, first, "retry")
    await model.wait_for(lambda: len(model.requests) == 3)
    assert prompts_in(model.requests[-1].body) == ["repeat: in one"]


async def test_answer_is_single_message(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 40
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    text = "It grows where it stands. " * 12
    before = len(discord.calls)
    await discord.send_message(ann, channel, f"{discord.mention} repeat: {text}")
    await discord.wait_for(lambda: last_text(harness, channel) == text.strip(), 20)
    calls = [call for call in list(discord.calls)[before:] if "/messages" in call.path]
    assert [call.method for call in calls].count("POST") == 1
    assert {call.method for call in calls} == {"POST", "PATCH"}
    assert len(discord.messages(channel)) == 2


async def test_growing_answer_continues_in_next_message(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 300
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_message(ann, channel, "long 5000")
    await discord.wait_for(lambda: len(bot_texts(discord.messages(channel))) >= 2, 30)
    assert not model.requests[0].is_completed
    await discord.wait_for(
        lambda: letters_only("\n".join(bot_texts(discord.messages(channel)))) == letters_only(long_document(5000)),
        40,
    )


async def test_deleting_growing_answer_stops_it(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 20
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_message(ann, channel, f"repeat: {'on and on ' * 100}")
    await discord.wait_for(lambda: "on and on" in last_text(harness, channel))
    await discord.delete_message(next(m for m in discord.messages(channel) if m.from_bot))
    await model.wait_for(lambda: model.requests[-1].disconnected_at is not None)
    model.tokens_per_second = 2000
    await discord.send_message(ann, channel, "repeat: next")
    await discord.wait_for(lambda: last_text(harness, channel) == "next")


async def test_fast_writer_is_notified_and_keeps_messages(harness: Harness) -> None:
    discord = harness.discord
    await harness.stop()
    await harness.start(messages_a_minute=2)
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    for number in range(6):
        await discord.send_message(ann, channel, f"repeat: {number}")
    await discord.wait_for(lambda: texts.TOO_FAST in "".join(bot_texts(discord.messages(channel))), 20)
    assert [m.content for m in discord.messages(channel) if not m.from_bot] == [
        f"repeat: {number}" for number in range(6)
    ]
    assert not any(call.method == "DELETE" for call in discord.calls)


def is_answered(harness: Harness, place: Channel) -> bool:
    return f"in {place.name}" in bot_texts(harness.discord.messages(place))


async def test_question_in_hidden_channel_is_answered_without_its_stand_in_name(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    channel.bot_permissions = 0
    thread = discord.create_thread(channel, "Summer party")
    hidden = {**thread.json(), "name": "___hidden___", "flags": 1 << 17}
    discord.script.add(f"GET /channels/{thread.id}", ScriptedReply(body=hidden))
    for place in (channel, thread):
        await discord.use_command(ann, place, "ask", prompt=f"repeat: in {place.name}")
        await discord.wait_for(partial(is_answered, harness, place))
    assert [prompts_in(request.body) for request in model.requests] == [
        ["repeat: in general"],
        ["repeat: in Summer party"],
    ]
