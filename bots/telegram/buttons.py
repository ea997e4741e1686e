"""Renders buttons and menus as inline keyboards."""

from collections.abc import Iterable, Sequence

from telegram import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import KeyboardButtonStyle

from bots.telegram.copyable_code import copyable_code
from core.i18n.translation import gettext
from core.markdown.text_table import display_width
from core.port import Button, MenuItem, Part
from core.texts.answers import COPY_CODE_BUTTON

MAX_BUTTONS_PER_ROW = 3
MAX_ROW_WIDTH = 40
"""In columns of text. A phone shows about this many in a row, divided equally among its buttons."""


def inline_keyboard(part: Part) -> InlineKeyboardMarkup | None:
    """One row for each menu item, then the buttons; None without either.

    A complete message with one block of code gets a button that copies it. A growing one has a destructive Stop button.
    """
    rows = [[_menu_button(item)] for item in part.menu]
    buttons = [_button(button) for button in part.buttons]
    is_complete = not any(button.is_destructive for button in part.buttons)
    if buttons and is_complete and (code := copyable_code(part)):
        buttons.append(InlineKeyboardButton(gettext(COPY_CODE_BUTTON), copy_text=CopyTextButton(code)))
    rows += _divide_into_rows(buttons)
    return InlineKeyboardMarkup(rows) if rows else None


def _divide_into_rows(buttons: Iterable[InlineKeyboardButton]) -> list[list[InlineKeyboardButton]]:
    """Rows whose labels a phone can show. A pager with a long label gets that above its arrows."""
    rows: list[list[InlineKeyboardButton]] = []
    row: list[InlineKeyboardButton] = []
    for button in buttons:
        if not _fits_row([*row, button]):
            if not _fits_row([button, button]) and all(len(arrow.text) == 1 for arrow in row):
                rows.append([button])
                continue
            rows.append(row)
            row = []
        row.append(button)
    return [*rows, row] if row else rows


def _fits_row(row: Sequence[InlineKeyboardButton]) -> bool:
    width = max(display_width(button.text) for button in row) * len(row)
    return len(row) == 1 or (len(row) <= MAX_BUTTONS_PER_ROW and width <= MAX_ROW_WIDTH)


def _button(button: Button) -> InlineKeyboardButton:
    style = KeyboardButtonStyle.DANGER if button.is_destructive else None
    return InlineKeyboardButton(button.label, callback_data=button.action, style=style)


def _menu_button(item: MenuItem) -> InlineKeyboardButton:
    label = f"{item.label} · {item.description}" if item.description else item.label
    return InlineKeyboardButton(f"✓ {label}" if item.is_selected else label, callback_data=item.action)
