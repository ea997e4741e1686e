"""Renders buttons and menus as inline keyboards."""

from telegram import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import KeyboardButtonStyle

from bots.telegram.copyable_code import copyable_code
from core.i18n.translation import gettext
from core.port import Button, MenuItem, Part
from core.texts.answers import COPY_CODE_BUTTON

MAX_BUTTONS_PER_ROW = 3
MAX_SHARED_ROW_CHARS = 24
"""A phone truncates a longer label if it shares a row."""


def inline_keyboard(part: Part) -> InlineKeyboardMarkup | None:
    """One row for each menu item, then the buttons; None without either.

    A complete message with one block of code gets a button that copies it. A growing one has a destructive Stop button.
    """
    rows = [[_menu_button(item)] for item in part.menu]
    buttons = [_button(button) for button in part.buttons]
    is_complete = not any(button.is_destructive for button in part.buttons)
    if buttons and is_complete and (code := copyable_code(part)):
        buttons.append(InlineKeyboardButton(gettext(COPY_CODE_BUTTON), copy_text=CopyTextButton(code)))
    is_wide = any(len(button.label) > MAX_SHARED_ROW_CHARS for button in part.buttons)
    per_row = 1 if is_wide else MAX_BUTTONS_PER_ROW
    rows += [buttons[start : start + per_row] for start in range(0, len(buttons), per_row)]
    return InlineKeyboardMarkup(rows) if rows else None


def _button(button: Button) -> InlineKeyboardButton:
    style = KeyboardButtonStyle.DANGER if button.is_destructive else None
    return InlineKeyboardButton(button.label, callback_data=button.action, style=style)


def _menu_button(item: MenuItem) -> InlineKeyboardButton:
    label = f"{item.label} · {item.description}" if item.description else item.label
    return InlineKeyboardButton(f"✓ {label}" if item.is_selected else label, callback_data=item.action)
