"""The settings and the model picker on Discord are cards, and plain messages where Discord knows no cards."""

from typing import Any

import pytest

from bots.sandbox.discord import Message
from bots.sandbox.discord.enums import ComponentType
from tests.end_to_end.chat_with_buttons import DEFAULT, NO_OPEN_TURN, ChatWithButtons
from tests.end_to_end.harness import Harness
from tests.end_to_end.spec_checks import spec_violations

CARD_FLAG = 1 << 15
PHI = "microsoft/phi-4"


async def open_card(chat: ChatWithButtons, command: str) -> Message:
    opened = await chat.server.use_command(chat.person, chat.chat, command)
    await chat.server.wait_for(lambda: bool(opened.responses and opened.responses[0].items), 30)
    card: Message = opened.responses[0]
    return card


async def choose(chat: ChatWithButtons, card: Message, label: str) -> None:
    """Select the item that begins so in any menu of the card, and wait until the card has changed."""
    before = card.text
    for menu in card.items:
        for option in menu.get("options", []):
            if option["label"].startswith(label):
                await chat.server.select_options(chat.person, card, menu["custom_id"], [option["value"]])
                await chat.server.wait_for(lambda: card.text != before, 30)
                return
    raise AssertionError(f"no item {label!r}")


def is_card(message: Message) -> bool:
    return bool(message.flags & CARD_FLAG) and message.content == ""


def models_on(card: Message) -> list[str]:
    """The models that can be chosen."""
    actions = (item["custom_id"].removeprefix("parley:") for item in card.items if "options" not in item)
    return [action.removeprefix("m:") for action in actions if action.startswith("m:")]


@pytest.mark.parametrize("others", [(), ("Bob",)])
async def test_settings_are_changed_on_one_card(harness: Harness, others: tuple[str, ...]) -> None:
    chat = ChatWithButtons(harness, "discord", others=others)
    card = await open_card(chat, "settings")
    assert is_card(card)
    assert "Effort: the model's default (none, low, medium or high)" in card.text
    await choose(chat, card, "high")
    assert card.text.startswith("Effort: high (")
    await choose(chat, card, "0.5")
    assert card.text.startswith("Temperature: 0.5 (")
    assert is_card(card)
    selected = [o["label"] for menu in card.items for o in menu.get("options", []) if o.get("default")]
    assert selected == ["0.5", "high", "on", *["off"] * len(others)]
    await chat.ask("repeat: x", "x")
    assert harness.model.requests[-1].body["temperature"] == 0.5
    assert not spec_violations(harness)


async def test_card_of_a_manager_shows_what_is_announced_beside_it(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    chat.person = chat.chat.guild.members[0]
    card = await open_card(chat, "settings")
    await choose(chat, card, "0.5")
    assert card.text.startswith("Temperature: 0.5 (this chat)")
    assert is_card(card)
    await harness.wait_until_stored(NO_OPEN_TURN)
    notice = chat.server.messages(chat.chat)[-1]
    assert notice.text == "Temperature: 0.5 (this chat)\nChanged by Owner for everyone here"
    assert notice.ephemeral_to is None
    card = await open_card(chat, "model")
    await choose(chat, card, "microsoft")
    await chat.server.press_button(chat.person, card, f"parley:m:{PHI}")
    await chat.server.wait_for(lambda: card.text.startswith("Model: **phi-4**"), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.server.messages(chat.chat)[-1].text.endswith("Changed by Owner for everyone here")
    assert not spec_violations(harness)


async def test_model_is_chosen_by_family_on_a_card(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    card = await open_card(chat, "model")
    assert is_card(card)
    head, *entries = card.text.splitlines()
    assert head.startswith(f"Model: **{DEFAULT}** (the default)")
    assert entries[0] == f"**{DEFAULT}** ← current", "the current model comes first"
    families = next(item["options"] for item in card.items if "options" in item)
    assert families[0]["default"]
    assert families[0]["label"].startswith("meta-llama · ")
    seen = {DEFAULT, *models_on(card)}
    for family in families[1:]:
        await choose(chat, card, family["label"])
        seen |= set(models_on(card))
    chat_models = [model for model in harness.model.models.values() if not model.is_embedding_model]
    assert {id_.rpartition("/")[2] for id_ in seen} == {model.name for model in chat_models}
    await choose(chat, card, "microsoft")
    assert "**Phi-4**\n16k · " in card.text.replace("phi-4", "Phi-4")
    await chat.server.press_button(chat.person, card, f"parley:m:{PHI}")
    await chat.server.wait_for(lambda: card.text.startswith("Model: **phi-4**"), 30)
    assert is_card(card), "a card never becomes another message"
    await chat.ask("repeat: x", "x")
    assert harness.model.requests[-1].body["model"] == PHI
    assert not spec_violations(harness)


async def test_card_marks_what_models_can(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    card = await open_card(chat, "model")
    await choose(chat, card, "deepseek-ai")
    lines = dict(zip(card.text.splitlines()[1::2], card.text.splitlines()[2::2], strict=False))
    reasons = {m.name for m in harness.model.models.values() if m.has_reasoning and m.family == "deepseek-ai"}
    assert {name.strip("*") for name, facts in lines.items() if "🧠 reasoning" in facts} == reasons
    assert all(facts.endswith("tokens left") for facts in lines.values())


async def test_old_card_works_after_a_restart(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    card = await open_card(chat, "settings")
    await harness.stop()
    await harness.start()
    await choose(chat, card, "low")
    assert card.text.startswith("Effort: low (")


async def test_refused_card_is_a_plain_message_and_no_card_follows(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    harness.discord.knows_cards = False
    plain = await open_card(chat, "settings")
    assert "Effort" in chat.buttons(plain)
    assert not plain.flags & CARD_FLAG
    await harness.wait_until_stored(NO_OPEN_TURN)
    harness.discord.calls.clear()
    assert not (await open_card(chat, "model")).flags & CARD_FLAG
    assert not [call for call in harness.discord.calls if has_card_flag(call.body)], "tried only once"


async def test_one_refused_card_ends_no_later_cards(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    assert is_card(await open_card(chat, "settings"))
    harness.discord.knows_cards = False
    assert not is_card(await open_card(chat, "settings"))
    harness.discord.knows_cards = True
    assert is_card(await open_card(chat, "settings"))


async def test_card_has_everything_in_one_container(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord")
    card = await open_card(chat, "model")
    await choose(chat, card, "deepseek-ai")
    [container] = card.components
    assert container["type"] == ComponentType.CONTAINER
    kinds = {component["type"] for component in container["components"]}
    assert {ComponentType.TEXT_DISPLAY, ComponentType.SECTION, ComponentType.ACTION_ROW} <= kinds


def has_card_flag(body: Any) -> bool:
    return isinstance(body, dict) and bool(int(body.get("flags") or 0) & CARD_FLAG)
