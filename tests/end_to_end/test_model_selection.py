"""Every model of the built-in table is listed and can be chosen on both platforms."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bots.sandbox.discord import Interaction
from bots.sandbox.telegram import Chat
from bots.sandbox.telegram import Message as TelegramMessage
from core.api.catalogue import Model
from tests.end_to_end.harness import Harness, bot_texts, running_harness

EMBEDS = "mixedbread-ai/mxbai-embed-large-v1"
SEES = Model("Qwen/Qwen2.5-VL-32B-Instruct", 32_000, has_vision=True, daily_quota=200_000)


PEOPLE = 10
MANY = {"messages_a_minute": 1000}


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with running_harness(tmp_path) as harness:
        await harness.start(**MANY)
        yield harness


def last_text(harness: Harness, chat: Chat) -> str:
    return (bot_texts(harness.telegram.messages(chat)) or [""])[-1]


def shows_text(harness: Harness, chat: Chat, text: str, *, is_exact: bool = False) -> bool:
    """Whether the bot's latest message contains `text`."""
    return last_text(harness, chat) == text if is_exact else text in last_text(harness, chat)


def chat_models(harness: Harness) -> list[Model]:
    models = [model for model in harness.model.models.values() if not model.is_embedding_model]
    assert len(models) == 30
    return models


def lists_model(model: Model, text: str) -> bool:
    """The line of `/models` for a model."""
    reasons = " · reasoning" if model.has_reasoning else ""
    line = rf"{re.escape(model.name)} · {model.context_window // 1000}k{reasons} · 500k tokens left"
    return re.search(line, text) is not None


def buttons(message: TelegramMessage) -> dict[str, str]:
    rows = (message.reply_markup or {}).get("inline_keyboard", [])
    return {button["text"]: button["callback_data"] for row in rows for button in row}


def components_by_label(components: list[dict[str, Any]]) -> dict[str, str]:
    items = [item for row in components for item in row["components"]]
    return {item["label"]: item["custom_id"] for item in items if "label" in item}


