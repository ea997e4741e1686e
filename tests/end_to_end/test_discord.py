"""Conversations on Discord, end to end."""

from functools import partial
from typing import Any

from bots.sandbox.discord import Channel
from bots.sandbox.discord.state import MANAGE_CHANNELS
from bots.sandbox.model.script import long_document
from core.store import grants
from core.store.batches import MAX_JOINED_CHARS
from core.store.database import Store
from core.texts.answers import ACCESS_DENIED, NOT_YOUR_ANSWER
from tests.end_to_end.harness import Harness, bot_texts, letters_only

SERVER_MANAGERS_ONLY = "Only server managers can change this for everyone."
CHANGED_BY_BOB = "Temperature: 0.5 (this chat)\nChanged by Bob for everyone here"


def channel_shows(harness: Harness, channel: Channel, text: str) -> bool:
    return text in bot_texts(harness.discord.messages(channel))


async def test_mention_gets_growing_reply(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 20
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    text = "A growing answer. " * 12
    await discord.send_message(ann, channel, "nobody asked the bot")
    await discord.send_message(ann, channel, f"{discord.mention} repeat: {text}")
    await discord.wait_for(lambda: bot_texts(discord.messages(channel))[-1:] == [text.strip()], 15)
    (answer,) = [m for m in discord.messages(channel) if m.from_bot]
    assert len(answer.previous_texts) >= 2
    assert not answer.mentions
    await discord.wait_for(lambda: "Retry" in str(answer.components))
    assert "Stop" not in str(answer.components)
    assert len(model.requests) == 1


async def test_direct_message_needs_no_mention(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_message(ann, channel, "repeat: just us")
    await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == ["just us"])


async def test_ask_is_acknowledged_and_answered(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    asked = await discord.use_command(ann, channel, "ask", prompt="repeat: by command")
    await discord.wait_for(lambda: "by command" in bot_texts(discord.messages(channel)))
    assert asked.acknowledged_at is not None
    assert not asked.has_failed


async def test_ask_works_where_bot_is_not_member(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Elsewhere", ann, has_bot=False), "general")
    asked = await discord.use_command(ann, channel, "ask", is_user_installed=True, prompt="repeat: as a guest")
    await discord.wait_for(lambda: any("as a guest" in m.content for m in asked.responses))
    assert not asked.has_failed


async def test_thread_is_own_conversation(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    thread = discord.create_thread(channel, "aside")
    await discord.send_message(ann, channel, f"{discord.mention} repeat: outside")
    await discord.wait_for(lambda: "outside" in bot_texts(discord.messages(channel)))
    await discord.send_message(ann, thread, f"{discord.mention} repeat: inside")
    await discord.wait_for(lambda: "inside" in bot_texts(discord.messages(thread)))
    (question,) = [m["content"] for m in model.requests[-1].body["messages"][1:]]
    assert "> Title: aside\n" in question
    assert question.endswith("\n\nrepeat: inside")
    assert "outside" not in question


async def test_model_choice_is_per_channel(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann = discord.create_user("Ann")
    guild = discord.create_guild("Home", ann)
    one, two = discord.create_channel(guild, "one"), discord.create_channel(guild, "two")
    choices = await discord.autocomplete(ann, one, "model", "name", "phi")
    assert 1 <= len(choices) <= 25
    picked = next(c["value"] for c in choices if "phi-4" in c["name"])
    switched = await discord.use_command(ann, one, "model", name=picked)
    await discord.wait_for(lambda: any("Model: **phi-4**" in text for text in bot_texts(discord.messages(one))))
    assert all(m.ephemeral_to for m in switched.responses)
    for channel, expected in ((one, "microsoft/phi-4"), (two, "meta-llama/Llama-3.3-70B-Instruct")):
        await discord.send_message(ann, channel, f"{discord.mention} repeat: here")
        await discord.wait_for(partial(channel_shows, harness, channel, "here"))
        assert model.requests[-1].body["model"] == expected


async def test_picker_reaches_all_models(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    discord.knows_cards = False
    interaction = await discord.use_command(ann, channel, "model")
    await discord.wait_for(lambda: bool(interaction.responses and interaction.responses[-1].components))

    def items() -> list[dict[str, Any]]:
        rows = interaction.responses[-1].components
        return [item for row in rows for item in row["components"]]

    def menu() -> dict[str, str]:
        """Labels and actions."""
        [select] = [item for item in items() if "options" in item]
        assert len(select["options"]) <= 25
        return {option["label"]: option["value"] for option in select["options"]}

    families = {label: action for label, action in menu().items() if action.startswith("mf:")}
    sizes = {label: int(label.rpartition(" · ")[2].split()[0]) for label in families}
    assert sum(sizes.values()) == 30
    largest = max(sizes, key=lambda label: sizes[label])
    custom_id = next(item["custom_id"] for item in items() if "options" in item)
    await discord.select_options(ann, interaction.responses[-1], custom_id, [families[largest]])
    await discord.wait_for(lambda: len(menu()) == sizes[largest])
    assert all(action.startswith("m:") for action in menu().values())


async def test_stop_works_for_asker_and_retry_after_restart(
    harness: Harness,
) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 30
    ann, eve = discord.create_user("Ann"), discord.create_user("Eve")
    channel = discord.create_channel(discord.create_guild("Home", ann, eve), "general")

    def button(label: str) -> str | None:
        for message in reversed(discord.messages(channel)):
            for row in message.components:
                for item in row["components"]:
                    if item.get("label") == label:
                        return str(item["custom_id"])
        return None

    await discord.send_message(ann, channel, f"{discord.mention} long 5000")
    await discord.wait_for(lambda: bool(button("Stop") and "Section 1" in discord.messages(channel)[-1].content))
    answer = discord.messages(channel)[-1]
    refused = await discord.press_button(eve, answer, button("Stop") or "")
    await discord.wait_for(lambda: any(m.content == NOT_YOUR_ANSWER for m in refused.responses))
    assert len(model.requests) == 1
    await discord.press_button(ann, answer, button("Stop") or "")
    await model.wait_for(lambda: model.requests[0].disconnected_at)
    assert not model.requests[0].is_completed
    await discord.wait_for(lambda: "Stopped" in answer.content and button("Retry"))
    await harness.stop()
    model.tokens_per_second = 20_000
    await harness.start()
    await discord.press_button(ann, answer, button("Retry") or "")
    expected = letters_only(long_document(5000))

    def shown_answer() -> str:
        return letters_only("\n".join(text for text in bot_texts(discord.messages(channel)) if text != NOT_YOUR_ANSWER))

    await discord.wait_for(lambda: shown_answer() == expected, 30)


async def test_long_answer_keeps_fences(harness: Harness) -> None:
    await harness.stop()
    await harness.start(answer_messages=50)
    discord = harness.discord
    harness.model.tokens_per_second = 20_000
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    expected = letters_only(long_document(30_000))
    await discord.send_message(ann, channel, "long 30000")
    await discord.wait_for(lambda: letters_only("\n".join(bot_texts(discord.messages(channel)))) == expected, 60)
    for text in bot_texts(discord.messages(channel)):
        assert len(text) <= 2000
        assert text.count("```") % 2 == 0


async def test_model_output_never_pings(harness: Harness) -> None:
    discord = harness.discord
    ann, eve = discord.create_user("Ann"), discord.create_user("Eve")
    channel = discord.create_channel(discord.create_guild("Home", ann, eve), "general")
    await discord.send_message(ann, channel, f"{discord.mention} repeat: @everyone @here <@{eve.id}> <@&1> <b>bold</b>")
    await discord.wait_for(lambda: any("everyone" in t for t in bot_texts(discord.messages(channel))))
    answer = discord.messages(channel)[-1]
    assert not answer.mention_everyone
    assert not answer.mentions
    assert "bold" in answer.content


async def test_message_before_restart_is_answered_once(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    model.tokens_per_second = 20
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    text = "word " * 60
    await discord.send_message(ann, channel, f"repeat: {text}")
    await discord.wait_for(lambda: any("word" in t for t in bot_texts(discord.messages(channel))))
    await harness.kill()
    model.tokens_per_second = 2000
    await harness.start()
    await discord.wait_for(lambda: bot_texts(discord.messages(channel)) == [text.strip()], 20)


async def test_attachment_alone_is_refused(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.send_file(ann, channel, "cat.png", b"\x89PNG", media_type="image/png")
    await discord.wait_for(lambda: any("can't read this yet: photo" in t for t in bot_texts(discord.messages(channel))))
    assert len(harness.model.requests) == 0


async def test_messages_sent_while_offline_are_answered_in_order(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel, private = (
        discord.create_channel(discord.create_guild("Home", ann), "general"),
        discord.open_dm(ann),
    )
    thread = discord.create_thread(channel, "aside")
    for place in (channel, private, thread):
        await discord.send_message(ann, place, f"{discord.mention} repeat: hello")
        await discord.wait_for(partial(channel_shows, harness, place, "hello"))
    await harness.stop()
    long = f"repeat: {'x' * MAX_JOINED_CHARS}"  # not joined with the other question that waits
    for place in (channel, private, thread):
        await discord.send_message(ann, place, f"{discord.mention} repeat: first")
        await discord.send_message(ann, place, "nobody asked the bot" if place is channel else long)
        await discord.send_message(ann, place, f"{discord.mention} repeat: second")
    for _ in range(2):
        await harness.start()
        for place in (channel, private, thread):
            await discord.wait_for(partial(channel_shows, harness, place, "second"), 20)
        await harness.stop()
    assert bot_texts(discord.messages(channel)) == ["hello", "first", "second"]
    assert bot_texts(discord.messages(thread)) == ["hello", "first", "second"]
    assert bot_texts(discord.messages(private)) == ["hello", "first", "x" * MAX_JOINED_CHARS, "second"]


async def test_denied_user_gets_private_notice(harness: Harness) -> None:
    discord = harness.discord
    ann, eve = discord.create_user("Ann"), discord.create_user("Eve")
    channel = discord.create_channel(discord.create_guild("Home", ann, eve), "general")
    store = Store(harness.settings().core.database_url)
    await store.write(grants.grant, f"discord:person:{ann.id}", grants.Role.MEMBER, "Ann")
    await store.close()
    await harness.stop()
    await harness.start(access="pairing")
    await discord.use_command(ann, channel, "ask", prompt="repeat: for Ann")
    await discord.wait_for(lambda: channel_shows(harness, channel, "for Ann"))
    answer = next(m for m in discord.messages(channel) if m.content == "for Ann")
    before = discord.transcript(channel, ann)
    button = next(one["custom_id"] for row in answer.components for one in row["components"])
    for done in (
        await discord.use_command(eve, channel, "ask", prompt="[a bargain](https://example.org)"),
        await discord.use_command(eve, channel, "model", name="phi-4"),
        await discord.press_button(eve, answer, button),
    ):
        await discord.wait_for(lambda done=done: done.responses)  # type: ignore[misc]
        (response,) = done.responses
        assert response.content == ACCESS_DENIED
        assert response.ephemeral_to == eve.id
    assert await discord.autocomplete(eve, channel, "model", "name", "phi") == []
    assert await discord.autocomplete(ann, channel, "model", "name", "phi")
    await discord.send_message(eve, channel, f"{discord.mention} hello")
    await discord.send_message(ann, channel, f"{discord.mention} repeat: still here")
    await discord.wait_for(lambda: channel_shows(harness, channel, "still here"))
    assert "bargain" not in discord.transcript(channel, ann)
    assert discord.transcript(channel, ann).startswith(before)
    assert len(harness.model.requests) == 2


async def test_everybody_sees_that_the_instructions_changed(harness: Harness) -> None:
    discord = harness.discord
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    channel = discord.create_channel(discord.create_guild("Home", ann, bob), "general")
    await discord.use_command(ann, channel, "system", text="Be rude.")
    await discord.wait_for(lambda: "Changed by Ann for everyone here" in "".join(bot_texts(discord.messages(channel))))
    assert all(m.ephemeral_to is None for m in discord.messages(channel))


async def test_rights_of_channel_managers_end_at_their_channel(harness: Harness) -> None:
    discord = harness.discord
    ann, bob, carl = (discord.create_user(name) for name in ("Ann", "Bob", "Carl"))
    channel = discord.create_channel(discord.create_guild("Home", ann, bob, carl), "general")
    channel.granted_permissions[bob.id] = MANAGE_CHANNELS

    refused = await discord.use_command(bob, channel, "model", name="phi-4", scope="server")
    await discord.wait_for(lambda: [r.content for r in refused.responses] == [SERVER_MANAGERS_ONLY])
    assert refused.responses[0].ephemeral_to == bob.id
    changed = await discord.use_command(bob, channel, "settings", name="temperature", value="0.5")
    await discord.wait_for(lambda: channel_shows(harness, channel, CHANGED_BY_BOB))
    await discord.wait_for(lambda: not [r for r in changed.responses if not r.is_deleted])
    private = await discord.use_command(carl, channel, "settings", name="temperature", value="1")
    await discord.wait_for(
        lambda: [r.content for r in private.responses] == ["Temperature: 1 (your messages in this chat)"]
    )
    assert private.responses[0].ephemeral_to == carl.id
    await discord.use_command(ann, channel, "model", name="phi-4", scope="server")
    await discord.wait_for(lambda: "Changed by Ann for everyone on this server" in discord.transcript(channel, carl))
    await discord.send_message(bob, channel, f"{discord.mention} repeat: hello")
    await discord.wait_for(lambda: channel_shows(harness, channel, "hello"))
    request = harness.model.requests[-1].body
    assert (request["model"], request["temperature"]) == ("microsoft/phi-4", 0.5)
    assert "Temperature: 1" not in discord.transcript(channel, ann)


async def test_choice_for_everyone_in_a_private_menu_is_announced(harness: Harness) -> None:
    discord = harness.discord
    ann, bob = discord.create_user("Ann"), discord.create_user("Bob")
    channel = discord.create_channel(discord.create_guild("Home", ann, bob), "general")
    opened = await discord.use_command(ann, channel, "model")
    await discord.wait_for(lambda: opened.responses and opened.responses[0].components)
    (menu,) = opened.responses
    families = next(item for item in menu.items if "options" in item)
    await discord.select_options(ann, menu, families["custom_id"], [families["options"][1]["value"]])
    await discord.wait_for(lambda: any(item.get("label") == "Choose" for item in menu.items))
    choose = next(item for item in menu.items if item.get("label") == "Choose")
    await discord.press_button(ann, menu, choose["custom_id"])
    await discord.wait_for(lambda: "Changed by Ann for everyone here" in discord.transcript(channel, bob))
