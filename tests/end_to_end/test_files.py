"""Files that a question is about without being sent with it."""

from tests.core.memory.files import pdf
from tests.end_to_end.world import World, texts

MENU = "Dinner: on Friday the canteen serves smoked eel with horseradish."
QUESTION = "repeat: What does the canteen serve on Friday?"
ANSWER = "What does the canteen serve on Friday?"


def shown(alive: World) -> str:
    """What the model was shown before the question."""
    return str(alive.model.requests[-1].body["messages"][0]["content"])


async def test_a_reply_asks_about_a_file_in_a_telegram_group(alive: World) -> None:
    telegram = alive.telegram
    ann, bob = telegram.person("Ann"), telegram.person("Bob")
    group = telegram.group("Friends", ann, bob)
    sent = await telegram.send_document(ann, group, "menu.txt", MENU.encode())
    mention = f"@{telegram.bot.username}"
    await telegram.say(bob, group, f"{mention} {QUESTION}", reply_to=sent)
    await telegram.wait(lambda: ANSWER in " ".join(texts(telegram.messages(group))))
    assert "smoked eel" in shown(alive)
    assert "Looked into menu.txt" in texts(telegram.messages(group))[-1]
    await telegram.say(ann, group, f"{mention} {QUESTION}")
    await telegram.wait(lambda: len(alive.model.requests) == 2)
    assert "smoked eel" not in shown(alive), "it was read for who asked alone"


async def test_a_reply_to_what_is_no_text_is_answered_without_it(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    photo = await telegram.send_photo(ann, chat)
    await telegram.wait(lambda: "a photo" in " ".join(texts(telegram.messages(chat))))
    await telegram.say(ann, chat, "repeat: never mind", reply_to=photo)
    await telegram.wait(lambda: texts(telegram.messages(chat))[-1] == "never mind")


async def test_a_reply_asks_about_a_file_on_discord(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    sent = await discord.send_file(ann, channel, "menu.pdf", pdf([MENU]))
    await discord.say(ann, channel, f"{discord.mention} {QUESTION}", reply_to=sent)
    said = "Looked into menu.pdf"
    await discord.wait(lambda: any(said in t for t in texts(discord.messages(channel))), 20)
    assert any(ANSWER in t for t in texts(discord.messages(channel)))
    assert "smoked eel" in shown(alive)


async def test_a_files_name_is_shown_as_it_is_under_the_answer(alive: World) -> None:
    """In Discord what stands between underscores is formatted."""
    discord, telegram = alive.discord, alive.telegram
    ann = discord.person("Ann")
    dm = discord.dm(ann)
    await discord.send_file(ann, dm, "__init__ (1).py", b"LIGHTHOUSE = 'lit'", text=QUESTION)
    await discord.wait(lambda: any("Looked into" in t for t in texts(discord.messages(dm))), 20)
    assert any(r"Looked into \_\_init\_\_ (1).py" in t for t in texts(discord.messages(dm)))
    bob = telegram.person("Bob")
    chat = telegram.private(bob)
    await telegram.send_document(bob, chat, "__init__ (1).py", b"LAMP = 1", caption=QUESTION)
    said = "Looked into __init__ (1).py"
    await telegram.wait(lambda: any(said in t for t in texts(telegram.messages(chat))))


async def test_a_file_comes_with_the_ask_command_on_discord(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    file = discord.upload("menu.pdf", pdf([MENU]), "application/pdf")
    asked = await discord.slash(ann, channel, "ask", prompt=QUESTION, file=file)
    said = "Looked into menu.pdf"
    await discord.wait(lambda: any(said in t for t in texts(discord.messages(channel))), 20)
    assert any(ANSWER in t for t in texts(discord.messages(channel)))
    assert "smoked eel" in shown(alive)
    assert not asked.failed
    broken = discord.upload("photo.zip", b"PK\x03\x04" + bytes(range(256)))
    await discord.slash(ann, channel, "ask", prompt=QUESTION, file=broken)
    refused = "is not a kind of file I read"
    await discord.wait(lambda: any(refused in t for t in texts(discord.messages(channel))), 20)
    assert len(alive.model.requests) == 1
