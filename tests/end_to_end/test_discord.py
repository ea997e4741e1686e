"""What people on Discord live through."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bots.sandbox.discord import Channel
from bots.sandbox.model.script import long
from core.errors import DeniedError
from core.store import conversations
from core.store.database import Store
from tests.end_to_end.world import World, letters, texts


def says(alive: World, channel: Channel, text: str) -> bool:
    return text in texts(alive.discord.messages(channel))


def differs(labels: set[str], items: Callable[[], list[dict[str, Any]]]) -> bool:
    return labels != {o["label"] for item in items() for o in item.get("options", [])}


async def test_a_mention_is_answered_by_a_growing_reply(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 20
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    text = "A growing answer. " * 12
    await discord.say(ann, channel, "nobody asked the bot")
    await discord.say(ann, channel, f"{discord.mention} repeat: {text}")
    await discord.wait(lambda: texts(discord.messages(channel))[-1:] == [text.strip()], 15)
    (answer,) = [m for m in discord.messages(channel) if m.from_bot]
    assert len(answer.edits) >= 2
    assert not answer.mentions
    assert "Stop" not in str(answer.components)
    assert "Retry" in str(answer.components)
    assert len(model.requests) == 1


async def test_a_direct_message_needs_no_mention(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    await discord.say(ann, channel, "repeat: just us")
    await discord.wait(lambda: texts(discord.messages(channel)) == ["just us"])


async def test_ask_is_acknowledged_in_time_and_answered(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    asked = await discord.slash(ann, channel, "ask", prompt="repeat: by command")
    await discord.wait(lambda: "by command" in texts(discord.messages(channel)))
    assert asked.acknowledged_at is not None
    assert not asked.failed


async def test_ask_answers_where_the_bot_is_not_a_member(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Elsewhere", ann, joined=False), "general")
    asked = await discord.slash(
        ann, channel, "ask", user_installed=True, prompt="repeat: as a guest"
    )
    await discord.wait(lambda: any("as a guest" in m.content for m in asked.responses))
    assert not asked.failed


async def test_a_thread_is_a_conversation_of_its_own(alive: World) -> None:
    discord, model = alive.discord, alive.model
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    thread = discord.thread(channel, "aside")
    await discord.say(ann, channel, f"{discord.mention} repeat: outside")
    await discord.wait(lambda: "outside" in texts(discord.messages(channel)))
    await discord.say(ann, thread, f"{discord.mention} repeat: inside")
    await discord.wait(lambda: "inside" in texts(discord.messages(thread)))
    assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == ["repeat: inside"]


async def test_a_model_is_switched_in_one_channel_and_not_in_another(alive: World) -> None:
    discord, model = alive.discord, alive.model
    ann = discord.person("Ann")
    guild = discord.guild("Home", ann)
    one, two = discord.channel(guild, "one"), discord.channel(guild, "two")
    choices = await discord.autocomplete(ann, one, "model", "name", "phi")
    assert 1 <= len(choices) <= 25
    picked = next(c["value"] for c in choices if "phi-4" in c["name"])
    switched = await discord.slash(ann, one, "model", name=picked)
    await discord.wait(lambda: any("from now on" in m.content for m in switched.responses))
    assert all(m.ephemeral_to for m in switched.responses)
    for channel, expected in ((one, "microsoft/phi-4"), (two, "meta-llama/Llama-3.3-70B-Instruct")):
        await discord.say(ann, channel, f"{discord.mention} repeat: here")
        await discord.wait(partial(says, alive, channel, "here"))
        assert model.requests[-1].body["model"] == expected


async def test_all_models_are_within_reach_of_the_picker(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    shown = await discord.slash(ann, channel, "model")
    await discord.wait(lambda: bool(shown.responses and shown.responses[-1].components))

    def items() -> list[dict[str, Any]]:
        rows = shown.responses[-1].components
        return [item for row in rows for item in row["components"]]

    seen: set[str] = set()
    for _ in range(2):
        menu = next(item for item in items() if "options" in item)
        labels = {option["label"] for option in menu["options"]}
        assert len(labels) <= 25
        seen |= labels
        forward = next(item for item in items() if item.get("label") == "▶")
        await discord.press(ann, shown.responses[-1], forward["custom_id"])
        await discord.wait(partial(differs, labels, items))
    assert len(seen) == 30


async def test_the_stop_button_works_for_who_asked_and_after_a_restart_retry_does(
    alive: World,
) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 30
    ann, eve = discord.person("Ann"), discord.person("Eve")
    channel = discord.channel(discord.guild("Home", ann, eve), "general")

    def button(label: str) -> str | None:
        for message in reversed(discord.messages(channel)):
            for row in message.components:
                for item in row["components"]:
                    if item.get("label") == label:
                        return str(item["custom_id"])
        return None

    await discord.say(ann, channel, f"{discord.mention} long 5000")
    await discord.wait(
        lambda: bool(button("Stop") and "Section 1" in discord.messages(channel)[-1].content)
    )
    answer = discord.messages(channel)[-1]
    refused = await discord.press(eve, answer, button("Stop") or "")
    await discord.wait(lambda: any("somebody else" in m.content for m in refused.responses))
    assert len(model.requests) == 1
    began = time.monotonic()
    await discord.press(ann, answer, button("Stop") or "")
    await model.wait(lambda: model.requests[0].disconnected_at)
    assert (model.requests[0].disconnected_at or 0) - began < 1
    await discord.wait(lambda: "Stopped" in answer.content and button("Retry"))
    await alive.stop()
    model.tokens_per_second = 20_000
    await alive.start()
    await discord.press(ann, answer, button("Retry") or "")
    await discord.wait(
        lambda: letters(long(5000)) in letters("\n".join(texts(discord.messages(channel)))), 30
    )


async def test_a_very_long_answer_arrives_whole_with_fences_intact(alive: World) -> None:
    discord = alive.discord
    alive.model.tokens_per_second = 20_000
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    expected = letters(long(30_000))
    await discord.say(ann, channel, "long 30000")
    await discord.wait(lambda: letters("\n".join(texts(discord.messages(channel)))) == expected, 60)
    for text in texts(discord.messages(channel)):
        assert len(text) <= 2000
        assert text.count("```") % 2 == 0


async def test_nothing_a_model_writes_pings_or_acts(alive: World) -> None:
    discord = alive.discord
    ann, eve = discord.person("Ann"), discord.person("Eve")
    channel = discord.channel(discord.guild("Home", ann, eve), "general")
    await discord.say(
        ann, channel, f"{discord.mention} repeat: @everyone @here <@{eve.id}> <@&1> <b>bold</b>"
    )
    await discord.wait(lambda: any("everyone" in t for t in texts(discord.messages(channel))))
    answer = discord.messages(channel)[-1]
    assert not answer.mention_everyone
    assert not answer.mentions
    assert "bold" in answer.content


async def test_a_message_that_came_before_a_restart_is_answered_once(alive: World) -> None:
    discord, model = alive.discord, alive.model
    model.tokens_per_second = 20
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    text = "word " * 60
    await discord.say(ann, channel, f"repeat: {text}")
    await discord.wait(lambda: any("word" in t for t in texts(discord.messages(channel))))
    await alive.kill()
    model.tokens_per_second = 2000
    await alive.start()
    await discord.wait(lambda: texts(discord.messages(channel)) == [text.strip()], 20)


async def test_an_attachment_alone_is_refused_politely(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.dm(ann)
    await discord.send_file(ann, channel, "cat.png", b"\x89PNG", media_type="image/png")
    await discord.wait(lambda: any("cannot read" in t for t in texts(discord.messages(channel))))
    assert len(alive.model.requests) == 0


async def test_what_is_said_while_the_bot_is_away_is_answered_once_in_order(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel, private = discord.channel(discord.guild("Home", ann), "general"), discord.dm(ann)
    thread = discord.thread(channel, "aside")
    for place in (channel, private, thread):
        await discord.say(ann, place, f"{discord.mention} repeat: hello")
        await discord.wait(partial(says, alive, place, "hello"))
    await alive.stop()
    for place in (channel, private, thread):
        await discord.say(ann, place, f"{discord.mention} repeat: first")
        await discord.say(ann, place, "nobody asked the bot" if place is channel else "repeat: x")
        await discord.say(ann, place, f"{discord.mention} repeat: second")
    for _ in range(2):
        await alive.start()
        for place in (channel, private, thread):
            await discord.wait(partial(says, alive, place, "second"), 20)
        await alive.stop()
    assert texts(discord.messages(channel)) == ["hello", "first", "second"]
    assert texts(discord.messages(thread)) == ["hello", "first", "second"]
    assert texts(discord.messages(private)) == ["hello", "first", "x", "second"]


async def test_who_is_not_let_in_is_told_so_alone_and_shown_to_nobody(alive: World) -> None:
    discord = alive.discord
    ann, eve = discord.person("Ann"), discord.person("Eve")
    channel = discord.channel(discord.guild("Home", ann, eve), "general")
    store = Store(alive.settings().database_url)
    await store.write(conversations.grant, f"discord:person:{ann.id}", "member", "Ann")
    await store.close()
    await alive.stop()
    await alive.start(access="pairing")
    await discord.slash(ann, channel, "ask", prompt="repeat: for Ann")
    await discord.wait(lambda: says(alive, channel, "for Ann"))
    answer = next(m for m in discord.messages(channel) if m.content == "for Ann")
    before = discord.visible(channel, ann)
    button = next(one["custom_id"] for row in answer.components for one in row["components"])
    for done in (
        await discord.slash(eve, channel, "ask", prompt="[a bargain](https://example.org)"),
        await discord.slash(eve, channel, "model", name="phi-4"),
        await discord.press(eve, answer, button),
    ):
        await discord.wait(lambda done=done: done.responses)  # type: ignore[misc]
        (told,) = done.responses
        assert told.content == str(DeniedError())
        assert told.ephemeral_to == eve.id
    await discord.say(eve, channel, f"{discord.mention} hello")
    await discord.say(ann, channel, f"{discord.mention} repeat: still here")
    await discord.wait(lambda: says(alive, channel, "still here"))
    assert "bargain" not in discord.visible(channel, ann)
    assert discord.visible(channel, ann).startswith(before)
    assert len(alive.model.requests) == 2
