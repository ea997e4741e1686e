"""Buttons and menus: drawn as plain JSON, heard as discord.py's dynamic items.

The action is in the custom id (a menu's in its values), so a press is understood by any process
at any time, and nothing is kept in memory for it.
"""

import re
from typing import Protocol, runtime_checkable

import discord
from discord import ui

from core.port import Button, Option, Part

__all__ = ["PressedButton", "PressedMenu", "Presses", "rows"]

PREFIX = "parley:"
MENU = "parley-menu"
IN_A_ROW = 5
MOST_ROWS = 5
MOST_OPTIONS = 25


def rows(part: Part) -> list[dict[str, object]]:
    """The action rows of a message: the menu, then the buttons, five in a row."""
    drawn = []
    if part.menu:
        options = [_option(option) for option in part.menu[:MOST_OPTIONS]]
        select = {"type": 3, "custom_id": MENU, "options": options, "min_values": 1}
        drawn.append({"type": 1, "components": [select]})
    for start in range(0, len(part.buttons), IN_A_ROW):
        buttons = [_button(button) for button in part.buttons[start : start + IN_A_ROW]]
        drawn.append({"type": 1, "components": buttons})
    return drawn[:MOST_ROWS]


def _button(button: Button) -> dict[str, object]:
    return {
        "type": 2,
        "style": 4 if button.danger else 2,
        "label": button.label[:80],
        "custom_id": PREFIX + button.action,
    }


def _option(option: Option) -> dict[str, object]:
    drawn: dict[str, object] = {"label": option.label[:100], "value": option.action}
    if option.detail:
        drawn["description"] = option.detail[:100]
    if option.chosen:
        drawn["default"] = True
    return drawn


@runtime_checkable
class Presses(Protocol):
    """The client a press arrives at."""

    async def pressed(
        self, interaction: "discord.Interaction[discord.Client]", action: str
    ) -> None: ...


class PressedButton(ui.DynamicItem[ui.Button[ui.View]], template=re.escape(PREFIX) + "(?P<a>.+)"):
    @classmethod
    async def from_custom_id(
        cls,
        interaction: "discord.Interaction[discord.Client]",
        item: ui.Item[ui.View],
        match: re.Match[str],
        /,
    ) -> "PressedButton":
        if not isinstance(item, ui.Button):
            raise TypeError("not a button")
        return cls(item)

    async def callback(self, interaction: "discord.Interaction[discord.Client]") -> None:
        await _hand_on(interaction, self.custom_id.removeprefix(PREFIX))


class PressedMenu(ui.DynamicItem[ui.Select[ui.View]], template=re.escape(MENU)):
    @classmethod
    async def from_custom_id(
        cls,
        interaction: "discord.Interaction[discord.Client]",
        item: ui.Item[ui.View],
        match: re.Match[str],
        /,
    ) -> "PressedMenu":
        if not isinstance(item, ui.Select):
            raise TypeError("not a menu")
        return cls(item)

    async def callback(self, interaction: "discord.Interaction[discord.Client]") -> None:
        await _hand_on(interaction, self.item.values[0] if self.item.values else "")


async def _hand_on(interaction: "discord.Interaction[discord.Client]", action: str) -> None:
    client: object = interaction.client
    if isinstance(client, Presses):
        await client.pressed(interaction, action)
