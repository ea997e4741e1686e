"""The button under an answer that sends its code and tables as files, on both platforms."""

from typing import Any

from bots.sandbox.discord.state import Message as DiscordMessage
from tests import api_specs
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.spec_checks import spec_violations

CODE = "\n".join(f"line_{number} = {number}" for number in range(61))
TABLE = "| Dish | Price |\n|---|---|\n" + "\n".join(f"| Eel {number} | {number} |" for number in range(8))
ANSWER = f"Two things.\n\n```python\n{CODE}\n```\n\n{TABLE}\n\nDone."


def labels(message: Any) -> dict[str, str]:
    """The actions of the buttons of a message of either platform, by label."""
    if isinstance(message, DiscordMessage):
        return {item["label"]: item["custom_id"] for item in message.items}
    return {button["text"]: button.get("callback_data", "") for button in message.buttons}


def with_button(messages: list[Any], label: str) -> Any:
    return next((message for message in messages if label in labels(message)), None)


async def test_files_are_sent_on_telegram(harness: Harness) -> None:
    telegram = harness.telegram
    ann, eve = telegram.create_user("Ann"), telegram.create_user("Eve")
    group = telegram.create_group("Friends", ann, eve)
    await telegram.send_message(ann, group, f"@{telegram.bot.username} repeat: {ANSWER}")
    answer = await telegram.wait_for(lambda: with_button(telegram.messages(group), "As files"), 20)
    action = labels(answer)["As files"]
    await telegram.press_button(eve, answer, action)
    await telegram.wait_for(
        lambda: any("belongs to somebody else" in t for t in bot_texts(telegram.messages(group))), 20
    )
    await telegram.press_button(ann, answer, action)
    await telegram.wait_for(lambda: len([m for m in telegram.messages(group) if m.file_name]) == 2, 20)
    code, table = (message for message in telegram.messages(group) if message.file_name)
    assert (code.file_name, table.file_name) == ("code-1.py", "table-2.csv")
    assert telegram.document_content(code).decode().rstrip() == CODE
    assert telegram.document_content(table).decode("utf-8-sig").startswith("Dish,Price\nEel 0,0\n")
    api_specs.require_specs()
    assert not spec_violations(harness)


async def test_files_are_sent_on_discord(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    await discord.send_message(ann, channel, f"{discord.mention} repeat: ```csv\na,b\n1,2\n```")
    answer = await discord.wait_for(lambda: with_button(discord.messages(channel), "As file"), 20)
    await discord.press_button(ann, answer, labels(answer)["As file"])
    await discord.wait_for(lambda: any(message.attachments for message in discord.messages(channel)), 20)
    sent = next(message for message in discord.messages(channel) if message.attachments)
    assert sent.attachments[0]["filename"] == "table.csv"
    assert discord.file_contents(sent) == [b"a,b\n1,2\n"]
    api_specs.require_specs()
    assert not spec_violations(harness)


async def test_plain_answer_has_no_button(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "repeat: ```python\nprint()\n```")
    await telegram.wait_for(lambda: with_button(telegram.messages(chat), "Retry"), 20)
    assert with_button(telegram.messages(chat), "As file") is None
