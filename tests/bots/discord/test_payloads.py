"""The JSON of messages, within Discord's limits."""

from typing import Any, cast

import pytest

from bots.discord.http_client import Json
from bots.discord.payloads import action_rows, button_rows, is_menu, message_payload, select_json
from core.port import Button, File, MenuItem, Part


def components(row: Json) -> list[Any]:
    return cast("list[Any]", row["components"])


def test_buttons_are_in_rows_of_five() -> None:
    rows = button_rows([Button(str(number), f"act:{number}") for number in range(11)])
    assert [len(components(row)) for row in rows] == [5, 5, 1]
    assert {row["type"] for row in rows} == {1}
    assert button_rows([]) == []


def test_menu_is_above_the_buttons_and_five_rows_are_the_most() -> None:
    menu, buttons = (MenuItem("one", "pick:1"),), tuple(Button("b", f"act:{number}") for number in range(30))
    assert action_rows(Part("text")) == []
    rows = action_rows(Part("text", buttons=buttons, menu=menu))
    assert len(rows) == 5
    assert [item["type"] for row in rows for item in components(row)] == [3, *[2] * 20]
    assert len(action_rows(Part("text", menu=menu))) == 1


@pytest.mark.parametrize(("is_destructive", "style"), [(True, 4), (False, 2)])
def test_button_names_its_action(is_destructive: bool, style: int) -> None:
    (row,) = button_rows([Button("b" * 100, "stop:1", is_destructive)])
    (button,) = components(row)
    assert button == {"type": 2, "style": style, "label": "b" * 80, "custom_id": "parley:stop:1"}


def test_menu_has_at_most_25_options() -> None:
    items = [
        MenuItem("m" * 101, "pick:0", "d" * 101, is_selected=True),
        *(MenuItem("m", f"pick:{number}") for number in range(1, 30)),
    ]
    menu = select_json(items)
    first = {"label": "m" * 100, "value": "pick:0", "description": "d" * 100, "default": True}
    others = [{"label": "m", "value": f"pick:{number}"} for number in range(1, 25)]
    assert menu == {
        "type": 3,
        "custom_id": "parley-menu",
        "options": [first, *others],
        "min_values": 1,
    }


def test_menus_of_one_message_differ() -> None:
    custom_ids = [str(select_json([MenuItem("m", "pick:1")], number)["custom_id"]) for number in range(3)]
    assert len(set(custom_ids)) == 3
    assert all(map(is_menu, custom_ids))
    assert not is_menu("parley:pick:1")
    assert not is_menu("parley-menu-of-another-kind")


def test_message_pings_nobody_and_changes_only_what_is_given() -> None:
    pings_nobody = {"content": "hi", "allowed_mentions": {"parse": [], "replied_user": False}}
    assert message_payload("hi") == pings_nobody
    assert message_payload("hi", components=[]) == {**pings_nobody, "components": []}


def test_message_is_created_once_and_survives_the_deletion_of_its_question() -> None:
    payload = message_payload("hi", flags=64, nonce="n1", reply_to="7", file=File("a.md", b"text"))
    assert payload["flags"] == 64
    assert (payload["nonce"], payload["enforce_nonce"]) == ("n1", True)
    assert payload["message_reference"] == {"message_id": "7", "fail_if_not_exists": False}
    assert payload["attachments"] == [{"id": 0, "filename": "a.md"}]
