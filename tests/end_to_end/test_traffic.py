"""One of everything, and every request and answer held against the APIs' descriptions."""

from tests import specs
from tests.end_to_end.traffic import complaints
from tests.end_to_end.world import World, texts


async def test_every_request_and_every_answer_fits_the_descriptions(alive: World) -> None:
    specs.required()
    telegram, discord = alive.telegram, alive.discord
    ann = telegram.person("Ann")
    own, forum = telegram.private(ann), telegram.forum("Forum", ann)
    topic = telegram.topic(forum, "topic")
    for text in ("think", "/model", "/models", "/help", "long 6000", "/usage", "/nonsense"):
        await telegram.say(ann, own, text)
    await telegram.send_sticker(ann, own)
    await telegram.say(ann, forum, f"@{telegram.bot.username} hello", thread=topic)
    await telegram.wait(
        lambda: any("scripted" in t.lower() for t in texts(telegram.messages(forum)))
    )
    await telegram.wait(lambda: any("sticker" in t for t in texts(telegram.messages(own))), 30)

    eve = discord.person("Eve")
    channel = discord.channel(discord.guild("Home", eve), "general")
    direct, thread = discord.dm(eve), discord.thread(channel, "aside")
    asked = [
        await discord.slash(eve, channel, name)
        for name in ("model", "models", "help", "usage", "settings", "new")
    ]
    await discord.slash(eve, channel, "ask", prompt="hello")
    await discord.autocomplete(eve, channel, "model", "name", "llama")
    await discord.say(eve, direct, "long 5000")
    await discord.say(eve, thread, f"{discord.mention} hello")
    await discord.wait(lambda: all(one.responses and one.responses[0].content for one in asked))
    await discord.wait(lambda: any("Retry" in str(m.components) for m in discord.messages(thread)))
    await discord.wait(
        lambda: any("Retry" in str(m.components) for m in discord.messages(direct)), 30
    )
    found = complaints(alive)
    assert not found, "\n".join(sorted(found))
