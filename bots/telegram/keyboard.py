"""Buttons and menus as Telegram's inline keyboards."""

from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import KeyboardButtonStyle

from core.port import Button, Option, Part

__all__ = ["keyboard"]

IN_A_ROW = 3


def keyboard(part: Part) -> InlineKeyboardMarkup | None:
    """The menu line by line, the buttons under it; None where there is nothing to press."""
    rows = [[_line(option)] for option in part.menu]
    buttons = [_button(button) for button in part.buttons]
    rows += [buttons[start : start + IN_A_ROW] for start in range(0, len(buttons), IN_A_ROW)]
    return InlineKeyboardMarkup(rows) if rows else None


def _button(button: Button) -> InlineKeyboardButton:
    style = KeyboardButtonStyle.DANGER if button.danger else None
    return InlineKeyboardButton(button.label, callback_data=button.action, style=style)


def _line(option: Option) -> InlineKeyboardButton:
    label = f"{option.label} · {option.detail}" if option.detail else option.label
    return InlineKeyboardButton(
        f"✓ {label}" if option.chosen else label, callback_data=option.action
    )
