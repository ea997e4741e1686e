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
        ("5*7 and *this", "5*7 and *this*"),
        ("10**6 is **a million", "10**6 is **a million**"),
        ("**very (5*7) good", "**very (5*7) good**"),
        ("see (**this", "see (**this**"),
        ('he said "**bold', 'he said "**bold**'),
        ("这是**非常", "这是**非常**"),
        ("重要(**非常", "重要(**非常**"),
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
        "The area is 5*7, which",
        "10**6 is a million, and",
        "a||b returns true, so",
        "a==b is false, and",
        'it prints "ab"*3 and',
        "x[1]*y and",
        "call f(*args) now",
        "call f(x, **kwargs) now",
        "call f(*args",
        "call f(x, **kwargs",
        "a **" + "b" * MAX_CHARS,
        "a **" + "b" * MAX_LAST_CHARS,
    ],
)
def test_nothing_else_is_changed(text: str) -> None:
    assert close_open_marks(text) == text


@pytest.mark.parametrize(
    "block",
    ["Some **words** in a paragraph.\n\n", "- an `item` of a list\n", "A line of a _long_ paragraph.\n", "And *more* "],
)
def test_long_answer_is_closed_in_its_last_lines(block: str) -> None:
    text = block * (21_000 // len(block))
    assert close_open_marks(f"{text}**ein sehr") == f"{text}**ein sehr**"


def test_long_code_is_not_changed() -> None:
    text = "words\n\n" + "```python\n" + "x = 1\n\n" * 4_000 + "f(**kwargs"
    assert close_open_marks(text) == text
