"""The bot's texts on Discord name commands as mentions, which a click starts in every language; a model's do not."""

import re

import pytest

from bots.discord.dialect import MAX_MESSAGE_CHARS
from bots.sandbox.discord import Channel, DiscordStandIn, Message, User
from core.i18n.translation import LANGUAGES
from tests.end_to_end.harness import Harness, bot_texts

MENTION = re.compile(r"</([a-z]+):(\d+)>")


def create_channel(discord: DiscordStandIn) -> tuple[User, Channel]:
    owner, ann = discord.create_user("Owner"), discord.create_user("Ann")
    return ann, discord.create_channel(discord.create_guild("Home", owner, ann), "general")


def contents(messages: list[Message]) -> list[str]:
    """What the bot sent, before clients show it."""
    return [message.content for message in messages if message.from_bot]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_help_can_be_clicked_in_every_language(harness: Harness, language: str) -> None:
    discord = harness.discord
    ann, channel = create_channel(discord)
    ann.locale = {"pt": "pt-BR", "es": "es-ES", "zh": "zh-CN", "en": "en-US"}.get(language, language)
    interaction = await discord.use_command(ann, channel, "help")
    await discord.wait_for(lambda: any("/language" in response.text for response in interaction.responses), 10)
    await harness.wait_until_stored("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)")
    sent = [response.content for response in interaction.responses]
    assert max(map(len, sent)) <= MAX_MESSAGE_CHARS
    ids = {command["name"]: command["id"] for command in discord.commands}
    mentioned = dict(MENTION.findall("".join(sent)))
    assert mentioned == {name: ids[name] for name in mentioned}
    assert mentioned.keys() == {command["name"] for command in discord.commands if command["type"] == 1}
    assert not re.search(r"`/", "".join(sent)), "a mention in code could not be clicked"


async def test_arguments_in_code_follow_the_mention(harness: Harness) -> None:
    discord = harness.discord
    ann, channel = create_channel(discord)
    interaction = await discord.use_command(ann, channel, "help", command="model")
    await discord.wait_for(lambda: interaction.responses and "/model" in interaction.responses[-1].text, 10)
    [sent] = [response.content for response in interaction.responses]
    [model_id] = [command["id"] for command in discord.commands if command["name"] == "model"]
    assert sent.startswith(f"</model:{model_id}> `[NAME] [here|me|chat|server]`\n")
    assert sent.endswith(f"Example: </model:{model_id}> `llama-3.3 me`")


async def test_model_names_no_command_that_can_be_clicked(harness: Harness) -> None:
    """Neither by chance nor because somebody told it to."""
    discord = harness.discord
    ann, channel = create_channel(discord)
    await discord.use_command(ann, channel, "usage")  # the commands are registered
    text = "Use /model or `/model x` or \\</model:1>."  # the client would read it without the backslash
    await discord.send_message(ann, channel, f"{discord.mention} repeat: {text}")
    await discord.wait_for(lambda: text in contents(discord.messages(channel)), 10)


async def test_quoted_notice_names_the_command(harness: Harness) -> None:
    discord, model = harness.discord, harness.model
    ann = discord.create_user("Ann")
    channel = discord.open_dm(ann)
    await discord.use_command(ann, channel, "start")
    await discord.wait_for(lambda: any("/help" in text for text in bot_texts(discord.messages(channel))), 10)
    notice = next(message for message in discord.messages(channel) if "</help:" in message.content)
    await discord.send_message(ann, channel, "repeat: what is that?", reply_to=notice)
    await discord.wait_for(lambda: "what is that?" in bot_texts(discord.messages(channel)), 10)
    prompt = str(model.requests[-1].body["messages"][-1]["content"])
    assert "with /help." in prompt
    assert "</" not in prompt
