"""What the stand-in accepts as a rich message, and how people see it."""

from typing import Any

import pytest

from bots.sandbox.telegram import Message, TelegramStandIn
from bots.sandbox.telegram.rich import parse_rich_message
from tests import api_specs
from tests.bots.sandbox.telegram.conftest import CallMethod

PARAGRAPH = {"type": "paragraph", "text": "Hello"}
CELL = {"text": "1", "align": "left", "valign": "top"}
DEEP: Any = PARAGRAPH
for _ in range(16):
    DEEP = {"type": "blockquote", "blocks": [DEEP]}


def table(columns: int = 2, rows: int = 2) -> dict[str, Any]:
    return {"type": "table", "cells": [[CELL] * columns] * rows}


@pytest.mark.parametrize(
    ("rich_message", "error"),
    [
        ("text", "must be an Object"),
        ({}, "exactly one"),
        ({"blocks": [PARAGRAPH], "html": "x"}, "exactly one"),
        ({"markdown": "x"}, "unsupported"),
        ({"blocks": [PARAGRAPH], "is_rtl": 1}, "must be of type Boolean"),
        ({"blocks": [PARAGRAPH], "surprise": 1}, "unknown field surprise"),
        ({"blocks": []}, "must be non-empty"),
        ({"blocks": "x"}, "expected an Array"),
        ({"blocks": ["x"]}, "must be an Object"),
        ({"blocks": [{"type": "paragraph"}]}, "rich text of type"),
        ({"blocks": [{"type": "paragraph", "text": " "}]}, 'field "text" must be non-empty'),
        ({"blocks": [{"type": "paragraph", "text": "a", "size": 1}]}, "unknown field size"),
        ({"blocks": [{"type": "heading", "text": "a", "size": 7}]}, "wrong heading size"),
        ({"blocks": [{"type": "thinking", "text": "a"}]}, "block of type thinking is unsupported"),
        ({"blocks": [{"type": "buttons", "buttons": []}]}, "block of type buttons is unsupported"),
        ({"blocks": [{"type": "list", "items": []}]}, "no items"),
        ({"blocks": [{"type": "list", "items": [{"blocks": []}]}]}, "no content"),
        ({"blocks": [{"type": "blockquote", "blocks": []}]}, "no content"),
        ({"blocks": [{"type": "details", "summary": "", "blocks": [PARAGRAPH]}]}, 'field "summary"'),
        ({"blocks": [{"type": "mathematical_expression", "expression": ""}]}, 'field "expression"'),
        ({"blocks": [{"type": "table", "cells": [[]]}]}, "no cells"),
        ({"blocks": [{"type": "table", "cells": [[{"text": "a"}]]}]}, "wrong alignment"),
        ({"blocks": [table(columns=21)]}, "too many columns"),
        ({"blocks": [table(rows=500)]}, "too many blocks"),
        ({"blocks": [DEEP]}, "nested too deeply"),
        ({"blocks": [{"type": "paragraph", "text": "a" * 32_769}]}, "too long"),
        (
            {"blocks": [{"type": "paragraph", "text": {"type": "url", "text": "a", "url": "javascript:1"}}]},
            "wrong HTTP",
        ),
        ({"blocks": [{"type": "paragraph", "text": {"type": "button", "button": {}}}]}, "rich text of type button"),
    ],
)
async def test_wrong_rich_messages_are_refused(
    server: TelegramStandIn, call_method: CallMethod, rich_message: object, error: str
) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    status, description = await call_method("sendRichMessage", chat_id=chat.id, rich_message=rich_message)
    assert status == 400
    assert error in description
    assert server.messages(chat) == []


async def test_rich_message_has_blocks_and_no_text(server: TelegramStandIn, call_method: CallMethod) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    blocks = [PARAGRAPH, {"type": "list", "items": [{"blocks": [PARAGRAPH], "value": 3}]}, table()]
    status, result = await call_method("sendRichMessage", chat_id=chat.id, rich_message={"blocks": blocks})
    assert status == 200
    assert "text" not in result
    assert result["rich_message"]["blocks"][1]["items"][0]["label"] == "3."
    if api_specs.SPECS_DIR.is_dir():
        assert api_specs.telegram_errors("Message", result) == []


async def test_message_becomes_rich_and_plain_again(server: TelegramStandIn, call_method: CallMethod) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    _, sent = await call_method("sendMessage", chat_id=chat.id, text="Hello")
    target = {"chat_id": chat.id, "message_id": sent["message_id"]}
    rich_message = {"blocks": [PARAGRAPH]}
    assert (await call_method("editMessageText", **target, rich_message=rich_message))[0] == 200
    assert (await call_method("editMessageText", **target, rich_message=rich_message))[0] == 400, "not modified"
    assert (await call_method("editMessageText", **target, rich_message=rich_message, text="x"))[0] == 400
    assert [message.rich is not None for message in server.messages(chat)] == [True]
    assert (await call_method("editMessageText", **target, text="Hello"))[0] == 200
    assert [message.rich is not None for message in server.messages(chat)] == [False]
    server.has_rich_messages = False
    assert await call_method("editMessageText", **target, rich_message=rich_message) == (
        400,
        "Bad Request: message text is empty",
    )


async def test_drafts_may_think(server: TelegramStandIn, call_method: CallMethod) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    thinking = {"blocks": [{"type": "thinking", "text": "Reading…"}]}
    draft = {"chat_id": chat.id, "draft_id": 5, "rich_message": thinking, "can_stop": True}
    assert await call_method("sendRichMessageDraft", **draft) == (200, True)
    (shown,) = server.live_drafts(chat)
    assert (shown.text, shown.can_stop) == ("Reading…", True)


def test_client_draws_blocks() -> None:
    blocks = [
        {"type": "heading", "text": ["Prices ", {"type": "code", "text": "x"}], "size": 1},
        {
            "type": "table",
            "cells": [
                [{**CELL, "text": "name"}, {**CELL, "text": "price", "align": "right"}],
                [{**CELL, "text": "tea"}, {**CELL, "align": "right"}],
            ],
        },
        {
            "type": "list",
            "items": [
                {"blocks": [PARAGRAPH], "has_checkbox": True, "is_checked": True},
                {"blocks": [PARAGRAPH, {"type": "list", "items": [{"blocks": [PARAGRAPH], "value": 1, "type": "1"}]}]},
            ],
        },
        {"type": "blockquote", "blocks": [PARAGRAPH]},
        {"type": "details", "summary": "More", "blocks": [{"type": "mathematical_expression", "expression": "x^2"}]},
        {"type": "divider"},
        {"type": "footer", "text": {"type": "url", "text": "here", "url": "https://e.org"}},
    ]
    assert parse_rich_message({"blocks": blocks}).text.split("\n\n") == [
        "Prices x",
        "name │ price\n─────┼──────\n1    │     1".replace("1    │", "tea  │"),
        "• ☑ Hello\n• Hello\n   1. Hello",
        "│ Hello",
        "▾ More\n  x^2",
        "────────",
        "here (https://e.org)",
    ]


async def test_forwarded_rich_message_keeps_its_blocks(server: TelegramStandIn, call_method: CallMethod) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)
    await call_method("sendRichMessage", chat_id=chat.id, rich_message={"blocks": [PARAGRAPH]})
    (original,) = server.messages(chat)
    forwarded: Message = await server.forward_message(ann, chat, original)
    assert forwarded.json()["rich_message"]["blocks"] == [PARAGRAPH]
