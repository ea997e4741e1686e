"""What is new in messages that grow, or come in pieces."""

import pytest

from core.api.growing_text import BEGINNING_CHARS, GrowingText

LONG = "word " * BEGINNING_CHARS


@pytest.mark.parametrize(
    ("texts", "new"),
    [
        (["Hel", "lo"], ["Hel", "lo"]),
        (["Hel", "Hello", "Hello."], ["Hel", "lo", "."]),
        (["\nHel", "lo", "Hello"], ["Hel", "lo", ""]),
        (["Hello ", "Hello"], ["Hello ", ""]),
        (["He", "l", "l", "o"], ["He", "l", "l", "o"]),
        (["", "Hi", ""], ["", "Hi", ""]),
        (["Hi", "Good morning"], ["Hi", "Good morning"]),
        (["1", "1", "5"], ["1", "", "15"]),
        (["1", "1", "1", "5", "1115"], ["1", "", "", "115", ""]),
        (["1", "", "1", "5", ""], ["1", "", "", "15", ""]),
        (["1", "2", "12", "1212"], ["1", "2", "12", ""]),
        (["Hel", "Hel", "Hello", "Hello", "Hello!"], ["Hel", "", "lo", "", "!"]),
        (["Hel", "Hello", "Hello", "!"], ["Hel", "lo", "", "!"]),
        (["Hello\n", "Hello\nWorld", "Hello World"], ["Hello\n", "World", ""]),
        (["Hello\n\n", "World", "Hello\nWorld!"], ["Hello\n\n", "World", "!"]),
        (["Hello", " World", "!"], ["Hello", " World", "!"]),
        ([LONG, LONG + "end"], [LONG, "end"]),
        ([LONG, "word ", "end"], [LONG, "word ", "end"]),
    ],
)
def test_new_text(texts: list[str], new: list[str]) -> None:
    growing = GrowingText()
    assert [growing.feed(text, is_last=number == len(texts)) for number, text in enumerate(texts, 1)] == new
