"""Exercises every feature once and validates all requests and responses against the API descriptions."""

from tests import api_specs
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.inline_person import InlinePerson
from tests.end_to_end.spec_checks import spec_violations


async def test_traffic_matches_specs(harness: Harness) -> None:
    api_specs.require_specs()
    telegram, discord = harness.telegram, harness.discord
    ann = telegram.create_user("Ann")
    own, forum = telegram.open_private_chat(ann), telegram.create_forum("Forum", ann)
    topic = telegram.create_topic(forum, "topic")
    for text in ("think", "/model", "/models", "/help", "long 6000", "/usage", "long 30000", "/nonsense"):
        await telegram.send_message(ann, own, text)
    await telegram.send_sticker(ann, own)
    await telegram.send_message(ann, forum, f"@{telegram.bot.username} hello", thread=topic)
    await telegram.wait_for(lambda: any("scripted" in t.lower() for t in bot_texts(telegram.messages(forum))), 30)
    await telegram.wait_for(lambda: any("sticker" in t for t in bot_texts(telegram.messages(own))), 30)

    inline = InlinePerson(harness, "Ida")
    await inline.type("")
    placed = await inline.place("long 6000")
    await inline.wait_for(placed, "with bold words")
    await inline.summon("hello")
    await inline.wait_for_reply("Scripted")

    eve = discord.create_user("Eve")
    channel = discord.create_channel(discord.create_guild("Home", eve), "general")
    direct, thread = discord.open_dm(eve), discord.create_thread(channel, "aside")
    interactions = [
        await discord.use_command(eve, channel, name)
        for name in ("model", "models", "help", "usage", "settings", "new")
    ]
    await discord.use_command(eve, channel, "ask", prompt="hello")
    await discord.autocomplete(eve, channel, "model", "name", "llama")
    await discord.send_message(eve, direct, "long 5000")
    await discord.use_command(eve, direct, "usage")  # otherwise the two questions are joined
    await discord.send_message(eve, direct, "long 20000")
    await discord.use_command(eve, channel, "ask", prompt="long 20000")
    await discord.send_message(eve, thread, f"{discord.mention} hello")
    await discord.wait_for(
        lambda: all(
            each.responses and (each.responses[0].content or each.responses[0].components) for each in interactions
        )
    )
    await discord.wait_for(lambda: any("Retry" in str(m.components) for m in discord.messages(thread)), 30)
    await discord.wait_for(lambda: any(m.attachments for m in discord.messages(direct)), 30)
    await discord.wait_for(lambda: any(m.attachments for m in discord.messages(channel)), 30)
    await telegram.wait_for(lambda: telegram.calls_to("sendDocument"), 30)
    violations = spec_violations(harness)
    assert not violations, "\n".join(sorted(violations))
