"""/settings by buttons, all settings reset at once, and personas by a part of their name."""

from dataclasses import replace
from pathlib import Path

import pytest

from bots.sandbox.model import ModelStandIn
from core.buttons import ButtonAction, encode_action
from core.errors import DeliveryError, DeliveryFailure
from tests.core.commands.capable_adapter import CapableAdapter
from tests.core.turns.fake_adapter import TYPING, running_engine

pytestmark = pytest.mark.slow
PERSONAS = {"teacher": "You teach.", "Preacher": "You preach.", "pirate": "Arr."}


async def test_value_is_chosen_by_a_button(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.command("settings")
        panel = chat.actions
        text = await chat.answer_to_press(encode_action(ButtonAction.SHOW_SETTING, "effort"))
        assert text.startswith("Effort: the model's default. Change it with ")
        assert list(chat.actions) == ["none", "low", "medium", "high", "Reset", "Back"]
        low, reset, back = (chat.actions[label] for label in ("low", "Reset", "Back"))
        text = await chat.answer_to_press(low)
        assert text.startswith("Effort: low (this chat)\n\n")
        assert "- Effort: low (none, low, medium or high)" in text
        assert chat.actions == panel
        assert (await chat.answer_to_press(reset)).startswith("Effort reset (this chat)\n\n")
        assert (await chat.answer_to_press(back)).startswith("- Temperature: ")


@pytest.mark.parametrize(
    "action",
    [encode_action(ButtonAction.SHOW_SETTING, "tone"), encode_action(ButtonAction.SET_SETTING, "tone:warm")],
)
async def test_unknown_setting_shows_the_panel(tmp_path: Path, model: ModelStandIn, action: str) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.command("settings")
        assert (await chat.answer_to_press(action)).startswith("- Temperature: the model's default (0-2)\n")


async def test_all_settings_are_reset(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat):
        await chat.command("settings", "effort low")
        await chat.command("settings", "length 20")
        assert await chat.command("settings", "reset") == "All settings reset (this chat)"
        text = await chat.command("settings")
        assert "- Effort: the model's default " in text
        assert "- Length: 20 " not in text


async def test_persona_is_found_by_a_part_of_its_name(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat, personas=PERSONAS):
        assert await chat.command("persona", "EACH") == "Several personas match “EACH”. Choose one:"
        assert list(chat.actions) == ["teacher", "Preacher"]
        assert await chat.answer_to_press(chat.actions["Preacher"]) == "Persona: Preacher (this chat)"
        assert await chat.command("persona", "IRA") == "Persona: pirate (this chat)"


async def test_removed_persona_cannot_be_chosen(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    async with running_engine(tmp_path, model, chat, personas=PERSONAS):
        await chat.command("persona")
        text = await chat.answer_to_press(encode_action(ButtonAction.CHOOSE_PERSONA, "ninja"))
        assert text == "This persona no longer exists. See /persona."


@pytest.mark.parametrize(
    ("command", "action", "panel", "notice"),
    [
        ("settings", "sv:temperature:1", "\n- Temperature: 1 (0-2)\n", "Temperature: 1 (this chat)"),
        ("settings", "sv:share:on", "\n- Share: on (", "Share: on. Everyone here shares"),
        ("persona", "p:pirate", "- pirate ← current", "Persona: pirate (this chat)"),
        ("model", "m:microsoft/phi-4", "Model: **phi-4**", "Model: **phi-4**"),
    ],
)
async def test_panel_shows_what_is_announced_beside_it(
    tmp_path: Path, model: ModelStandIn, command: str, action: str, panel: str, notice: str
) -> None:
    chat = CapableAdapter()
    chat.group_capabilities = replace(TYPING, has_ephemeral_messages=True)
    chat.managers = {"5"}
    async with running_engine(tmp_path, model, chat, personas=PERSONAS):
        await chat.ask(f"/{command}", group="-7")
        (message,) = chat.messages
        await chat.press(action, message, group="-7")
        await chat.wait_until(lambda: panel in chat.messages[message])
        assert len(chat.messages) == 2
        assert chat.texts[-1].startswith(notice)
        assert chat.texts[-1].endswith("Changed by Ann for everyone here")
        assert [call.ephemeral for call in chat.calls if call.method == "send"][-1] is False
        await chat.press(action, "an unknown message", group="-7")
        await chat.wait_until(lambda: len(chat.messages) == 3)
        assert chat.texts[-1] == chat.texts[-2], "nothing is edited: only the notice"


async def test_announcement_is_sent_although_the_panel_is_gone(tmp_path: Path, model: ModelStandIn) -> None:
    chat = CapableAdapter()
    chat.group_capabilities = replace(TYPING, has_ephemeral_messages=True)
    chat.managers = {"5"}
    async with running_engine(tmp_path, model, chat):
        await chat.ask("/settings", group="-7")
        chat.fail_next("edit", DeliveryError("gone", DeliveryFailure.GONE))
        await chat.press("sv:temperature:1", next(iter(chat.messages)), group="-7")
        await chat.wait_for_states("done", "done")
        assert chat.texts[1:] == ["Temperature: 1 (this chat)\nChanged by Ann for everyone here"]
