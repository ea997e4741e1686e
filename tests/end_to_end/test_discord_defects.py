"""Defects seen in other Discord bots that only the whole product could have.

The adapter's own are in bots/discord/test_defects. Shown elsewhere: one model for all, menus that
end at 25 models, buttons dead after a restart, messages lost in one, tails cut, fences left open,
@everyone rung (test_discord); a final that waits behind previews (core/delivery/test_gate).
"""

import itertools
import re
from functools import partial
from typing import Any

from bots.sandbox.discord import Call, Channel, Fault
from bots.sandbox.model import Script
from bots.sandbox.model.faults import ended, silent
from bots.sandbox.model.script import long
from core.turns import words
from tests.end_to_end.world import World, letters, texts


def edits(call: Call) -> bool:
    return call.method == "PATCH" and "/messages/" in call.path


def last(alive: World, channel: Channel) -> str:
    return (texts(alive.discord.messages(channel)) or [""])[-1]


def asked(body: dict[str, Any]) -> list[str]:
    return [str(m["content"]) for m in body["messages"] if m["role"] == "user"]


async def test_a_channel_that_must_wait_does_not_stall_the_models_stream(alive: World) -> None:
    """The answer is read to its end and kept while the channel waits for ten minutes."""
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 100
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    discord.faults = lambda call: Fault("429", 600.0) if edits(call) else None
    await discord.say(ann, channel, f"repeat: {'A steady stream. ' * 30}")
    await discord.wait(discord.refused)
    assert not model.requests[-1].completed
    await alive.stored("SELECT 1 FROM turns WHERE state = 'delivering'")
    assert len(discord.refused()) == 1
    await alive.kill()


