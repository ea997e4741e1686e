import pytest

from core.markdown.open_marks import MAX_CHARS, MAX_LAST_CHARS, close_open_marks


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Das ist **ein sehr", "Das ist **ein sehr**"),
        ("Das ist **ein sehr ", "Das ist **ein sehr**"),
        ("a *b", "a *b*"),
        ("a __b", "a __b__"),
        ("a ~~b", "a ~~b~~"),
        ("a ||b", "a ||b||"),
        ("Use `print(", "Use `print(`"),
        ("**bold and *both", "**bold and *both***"),
        ("- one\n- **two", "- one\n- **two**"),
        ("> quoted **words", "> quoted **words**"),
        ("# A **title", "# A **title**"),
        ("first\n\nsecond **para", "first\n\nsecond **para**"),
        ("See [the page](https://x.y/z", "See the page"),
        ("See **[the page](https://x.y/z", "See **the page**"),
        ("This is **", "This is"),
        ("a list: `", "a list:"),
    ],
)
def test_open_mark_is_closed(text: str, closed: str) -> None:
    assert close_open_marks(text) == closed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "**done** and *done*",
        "2 * 3 * 4",
        "snake_case_name",
        "```python\nf(**kwargs",
        "```python\nf(**kwargs)\n```",
        "$$\na_b",
        "`a ** b`",
        "an array [1, 2",
        "[a link](https://x.y)",
        "a **" + "b" * MAX_CHARS,
        "a **" + "b" * MAX_LAST_CHARS,
    ],
)
def test_nothing_else_is_changed(text: str) -> None:
    assert close_open_marks(text) == text
