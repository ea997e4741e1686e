"""Rows of buttons that a phone can show."""

import pytest
from telegram.constants import KeyboardButtonStyle

from bots.telegram.buttons import MAX_ROW_WIDTH, inline_keyboard
from core.port import Button, MenuItem, Part


def rows_of(*labels: str) -> list[list[str]]:
    keyboard = inline_keyboard(Part("text", buttons=tuple(Button(label, "stop:1") for label in labels)))
    assert keyboard is not None
    return [[button.text for button in row] for row in keyboard.inline_keyboard]


HALF, THIRD = "h" * (MAX_ROW_WIDTH // 2), "t" * (MAX_ROW_WIDTH // 3)


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (["a", "b", "c", "d"], [3, 1]),
        ([HALF, HALF], [2]),
        ([HALF + "h", HALF], [1, 1]),
        (["漢" * (MAX_ROW_WIDTH // 4), "b"], [2]),
        (["漢" * (MAX_ROW_WIDTH // 4) + "b", "bb"], [1, 1]),
        ([THIRD] * 3, [3]),
        ([THIRD + "t"] * 3, [2, 1]),
        (["w" * 100], [1]),
    ],
)
def test_rows_are_as_wide_as_a_phone(labels: list[str], rows: list[int]) -> None:
    assert [len(row) for row in rows_of(*labels)] == rows


def test_long_label_of_a_pager_is_above_its_arrows() -> None:
    label = "w" * MAX_ROW_WIDTH
    assert rows_of("◀", label, "▶") == [[label], ["◀", "▶"]]


def test_menu_is_above_the_buttons() -> None:
    menu = (MenuItem("one", "m:1", "first", is_selected=True), MenuItem("two", "m:2"))
    keyboard = inline_keyboard(Part("text", buttons=(Button("Stop", "stop:1", is_destructive=True),), menu=menu))
    assert keyboard is not None
    one, two, stop = (row[0] for row in keyboard.inline_keyboard)
    assert (one.text, two.text) == ("✓ one · first", "two")
    assert (one.callback_data, stop.callback_data) == ("m:1", "stop:1")
    assert (two.style, stop.style) == (None, KeyboardButtonStyle.DANGER)


def test_message_without_buttons_has_no_keyboard() -> None:
    assert inline_keyboard(Part("text")) is None