async def test_telegram_pages_list_all_models(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    await telegram.send_message(ann, chat, "/models")
    await telegram.wait_for(lambda: "31 models. Quotas reset in" in last_text(harness, chat))
    message = telegram.messages(chat)[-1]
    seen = message.text
    for number in (2, 3):
        if number == 3:
            await harness.stop()
            await harness.start(**MANY)
        polls = harness.poll_count()
        await telegram.press_button(ann, message, buttons(message)["▶"])
        await telegram.wait_for(lambda n=number: f"{n}/3" in buttons(message))  # type: ignore[misc]
        await telegram.wait_for(lambda n=polls: harness.poll_count() > n)  # type: ignore[misc]
        seen += "\n" + message.text
    assert [model.id for model in chat_models(harness) if not lists_model(model, seen)] == []
    assert "mxbai-embed-large-v1 · 512 · embeddings only · 500k tokens left" in seen
    assert seen.count("← current") == 1
    await telegram.press_button(ann, message, buttons(message)["◀"])
    await telegram.wait_for(lambda: "2/3" in buttons(message))
    assert len(bot_texts(telegram.messages(chat))) == 1, "the page is turned in its place"


async def test_discord_pages_list_all_models(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", ann), "general")
    interaction = await discord.use_command(ann, channel, "models")
    await discord.wait_for(lambda: bool(interaction.responses and interaction.responses[-1].components))
    seen = interaction.responses[-1].content
    for number in (2, 3):
        message = interaction.responses[-1]
        await discord.press_button(ann, message, components_by_label(message.components)["▶"])
        await discord.wait_for(
            lambda n=number: f"{n}/3" in components_by_label(interaction.responses[-1].components)  # type: ignore[misc]
        )
        seen += "\n" + interaction.responses[-1].content
    assert [model.id for model in chat_models(harness) if not lists_model(model, seen)] == []
    assert "embeddings only" in seen
    assert len(interaction.responses) == 1
    assert interaction.responses[0].ephemeral_to == ann.id


async def test_search_pages_keep_query(harness: Harness) -> None:
    telegram = harness.telegram
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    for number in range(12):
        harness.model.add_model(Model(f"lab/{{fancy}}-{number:02}", 32_000, daily_quota=500_000))
    harness.model.add_model(SEES)
    await harness.stop()
    await harness.start(**MANY)
    await telegram.send_message(ann, chat, "/models {fancy} lab")
    await telegram.wait_for(lambda: "12 models" in last_text(harness, chat))
    assert not buttons(telegram.messages(chat)[-1])
    await telegram.send_message(ann, chat, "/models a")
    await telegram.wait_for(lambda: "▶" in buttons(telegram.messages(chat)[-1]))
    message = telegram.messages(chat)[-1]
    before = message.text
    count = re.match(r"(\d+) models", before)
    assert count is not None
    await telegram.press_button(ann, message, buttons(message)["▶"])
    await telegram.wait_for(lambda: message.text != before)
    assert message.text.startswith(count[0]), "the next page is of the same search"
    await telegram.send_message(ann, chat, "/models qwen vl")
    await telegram.wait_for(lambda: "Qwen2.5-VL" in last_text(harness, chat))
    line = "Qwen2.5-VL-32B-Instruct · 32k · pictures"
    assert line in last_text(harness, chat)
    await telegram.send_message(ann, chat, "/models no such thing")
    await telegram.wait_for(lambda: "No model matches “no such thing”." in last_text(harness, chat))


async def test_each_model_answers_on_telegram(harness: Harness) -> None:
    telegram = harness.telegram

    async def choose(person: int, models: list[Model]) -> None:
        ann = telegram.create_user(f"Ann {person}")
        chat = telegram.open_private_chat(ann)
        for model in models:
            await telegram.send_message(ann, chat, f"/model {model.id}")
            expected = f"Model: {model.name}, {model.context_window // 1000}k tokens"
            await telegram.wait_for(partial(shows_text, harness, chat, expected), 30)
            await telegram.send_message(ann, chat, f"repeat: {model.name}")
            await telegram.wait_for(partial(shows_text, harness, chat, model.name, is_exact=True), 30)

    every = chat_models(harness)
    await asyncio.gather(*(choose(n, every[n::PEOPLE]) for n in range(PEOPLE)))
    assert models_by_prompt(harness) == {f"repeat: {model.name}": model.id for model in every}


async def test_each_model_answers_on_discord(
    harness: Harness,
) -> None:
    discord = harness.discord

    async def choose(person: int, models: list[Model]) -> None:
        ann = discord.create_user(f"Ann {person}")
        channel = discord.open_dm(ann)

        async def suggested(typed: str) -> list[str]:
            choices = await discord.autocomplete(ann, channel, "model", "name", typed)
            return [choice["value"] for choice in choices]

        assert len(await suggested("")) == 25, "more than Discord shows at once"
        for model in models:
            exact = await suggested(model.name)
            assert exact[0] == model.id, "the exact name comes first"
            # A few letters are enough for someone who roughly knows the name.
            assert model.id in await suggested(model.name[:6].lower())
            assert model.id in await suggested(model.name[:6].replace("-", " "))
            chosen = await discord.use_command(ann, channel, "model", name=exact[0])
            expected = f"Model: **{model.name}**, {model.context_window // 1000}k tokens"
            await discord.wait_for(partial(has_response, chosen, expected), 30)
            await discord.send_message(ann, channel, f"repeat: {model.name}")
            await discord.wait_for(channel_shows(harness, channel, model.name), 30)

    every = chat_models(harness)
    await asyncio.gather(*(choose(n, every[n::PEOPLE]) for n in range(PEOPLE)))
    assert models_by_prompt(harness) == {f"repeat: {model.name}": model.id for model in every}


def models_by_prompt(harness: Harness) -> dict[str, str]:
    """The model of each request."""
    bodies = [request.body for request in harness.model.requests]
    return {body["messages"][-1]["content"]: body["model"] for body in bodies}


def has_response(interaction: Interaction, text: str) -> bool:
    return any(text in message.content for message in interaction.responses)


def channel_shows(harness: Harness, channel: Any, text: str) -> Callable[[], bool]:
    return lambda: text in bot_texts(harness.discord.messages(channel))


async def test_embedding_model_choice_is_refused(harness: Harness) -> None:
    telegram, discord = harness.telegram, harness.discord
    ann = telegram.create_user("Ann")
    chat = telegram.open_private_chat(ann)
    expected = "mxbai-embed-large-v1 only searches notes and files"
    for query in (EMBEDS, "mxbai"):
        await telegram.send_message(ann, chat, f"/model {query}")
        await telegram.wait_for(lambda: expected in last_text(harness, chat))
        await telegram.send_message(ann, chat, "repeat: still there")
        await telegram.wait_for(lambda: last_text(harness, chat) == "still there")
        assert harness.model.requests[-1].body["model"] == "meta-llama/Llama-3.3-70B-Instruct"
    bob = discord.create_user("Bob")
    channel = discord.open_dm(bob)
    assert EMBEDS not in str(await discord.autocomplete(bob, channel, "model", "name", "mxbai"))
    refused = await discord.use_command(bob, channel, "model", name=EMBEDS)
    await discord.wait_for(partial(has_response, refused, expected))
