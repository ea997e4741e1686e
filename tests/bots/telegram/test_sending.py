import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.buttons import inline_keyboard
from bots.telegram.dialect import Entity, TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from core.port import Adapter, Button, Dialect, MenuItem, Part, PreviewMode, RichMode, SupportsDrafts
from tests.bots.telegram.conftest import (
    FAST_TIMINGS,
    GROUP_PLACE,
    PRIVATE_PLACE,
    PRIVATE_TOPIC_PLACE,
    TOKEN,
    TOPIC_PLACE,
    RunAdapter,
    params_of,
)
from tests.core.markdown.samples import parse_markdown

BOLD = Part("bold", {"entities": (Entity("bold", 0, 4),)})


def test_adapter_supports_drafts() -> None:
    adapter: Adapter = TelegramAdapter(TOKEN)
    assert isinstance(adapter, SupportsDrafts)
    assert adapter.dialect.limit == 4096


async def test_send_to_a_private_chat(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        message_id = await adapter.send(PRIVATE_PLACE, BOLD, key="k")
    assert [str(message.id) for message in bot_api.messages(bot_api.chats[42])] == [message_id]
    assert params_of(bot_api, "sendMessage")[0] == {
        "chat_id": 42,
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_reply_survives_deleted_question(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await adapter.send(GROUP_PLACE, Part("hi"), key="k", reply_to="7")
    assert params_of(bot_api, "sendMessage")[0]["reply_parameters"] == {
        "message_id": 7,
        "allow_sending_without_reply": True,
    }


async def test_sends_to_topic(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await adapter.send(TOPIC_PLACE, Part("hi"), key="k")
        await adapter.show_typing(TOPIC_PLACE)
        await adapter.show_draft(PRIVATE_TOPIC_PLACE, 5, Part("gro"))
        await adapter.show_typing(GROUP_PLACE)
    assert params_of(bot_api, "sendMessage")[0]["message_thread_id"] == 55
    assert params_of(bot_api, "sendChatAction")[0] == {
        "chat_id": -1002,
        "action": "typing",
        "message_thread_id": 55,
    }
    assert params_of(bot_api, "sendMessageDraft")[0]["message_thread_id"] == 9
    assert "message_thread_id" not in params_of(bot_api, "sendChatAction")[1]


@pytest.mark.parametrize("text", ["message thread not found", "TOPIC_DELETED"])
async def test_chat_takes_place_of_missing_topic(bot_api: TelegramStandIn, run_adapter: RunAdapter, text: str) -> None:
    gone = ScriptedReply.error(400, f"Bad Request: {text}")
    async with run_adapter() as adapter:
        for method in ("sendMessage", "sendChatAction", "sendMessageDraft", "sendMessageDraft"):
            bot_api.script.add(method, gone)
        await adapter.send(TOPIC_PLACE, Part("hi"), key="k")
        await adapter.show_typing(TOPIC_PLACE)
        await adapter.show_draft(PRIVATE_TOPIC_PLACE, 5, Part("gro"))
    for method in ("sendMessage", "sendChatAction", "sendMessageDraft"):
        assert "message_thread_id" not in params_of(bot_api, method)[-1]


async def test_message_refused_for_another_reason_stays_in_its_topic(
    bot_api: TelegramStandIn, run_adapter: RunAdapter
) -> None:
    bot_api.script.add("sendMessage", ScriptedReply.error(400, "Bad Request: not enough rights to send text messages"))
    async with run_adapter() as adapter:
        with pytest.raises(DeliveryError):
            await adapter.send(TOPIC_PLACE, Part("hi"), key="k")
    assert [params["message_thread_id"] for params in params_of(bot_api, "sendMessage")] == [55]


async def test_buttons_and_menus(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    buttons = tuple(Button(f"B{number}", f"b:{number}", is_destructive=number == 3) for number in range(4))
    menu = (MenuItem("Llama", "m:0", description="128k", is_selected=True), MenuItem("Qwen", "m:1"))
    async with run_adapter() as adapter:
        await adapter.send(PRIVATE_PLACE, Part("Pick", buttons=buttons, menu=menu), key="k")
    rows = params_of(bot_api, "sendMessage")[0]["reply_markup"]["inline_keyboard"]
    assert [[(button["text"], button["callback_data"]) for button in row] for row in rows] == [
        [("✓ Llama · 128k", "m:0")],
        [("Qwen", "m:1")],
        [("B0", "b:0"), ("B1", "b:1"), ("B2", "b:2")],
        [("B3", "b:3")],
    ]
    assert rows[3][0]["style"] == "danger"


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ("◀|2/3 · Phi-4|▶|Retry|Model", "◀ 2/3 · Phi-4 ▶|Retry Model"),
        (
            "◀|2/3 · Llama-3.3-70B-Instruct|▶|Retry|Other model|As file",
            "2/3 · Llama-3.3-70B-Instruct|◀ ▶ Retry|Other model As file",
        ),
        ("2/2 · Llama-3.3-70B-Instruct|▶|Retry|Other model", "2/2 · Llama-3.3-70B-Instruct|▶ Retry Other model"),
        ("Qwen3|A model with a long name|Phi-4|Back", "Qwen3|A model with a long name|Phi-4 Back"),
        ("Wiederholen|Anderes Modell|Als Datei", "Wiederholen Anderes Modell|Als Datei"),
        ("再試行する|ファイルとして送る|別のモデル", "再試行する ファイルとして送る|別のモデル"),
    ],
)
def test_label_that_a_phone_would_cut_gets_more_room(labels: str, rows: str) -> None:
    keyboard = inline_keyboard(Part("", buttons=tuple(Button(label, "b:1") for label in labels.split("|"))))
    assert keyboard is not None
    assert "|".join(" ".join(button.text for button in row) for row in keyboard.inline_keyboard) == rows


RETRY = Button("Retry", "retry:1")


@pytest.mark.parametrize("dialect", [TelegramDialect(), RichDialect(RichMode.ALWAYS)])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Run it:\n\n```sh\nls -l 😀 @you\n```\n\nDone.", "ls -l 😀 @you"),
        ("- it\n  ```\n  x\n  ```", "x"),
        ("```\n" + "x" * 256 + "\n```", "x" * 256),
        ("```\n" + "x" * 257 + "\n```", ""),
        ("```\na\n```\n```\nb\n```", ""),
        ('No block, only `code` and {"type":"pre","text":"x"}', ""),
    ],
)
def test_single_code_block_has_a_copy_button(dialect: Dialect, text: str, code: str) -> None:
    part = dialect.render(parse_markdown(text))
    keyboard = inline_keyboard(replace(part, buttons=(RETRY,)))
    assert keyboard is not None
    copied = [button.copy_text.text for row in keyboard.inline_keyboard for button in row if button.copy_text]
    assert copied == [code] * bool(code)
    growing = inline_keyboard(replace(part, buttons=(Button("Stop", "stop:1", is_destructive=True),)))
    assert growing is not None
    assert len(growing.inline_keyboard[0]) == 1
    assert inline_keyboard(part) is None


async def test_edit_replaces_text_and_buttons(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        message = await adapter.send(GROUP_PLACE, Part("first"), key="k")
        await adapter.edit(GROUP_PLACE, message, Part("grown", buttons=(Button("Stop", "stop:1"),)))
        await adapter.edit(GROUP_PLACE, message, BOLD)
    with_button, without_button = params_of(bot_api, "editMessageText")
    assert with_button["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "stop:1"
    assert without_button == {
        "chat_id": -1001,
        "message_id": int(message),
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_draft_is_stoppable_and_empty_draft_is_thinking(
    bot_api: TelegramStandIn, run_adapter: RunAdapter
) -> None:
    async with run_adapter() as adapter:
        await adapter.show_draft(PRIVATE_PLACE, 5, Part(""))
        await adapter.show_draft(PRIVATE_PLACE, 5, BOLD)
    thinking, growing = params_of(bot_api, "sendMessageDraft")
    assert thinking == {"chat_id": 42, "draft_id": 5, "text": "", "can_stop": True}
    assert growing["entities"] == [{"type": "bold", "offset": 0, "length": 4}]
    assert growing["can_stop"] is True


async def test_older_server_gets_draft_without_can_stop(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.script.add("sendMessageDraft", ScriptedReply.error(400, "Bad Request: unexpected parameter can_stop"))
    async with run_adapter() as adapter:
        await adapter.show_draft(PRIVATE_PLACE, 5, Part("a"))
        await adapter.show_draft(PRIVATE_PLACE, 5, Part("ab"))
    drafts = params_of(bot_api, "sendMessageDraft")
    assert [(draft["text"], "can_stop" in draft) for draft in drafts] == [
        ("a", True),
        ("a", False),
        ("ab", False),
    ]


async def test_refused_draft_is_not_missing_parameter(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await adapter.show_draft(PRIVATE_PLACE, 5, Part("a"))
        with pytest.raises(DeliveryError) as raised:
            await adapter.show_draft(PRIVATE_PLACE, 5, Part("a" * 5000))
        await adapter.show_draft(PRIVATE_PLACE, 5, Part("b"))
    assert raised.value.failure is DeliveryFailure.REJECTED
    assert [draft.get("can_stop") for draft in params_of(bot_api, "sendMessageDraft")] == [True] * 3


async def test_falls_back_to_edits_without_drafts(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.script.add("sendMessageDraft", ScriptedReply.error(404, "Not Found: method not found"))
    async with run_adapter() as adapter:
        assert adapter.capabilities(PRIVATE_PLACE).preview_mode is PreviewMode.DRAFT
        with pytest.raises(DeliveryError) as raised:
            await adapter.show_draft(PRIVATE_PLACE, 5, Part("a"))
        assert raised.value.failure is DeliveryFailure.REJECTED
        capabilities = adapter.capabilities(PRIVATE_PLACE)
    assert (capabilities.preview_mode, capabilities.has_stop_button) == (PreviewMode.EDIT, True)


async def test_draft_429_does_not_disable_drafts(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.script.add("sendMessageDraft", ScriptedReply.error(429, "Too Many Requests: retry after 3", retry_after=3))
    async with run_adapter() as adapter:
        with pytest.raises(DeliveryError) as raised:
            await adapter.show_draft(PRIVATE_PLACE, 5, Part("a"))
        assert (raised.value.failure, raised.value.retry_after) == (DeliveryFailure.RATE_LIMITED, 3)
        assert adapter.capabilities(PRIVATE_PLACE).preview_mode is PreviewMode.DRAFT


REFUSALS = [
    (ScriptedReply.error(429, "Too Many Requests: retry after 7", retry_after=7), DeliveryFailure.RATE_LIMITED),
    (ScriptedReply.error(429, "Too Many Requests"), DeliveryFailure.RATE_LIMITED),
    (ScriptedReply.error(403, "Forbidden: bot was blocked by the user"), DeliveryFailure.FORBIDDEN),
    (
        ScriptedReply.error(400, "Bad Request: not enough rights to send text messages"),
        DeliveryFailure.FORBIDDEN,
    ),
    (ScriptedReply.error(400, "Bad Request: chat not found"), DeliveryFailure.GONE),
    (ScriptedReply.error(400, "Bad Request: message to edit not found"), DeliveryFailure.GONE),
    (ScriptedReply.error(400, "Bad Request: message can't be edited"), DeliveryFailure.GONE),
    (ScriptedReply.error(400, "Bad Request: message thread not found"), DeliveryFailure.GONE),
    (ScriptedReply.error(400, "Bad Request: message is too long"), DeliveryFailure.REJECTED),
    (ScriptedReply.error(400, "Bad Request: message text is empty"), DeliveryFailure.REJECTED),
    (
        ScriptedReply.error(400, "Bad Request: can't parse entities: byte offset 3"),
        DeliveryFailure.REJECTED,
    ),
    (ScriptedReply.error(400, "Bad Request: BUTTON_DATA_INVALID"), DeliveryFailure.REJECTED),
    (ScriptedReply.error(413, "Request Entity Too Large"), DeliveryFailure.REJECTED),
    (ScriptedReply.error(500, "Internal Server Error"), DeliveryFailure.TRANSIENT),
    (ScriptedReply(502, body=b"<html>Bad Gateway</html>"), DeliveryFailure.TRANSIENT),
    (ScriptedReply(504, body=b"<html>Gateway Time-out</html>"), DeliveryFailure.UNKNOWN),
    (ScriptedReply(drops_connection=True), DeliveryFailure.UNKNOWN),
    (ScriptedReply(200, body=b"<html>login</html>"), DeliveryFailure.UNKNOWN),
    (ScriptedReply(200, {"ok": True, "result": {"surprise": 1}}), DeliveryFailure.UNKNOWN),
    (ScriptedReply.error(401, "Unauthorized"), DeliveryFailure.TRANSIENT),
]


@pytest.mark.parametrize(
    ("reply", "failure"), REFUSALS, ids=[f"{reply.status}-{str(reply.body)[:90]}" for reply, _ in REFUSALS]
)
async def test_refusals_are_classified(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, reply: ScriptedReply, failure: DeliveryFailure
) -> None:
    async with run_adapter() as adapter:
        bot_api.script.add("sendMessage", reply)
        with pytest.raises(DeliveryError) as raised:
            await adapter.send(PRIVATE_PLACE, Part("hi"), key="k")
        assert raised.value.failure is failure
        assert (raised.value.retry_after is not None) is (failure is DeliveryFailure.RATE_LIMITED)
        assert TOKEN not in str(raised.value)
        assert len(params_of(bot_api, "sendMessage")) == 1, "only the core repeats a request"


async def test_migrated_group_raises_new_id(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    migrated = ScriptedReply.error(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        migrate_to_chat_id=-100777,
    )
    bot_api.script.add("sendMessage", migrated)
    async with run_adapter() as adapter:
        with pytest.raises(ChatMovedError) as raised:
            await adapter.send(GROUP_PLACE, Part("hi"), key="k")
    assert (raised.value.failure, raised.value.new_chat) == (DeliveryFailure.GONE, "-100777")


async def test_timeout_outcome_is_unknown(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    hold = asyncio.Event()
    bot_api.script.add("sendMessage", ScriptedReply(hold_until=hold))
    async with run_adapter(timings=replace(FAST_TIMINGS, read_timeout=0.1)) as adapter:
        with pytest.raises(DeliveryError) as raised:
            await adapter.send(PRIVATE_PLACE, Part("hi"), key="k")
        hold.set()
    assert raised.value.failure is DeliveryFailure.UNKNOWN
    assert len(params_of(bot_api, "sendMessage")) == 1


async def test_request_timeout_covers_whole_request(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.script.add("sendMessage", ScriptedReply(hold_until=asyncio.Event()))
    async with run_adapter(timings=replace(FAST_TIMINGS, request_timeout=0.1)) as adapter:
        with pytest.raises(DeliveryError) as raised:
            await adapter.send(PRIVATE_PLACE, Part("hello"), key="k")
    assert raised.value.failure is DeliveryFailure.UNKNOWN


async def test_connection_failure_is_certain(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await bot_api.close()
        for request in requests(adapter):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.failure is DeliveryFailure.TRANSIENT


def requests(adapter: TelegramAdapter) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: adapter.send(PRIVATE_PLACE, Part("hi"), key="k"),
        lambda: adapter.edit(PRIVATE_PLACE, "9", Part("hi")),
        lambda: adapter.delete(PRIVATE_PLACE, "9"),
        lambda: adapter.show_typing(PRIVATE_PLACE),
        lambda: adapter.show_draft(PRIVATE_PLACE, 5, Part("hi")),
    ]


async def test_all_requests_map_errors_alike(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        methods = ["sendMessage", "editMessageText", "deleteMessage", "sendChatAction"]
        for method in [*methods, "sendMessageDraft"]:
            bot_api.script.add(method, ScriptedReply.error(403, "Forbidden: bot was kicked from the group chat"))
        for request in requests(adapter):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.failure is DeliveryFailure.FORBIDDEN


@pytest.mark.parametrize(
    ("preview_mode", "private", "group"),
    [
        (PreviewMode.DRAFT, PreviewMode.DRAFT, PreviewMode.EDIT),
        (PreviewMode.EDIT, PreviewMode.EDIT, PreviewMode.EDIT),
        (PreviewMode.OFF, PreviewMode.OFF, PreviewMode.OFF),
    ],
)
def test_capabilities_by_place(preview_mode: PreviewMode, private: PreviewMode, group: PreviewMode) -> None:
    adapter = TelegramAdapter(TOKEN, preview_mode=preview_mode)
    in_private, in_group = adapter.capabilities(PRIVATE_PLACE), adapter.capabilities(GROUP_PLACE)
    assert (in_private.preview_mode, in_group.preview_mode) == (private, group)
    assert in_private.has_stop_button is (private is not PreviewMode.DRAFT)
    assert in_group.has_stop_button
    assert in_private.draft_refresh_interval == (25 if private is PreviewMode.DRAFT else None)
    # Telegram allows 20 in any minute, and one a second in the long run.
    assert any(window.count == 20 and window.seconds > 60 for window in in_group.rate_limit)
    assert all(window.count <= window.seconds for window in in_private.rate_limit)
    assert (in_private.draft_rate_limit is not None) is (private is PreviewMode.DRAFT)
    assert in_group.draft_rate_limit is None
