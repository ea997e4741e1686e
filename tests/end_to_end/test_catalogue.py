"""Every model of the vendor's table, listed and chosen on both platforms."""

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
from tests.end_to_end.world import World, texts, world

EMBEDS = "mixedbread-ai/mxbai-embed-large-v1"
SEES = Model("Qwen/Qwen2.5-VL-32B-Instruct", 32_000, vision=True, daily_quota=200_000)


PEOPLE = 10
MANY = {"messages_a_minute": 1000}


@pytest.fixture
async def alive(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await made.start(**MANY)
        yield made


def last(alive: World, chat: Chat) -> str:
    return (texts(alive.telegram.messages(chat)) or [""])[-1]


def told(alive: World, chat: Chat, text: str, *, whole: bool = False) -> bool:
    """Whether the bot's last message has `text` in it, or is it."""
    return last(alive, chat) == text if whole else text in last(alive, chat)


def offered(alive: World) -> list[Model]:
    found = [model for model in alive.model.models.values() if not model.embeds]
    assert len(found) == 30
    return found


def listed(model: Model, text: str) -> bool:
    """Its name, window, whether it reasons, and what is left of its quota."""
    reasons = " · reasons" if model.reasons else ""
    line = rf"{re.escape(model.name)} · {model.context // 1000}k{reasons} · 500k tokens left"
    return re.search(line, text) is not None


def buttons(message: TelegramMessage) -> dict[str, str]:
    rows = (message.reply_markup or {}).get("inline_keyboard", [])
    return {button["text"]: button["callback_data"] for row in rows for button in row}


def drawn(components: list[dict[str, Any]]) -> dict[str, str]:
    items = [item for row in components for item in row["components"]]
    return {item["label"]: item["custom_id"] for item in items if "label" in item}


async def test_all_models_are_on_the_pages_in_telegram_after_a_restart_too(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    await telegram.say(ann, chat, "/models")
    await telegram.wait(lambda: "31 models; quotas begin anew in" in last(alive, chat))
    message = telegram.messages(chat)[-1]
    seen = message.text
    for number in (2, 3):
        if number == 3:
            await alive.stop()
            await alive.start(**MANY)
        polls = alive.polls()
        await telegram.press(ann, message, buttons(message)["▶"])
        await telegram.wait(lambda n=number: f"{n}/3" in buttons(message))  # type: ignore[misc]
        await telegram.wait(lambda n=polls: alive.polls() > n)  # type: ignore[misc]
        seen += "\n" + message.text
    assert [model.id for model in offered(alive) if not listed(model, seen)] == []
    assert "mxbai-embed-large-v1 · 512 · embeddings only · 500k tokens left" in seen
    assert seen.count("← here") == 1
    await telegram.press(ann, message, buttons(message)["◀"])
    await telegram.wait(lambda: "2/3" in buttons(message))
    assert len(texts(telegram.messages(chat))) == 1, "the page is turned in its place"


async def test_all_models_are_on_the_pages_in_discord(alive: World) -> None:
    discord = alive.discord
    ann = discord.person("Ann")
    channel = discord.channel(discord.guild("Home", ann), "general")
    shown = await discord.slash(ann, channel, "models")
    await discord.wait(lambda: bool(shown.responses and shown.responses[-1].components))
    seen = shown.responses[-1].content
    for number in (2, 3):
        message = shown.responses[-1]
        await discord.press(ann, message, drawn(message.components)["▶"])
        await discord.wait(lambda n=number: f"{n}/3" in drawn(shown.responses[-1].components))  # type: ignore[misc]
        seen += "\n" + shown.responses[-1].content
    assert [model.id for model in offered(alive) if not listed(model, seen)] == []
    assert "embeddings only" in seen
    assert len(shown.responses) == 1
    assert shown.responses[0].ephemeral_to == ann.id


async def test_a_search_keeps_to_itself_on_its_pages(alive: World) -> None:
    telegram = alive.telegram
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    for number in range(12):
        alive.model.appear(Model(f"lab/{{fancy}}-{number:02}", 32_000, daily_quota=500_000))
    alive.model.appear(SEES)
    await alive.stop()
    await alive.start(**MANY)
    await telegram.say(ann, chat, "/models {fancy} lab")
    await telegram.wait(lambda: "12 models" in last(alive, chat))
    assert not buttons(telegram.messages(chat)[-1])
    await telegram.say(ann, chat, "/models a")
    await telegram.wait(lambda: "▶" in buttons(telegram.messages(chat)[-1]))
    message = telegram.messages(chat)[-1]
    before = message.text
    count = re.match(r"(\d+) models", before)
    assert count is not None
    await telegram.press(ann, message, buttons(message)["▶"])
    await telegram.wait(lambda: message.text != before)
    assert message.text.startswith(count[0]), "the next page is of the same search"
    await telegram.say(ann, chat, "/models qwen vl")
    await telegram.wait(lambda: "Qwen2.5-VL" in last(alive, chat))
    line = "Qwen2.5-VL-32B-Instruct · 32k · sees images"
    assert line in last(alive, chat)
    await telegram.say(ann, chat, "/models no such thing")
    await telegram.wait(lambda: "No model's name has “no such thing” in it." in last(alive, chat))


async def test_each_model_can_be_chosen_in_telegram_and_answers(alive: World) -> None:
    telegram = alive.telegram

    async def choose(person: int, models: list[Model]) -> None:
        ann = telegram.person(f"Ann {person}")
        chat = telegram.private(ann)
        for one in models:
            await telegram.say(ann, chat, f"/model {one.id}")
            said = f"{one.name} ({one.context // 1000}k tokens) answers"
            await telegram.wait(partial(told, alive, chat, said), 30)
            await telegram.say(ann, chat, f"repeat: {one.name}")
            await telegram.wait(partial(told, alive, chat, one.name, whole=True), 30)

    every = offered(alive)
    await asyncio.gather(*(choose(n, every[n::PEOPLE]) for n in range(PEOPLE)))
    assert asked(alive) == {f"repeat: {one.name}": one.id for one in every}


async def test_each_model_is_suggested_and_can_be_chosen_in_discord_and_answers(
    alive: World,
) -> None:
    discord = alive.discord

    async def choose(person: int, models: list[Model]) -> None:
        ann = discord.person(f"Ann {person}")
        channel = discord.dm(ann)

        async def suggested(typed: str) -> list[str]:
            found = await discord.autocomplete(ann, channel, "model", "name", typed)
            return [choice["value"] for choice in found]

        assert len(await suggested("")) == 25, "more than Discord shows at once"
        for one in models:
            exact = await suggested(one.name)
            assert exact[0] == one.id, "the whole name comes first"
            # A few letters are enough, as somebody types them who knows the name roughly.
            assert one.id in await suggested(one.name[:6].lower())
            assert one.id in await suggested(one.name[:6].replace("-", " "))
            chosen = await discord.slash(ann, channel, "model", name=exact[0])
            said = f"{one.name}** ({one.context // 1000}k tokens)"
            await discord.wait(partial(answered, chosen, said), 30)
            await discord.say(ann, channel, f"repeat: {one.name}")
            await discord.wait(says(alive, channel, one.name), 30)

    every = offered(alive)
    await asyncio.gather(*(choose(n, every[n::PEOPLE]) for n in range(PEOPLE)))
    assert asked(alive) == {f"repeat: {one.name}": one.id for one in every}


def asked(alive: World) -> dict[str, str]:
    """Which model each question went to."""
    bodies = [request.body for request in alive.model.requests]
    return {body["messages"][-1]["content"]: body["model"] for body in bodies}


def answered(interaction: Interaction, text: str) -> bool:
    return any(text in message.content for message in interaction.responses)


def says(alive: World, channel: Any, text: str) -> Callable[[], bool]:
    return lambda: text in texts(alive.discord.messages(channel))


async def test_the_embedding_model_cannot_be_chosen_and_it_is_said_why(alive: World) -> None:
    telegram, discord = alive.telegram, alive.discord
    ann = telegram.person("Ann")
    chat = telegram.private(ann)
    said = "mxbai-embed-large-v1 is for embeddings only"
    for query in (EMBEDS, "mxbai"):
        await telegram.say(ann, chat, f"/model {query}")
        await telegram.wait(lambda: said in last(alive, chat))
        await telegram.say(ann, chat, "repeat: still there")
        await telegram.wait(lambda: last(alive, chat) == "still there")
        assert alive.model.requests[-1].body["model"] == "meta-llama/Llama-3.3-70B-Instruct"
    bob = discord.person("Bob")
    channel = discord.dm(bob)
    assert EMBEDS not in str(await discord.autocomplete(bob, channel, "model", "name", "mxbai"))
    refused = await discord.slash(bob, channel, "model", name=EMBEDS)
    await discord.wait(partial(answered, refused, said))
