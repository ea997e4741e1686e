"""Buttons and menus: drawn as plain JSON, heard as discord.py's dynamic items.

The action is in the custom id (a menu's in its values), so a press is understood by any process
at any time, and nothing is kept in memory for it.
"""

import re
from typing import Protocol, runtime_checkable

import discord
from discord import ui

from core.port import Button, MenuItem, Part

__all__ = ["PressedButton", "PressedMenu", "SupportsButtons", "action_rows"]

CUSTOM_ID_PREFIX = "parley:"
MENU_CUSTOM_ID = "parley-menu"
MAX_BUTTONS_PER_ROW = 5
MAX_ROWS = 5
MAX_SELECT_OPTIONS = 25


def action_rows(part: Part) -> list[dict[str, object]]:
    """The action rows of a message: the menu, then the buttons, five in a row."""
    components = []
    if part.menu:
        options = [_select_option(option) for option in part.menu[:MAX_SELECT_OPTIONS]]
        select = {"type": 3, "custom_id": MENU_CUSTOM_ID, "options": options, "min_values": 1}
        components.append({"type": 1, "components": [select]})
    for start in range(0, len(part.buttons), MAX_BUTTONS_PER_ROW):
        buttons = [_button(button) for button in part.buttons[start : start + MAX_BUTTONS_PER_ROW]]
        components.append({"type": 1, "components": buttons})
    return components[:MAX_ROWS]


def _button(button: Button) -> dict[str, object]:
    return {
        "type": 2,
        "style": 4 if button.danger else 2,
        "label": button.label[:80],
        "custom_id": CUSTOM_ID_PREFIX + button.action,
    }


def _select_option(item: MenuItem) -> dict[str, object]:
    payload: dict[str, object] = {"label": item.label[:100], "value": item.action}
    if item.description:
        payload["description"] = item.description[:100]
    if item.is_selected:
        payload["default"] = True
    return payload


@runtime_checkable
class SupportsButtons(Protocol):
    """The client a press arrives at."""

    async def handle_button(self, interaction: "discord.Interaction[discord.Client]", action: str) -> None: ...


class PressedButton(ui.DynamicItem[ui.Button[ui.View]], template=re.escape(CUSTOM_ID_PREFIX) + "(?P<a>.+)"):
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
        await _forward(interaction, self.custom_id.removeprefix(CUSTOM_ID_PREFIX))


class PressedMenu(ui.DynamicItem[ui.Select[ui.View]], template=re.escape(MENU_CUSTOM_ID)):
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
        await _forward(interaction, self.item.values[0] if self.item.values else "")


async def _forward(interaction: "discord.Interaction[discord.Client]", action: str) -> None:
    client: object = interaction.client
    if isinstance(client, SupportsButtons):
        await client.handle_button(interaction, action)