async def test_an_edit_that_fails_does_not_end_the_answer(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 20
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    text = "on and on " * 50
    kinds = itertools.chain(("502", "drop_after", "500", "drop_before"), itertools.repeat(None))

    def fail(call: Call) -> Fault | None:
        kind = next(kinds) if edits(call) else None
        return Fault(kind) if kind else None  # type: ignore[arg-type]

    discord.faults = fail
    await discord.say(ann, channel, f"repeat: {text}")
    await discord.wait(lambda: texts(discord.messages(channel)) == [text.strip()], 40)
    assert next(kinds) is None, "all of them fell on edits"
    assert len(model.requests) == 1


async def test_an_answer_that_breaks_off_keeps_its_first_words_and_says_so(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 100
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    model.fail_next(ended(20))
    await discord.say(ann, channel, f"repeat: {'begun ' * 100}")
    await discord.wait(lambda: "The answer broke off" in last(alive, channel), 20)
    assert last(alive, channel).startswith("begun begun")
    assert len(texts(discord.messages(channel))) == 1


async def test_a_model_that_never_begins_is_told(alive: World) -> None:
    discord, model = alive.discord, alive.model
    await alive.stop()
    await alive.start(first_token_timeout=0.3)
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    model.fail_next(silent(), times=None)
    await discord.say(ann, channel, "repeat: nobody says this")
    await discord.wait(lambda: "did not go on" in last(alive, channel), 40)
    assert "Stop" not in str(discord.messages(channel)[-1].components)


async def test_a_model_that_thinks_long_does_not_look_dead(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 30
    model.answer = lambda _body: Script("Here it is.", reasoning="I weigh it. " * 45)
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    await discord.say(ann, channel, "hello")
    await discord.wait(lambda: re.search(r"Thinking… \d+ s", last(alive, channel)), 30)
    model.tokens_per_second = 2000
    await discord.wait(lambda: texts(discord.messages(channel)) == ["Here it is."], 30)
    assert len(model.requests) == 1


async def test_a_slow_answer_holds_up_nobody_else(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 10
    ann, bob = discord.person("Ann"), discord.person("Bob")
    home = discord.channel(discord.guild("Home", ann, bob), "general")
    away = discord.channel(discord.guild("Away", bob), "general")
    await discord.say(ann, home, f"{discord.mention} repeat: {'slowly ' * 200}")
    await model.wait(lambda: len(model.requests) == 1)
    for channel in (home, away):
        await discord.say(bob, channel, f"{discord.mention} repeat: at once")
        await discord.wait(lambda there=channel: last(alive, there) == "at once")  # type: ignore[misc]
    assert not model.requests[0].completed
    await discord.slash(ann, home, "stop")
    await model.wait(lambda: model.requests[0].disconnected_at is not None)


def finished(alive: World, channel: Channel, count: int) -> bool:
    """Whether so many answers stand there, none of them growing."""
    answers = [message for message in alive.discord.messages(channel) if message.from_bot]
    growing = any("stop:" in str(message.components) for message in answers)
    return len(answers) == count and not growing and all("x x" in m.content for m in answers)


async def test_people_who_ask_at_once_do_not_share_a_history(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 200
    people = [discord.person(name) for name in ("Ann", "Bob", "Eve")]
    channel = discord.channel(discord.guild("Home", *people), "general")
    for round_ in range(3):
        for person in people:
            await discord.say(
                person, channel, f"{discord.mention} repeat: {person.name} {round_} " + "x " * 20
            )
        expected = len(people) * (round_ + 1)
        await discord.wait(partial(finished, alive, channel, expected), 20)
    assert len(model.requests) == 9
    for request in model.requests:
        own = re.findall(r"Ann|Bob|Eve", asked(request.body)[-1])[0]
        names = set(re.findall(r"Ann|Bob|Eve", str(request.body["messages"])))
        assert names == {own}
    for person in people:
        rounds = [asked(r.body) for r in model.requests if person.name in asked(r.body)[-1]]
        assert [len(one) for one in rounds] == [1, 2, 3], "nothing of one's own is missing"


async def test_instructions_given_in_one_channel_hold_in_no_other(alive: World) -> None:
    discord, model = alive.discord, alive.model
    ann, bob = discord.person("Ann"), discord.person("Bob")
    one = discord.channel(discord.guild("Home", ann), "general")
    other = discord.channel(discord.guild("Away", ann, bob), "general")
    said = await discord.slash(ann, one, "system", text="You are a pirate.")
    await discord.wait(lambda: bool(said.responses) and bool(said.responses[-1].content))
    for person, channel, pirate in ((ann, one, True), (ann, other, False), (bob, other, False)):
        before = len(model.requests)
        await discord.say(person, channel, f"{discord.mention} repeat: hello")
        await model.wait(lambda n=before: len(model.requests) > n)  # type: ignore[misc]
        assert ("You are a pirate." in str(model.requests[-1].body["messages"])) is pirate


async def test_one_person_in_two_channels_has_two_last_questions(alive: World) -> None:
    discord, model = alive.discord, alive.model
    ann = discord.person("Ann")
    guild = discord.guild("Home", ann)
    one, two = discord.channel(guild, "one"), discord.channel(guild, "two")
    for channel in (one, two):
        await discord.say(ann, channel, f"{discord.mention} repeat: in {channel.name}")
        await discord.wait(lambda there=channel: last(alive, there) == f"in {there.name}")  # type: ignore[misc]
    await discord.slash(ann, one, "retry")
    await model.wait(lambda: len(model.requests) == 3)
    assert asked(model.requests[-1].body) == ["repeat: in one"]


async def test_an_answer_is_one_message_and_nothing_is_posted_beside_it(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 40
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    text = "It grows where it stands. " * 12
    before = len(discord.calls)
    await discord.say(ann, channel, f"{discord.mention} repeat: {text}")
    await discord.wait(lambda: last(alive, channel) == text.strip(), 20)
    made = [call for call in list(discord.calls)[before:] if "/messages" in call.path]
    assert [call.method for call in made].count("POST") == 1
    assert {call.method for call in made} == {"POST", "PATCH"}
    assert len(discord.messages(channel)) == 2


async def test_a_growing_answer_is_shown_beyond_its_first_message(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 300
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    await discord.say(ann, channel, "long 5000")
    await discord.wait(lambda: len(texts(discord.messages(channel))) >= 2, 30)
    assert not model.requests[0].completed
    await discord.wait(
        lambda: letters("\n".join(texts(discord.messages(channel)))) == letters(long(5000)), 40
    )


async def test_an_answer_deleted_while_it_grows_ends_what_nobody_sees(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 20
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    await discord.say(ann, channel, f"repeat: {'on and on ' * 100}")
    await discord.wait(lambda: "on and on" in last(alive, channel))
    await discord.delete(next(m for m in discord.messages(channel) if m.from_bot))
    await model.wait(lambda: model.requests[-1].disconnected_at is not None)
    model.tokens_per_second = 2000
    await discord.say(ann, channel, "repeat: next")
    await discord.wait(lambda: last(alive, channel) == "next")


async def test_who_writes_too_fast_is_told_and_keeps_their_messages(alive: World) -> None:
    discord = alive.discord
    await alive.stop()
    await alive.start(messages_a_minute=2)
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    for number in range(6):
        await discord.say(ann, channel, f"repeat: {number}")
    await discord.wait(lambda: words.FAST in texts(discord.messages(channel)), 20)
    assert [m.content for m in discord.messages(channel) if not m.from_bot] == [
        f"repeat: {number}" for number in range(6)
    ]
    assert not any(call.method == "DELETE" for call in discord.calls)
