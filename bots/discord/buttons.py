"""Buttons and select menus: sent as plain JSON, received as discord.py's dynamic items.

A button's custom ID, or a menu's value, contains the action. Any process can therefore handle a press
at any time, without state in memory.
"""

import re
from typing import Protocol, runtime_checkable

import discord
from discord import ui

from bots.discord.translate import Interaction
from core.port import Button, MenuItem, Part

CUSTOM_ID_PREFIX = "parley:"
MENU_CUSTOM_ID = "parley-menu"
MAX_BUTTONS_PER_ROW = 5
MAX_ROWS = 5
MAX_SELECT_OPTIONS = 25
MAX_BUTTON_LABEL_CHARS = 80
MAX_OPTION_CHARS = 100


def action_rows(part: Part) -> list[dict[str, object]]:
    """The action rows of a message: the menu, then the buttons."""
    rows: list[list[dict[str, object]]] = []
    if part.menu:
        options = [_select_option(item) for item in part.menu[:MAX_SELECT_OPTIONS]]
        select = discord.ComponentType.select.value
        rows.append([{"type": select, "custom_id": MENU_CUSTOM_ID, "options": options, "min_values": 1}])
    buttons = [_button(button) for button in part.buttons]
    rows += [buttons[start : start + MAX_BUTTONS_PER_ROW] for start in range(0, len(buttons), MAX_BUTTONS_PER_ROW)]
    action_row = discord.ComponentType.action_row.value
    return [{"type": action_row, "components": row} for row in rows[:MAX_ROWS]]


def _button(button: Button) -> dict[str, object]:
    style = discord.ButtonStyle.danger if button.is_destructive else discord.ButtonStyle.secondary
    return {
        "type": discord.ComponentType.button.value,
        "style": style.value,
        "label": button.label[:MAX_BUTTON_LABEL_CHARS],
        "custom_id": CUSTOM_ID_PREFIX + button.action,
    }


def _select_option(item: MenuItem) -> dict[str, object]:
    option: dict[str, object] = {"label": item.label[:MAX_OPTION_CHARS], "value": item.action}
    if item.description:
        option["description"] = item.description[:MAX_OPTION_CHARS]
    if item.is_selected:
        option["default"] = True
    return option


@runtime_checkable
class SupportsButtons(Protocol):
    """The client that receives presses."""

    async def handle_button(self, interaction: Interaction, action: str) -> None: ...


class PressedButton(ui.DynamicItem[ui.Button[ui.View]], template=re.escape(CUSTOM_ID_PREFIX) + "(?P<action>.+)"):
    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> "PressedButton":
        if not isinstance(item, ui.Button):
            raise TypeError("not a button")
        return cls(item)

    async def callback(self, interaction: Interaction) -> None:
        await _forward(interaction, self.custom_id.removeprefix(CUSTOM_ID_PREFIX))


class PressedMenu(ui.DynamicItem[ui.Select[ui.View]], template=re.escape(MENU_CUSTOM_ID)):
    @classmethod
    async def from_custom_id(
        cls, interaction: Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> "PressedMenu":
        if not isinstance(item, ui.Select):
            raise TypeError("not a menu")
        return cls(item)

    async def callback(self, interaction: Interaction) -> None:
        await _forward(interaction, self.item.values[0] if self.item.values else "")


async def _forward(interaction: Interaction, action: str) -> None:
    client: object = interaction.client
    if isinstance(client, SupportsButtons):
        await client.handle_button(interaction, action)
