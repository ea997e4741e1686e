"""Received rich messages as text, however deep they are."""

from typing import Any

import pytest

from bots.telegram.rich_reader import MAX_DEPTH, read_rich_message, read_rich_text


def nested(depth: int, wrap: str) -> Any:
    text: Any = "deep"
    for _ in range(depth):
        text = [text] if wrap == "list" else {"text": text}
    return text


@pytest.mark.parametrize("wrap", ["list", "object"])
def test_text_is_read_up_to_a_depth(wrap: str) -> None:
    assert read_rich_text(nested(MAX_DEPTH + 1, wrap)) == "deep"
    assert read_rich_text(nested(MAX_DEPTH + 2, wrap)) == ""


def blocks_in(depth: int, name: str) -> Any:
    """A message whose text is in a block under `depth` quotes or lists."""
    blocks: list[Any] = [{"type": "paragraph", "text": "deep"}]
    for _ in range(depth):
        blocks = [{"blocks": blocks} if name == "blocks" else {"items": [{"blocks": blocks}]}]
    return {"blocks": blocks}


@pytest.mark.parametrize(("name", "levels"), [("blocks", 1), ("items", 2)])
def test_blocks_are_read_up_to_a_depth(name: str, levels: int) -> None:
    assert "deep" in read_rich_message(blocks_in(MAX_DEPTH // levels, name))
    assert "deep" not in read_rich_message(blocks_in(MAX_DEPTH // levels + 1, name))


@pytest.mark.parametrize("message", [None, [], {}, {"blocks": {}}, {"blocks": [5, None, "x"]}])
def test_message_of_another_form_is_empty(message: Any) -> None:
    assert read_rich_message(message) == ""


def test_list_shows_its_marks_and_checkboxes() -> None:
    paragraph = [{"type": "paragraph", "text": "a"}, {"type": "paragraph", "text": "b"}]
    items = [
        {"label": "•", "blocks": paragraph},
        {"label": "1.", "blocks": paragraph[:1]},
        {"has_checkbox": True, "is_checked": True, "blocks": paragraph[:1]},
        {"has_checkbox": True, "blocks": paragraph[:1]},
        5,
    ]
    assert read_rich_message({"blocks": [{"items": items}]}) == "- a\n   b\n1. a\n- [x] a\n- [ ] a"


def test_link_shows_its_target_unless_that_is_its_text() -> None:
    url = "https://x.example"
    assert read_rich_text([{"text": "here", "url": url}, " ", {"text": url, "url": url}]) == f"here ({url}) {url}"
