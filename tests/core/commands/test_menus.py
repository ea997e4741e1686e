"""Menus and lists in pages."""

import pytest

from core.commands.pages import paginate

LETTERS = "abcdefg"


@pytest.mark.parametrize(
    ("number", "items"),
    [(0, "abc"), (1, "def"), (2, "g"), (3, "abc"), (-1, "g")],
    ids=["first", "second", "last", "next", "previous"],
)
def test_pages_go_round(number: int, items: str) -> None:
    page = paginate(LETTERS, number, 3)
    assert page.items == items
    assert (page.number, page.count) == (number % 3, 3)


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_no_page_is_empty_but_the_only_one(count: int, pages: int) -> None:
    assert paginate(LETTERS[:count], 0, 3).count == pages


def buttons(number: int, item_count: int) -> list[tuple[str, str]]:
    page = paginate(LETTERS[:item_count], number, 3)
    return [(button.label, button.action) for button in page.buttons(lambda target: f"page {target}")]


def test_buttons_lead_to_the_neighbours() -> None:
    assert buttons(0, 3) == []
    assert buttons(0, 6) == [("1/2", "page 0"), ("▶", "page 1")]
    assert buttons(1, 6) == [("2/2", "page 1"), ("▶", "page 0")]
    assert buttons(0, 7) == [("◀", "page 2"), ("1/3", "page 0"), ("▶", "page 1")]
    assert buttons(1, 7) == [("◀", "page 0"), ("2/3", "page 1"), ("▶", "page 2")]
    assert buttons(2, 7) == [("◀", "page 1"), ("3/3", "page 2"), ("▶", "page 0")]
