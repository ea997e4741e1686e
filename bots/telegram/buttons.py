"""Renders buttons and menus as inline keyboards."""

from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import KeyboardButtonStyle

from core.port import Button, MenuItem, Part

MAX_BUTTONS_PER_ROW = 3


def inline_keyboard(part: Part) -> InlineKeyboardMarkup | None:
    """One row for each menu item, then the buttons; None without either."""
    rows = [[_menu_button(item)] for item in part.menu]
    buttons = [_button(button) for button in part.buttons]
    rows += [buttons[start : start + MAX_BUTTONS_PER_ROW] for start in range(0, len(buttons), MAX_BUTTONS_PER_ROW)]
    return InlineKeyboardMarkup(rows) if rows else None


def _button(button: Button) -> InlineKeyboardButton:
    style = KeyboardButtonStyle.DANGER if button.is_destructive else None
    return InlineKeyboardButton(button.label, callback_data=button.action, style=style)


def _menu_button(item: MenuItem) -> InlineKeyboardButton:
    label = f"{item.label} · {item.description}" if item.description else item.label
    return InlineKeyboardButton(f"✓ {label}" if item.is_selected else label, callback_data=item.action)
