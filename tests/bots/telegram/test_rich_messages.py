"""How rich messages are sent, and what tells the adapter that the server does not know them."""

import pytest

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from bots.telegram.rich_messages import MAX_REFUSALS
from core.errors import DeliveryError, DeliveryFailure, RichRejectedError
from core.port import Adapter, Button, Part, RichMode, SupportsRichMessages
from tests.bots.telegram.conftest import (
    GROUP_PLACE,
    PRIVATE_PLACE,
    TOKEN,
    TOPIC_PLACE,
    RunAdapter,
    params_of,
)
from tests.core.markdown.samples import parse_markdown

RICH = RichDialect(RichMode.ALWAYS).render(parse_markdown("Hello"))
BLOCKS = {"blocks": [{"type": "paragraph", "text": "Hello"}], "skip_entity_detection": True}
STOP = Button("Stop", "stop:1")
REFUSED = ScriptedReply.error(400, "Bad Request: can't parse InputRichMessage")


def test_operator_and_chat_choose_the_dialect() -> None:
    adapter: Adapter = TelegramAdapter(TOKEN, rich_mode=RichMode.OFF)
    assert isinstance(adapter, SupportsRichMessages)
    assert adapter.answer_dialect(None) is adapter.dialect
    assert isinstance(adapter.answer_dialect(RichMode.AUTO), RichDialect)
    assert isinstance(TelegramAdapter(TOKEN).answer_dialect(None), RichDialect)
    assert isinstance(TelegramAdapter(TOKEN).answer_dialect(RichMode.OFF), TelegramDialect)


async def test_rich_message_is_sent_edited_and_previewed(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await adapter.show_draft(PRIVATE_PLACE, 5, RICH)
        await adapter.send(TOPIC_PLACE, Part(RICH.text, RICH.native, (STOP,)), key="k", reply_to="7")
        message = await adapter.send(GROUP_PLACE, Part("first"), key="k")
        for _ in range(2):  # the second changes nothing, which is no failure
            await adapter.edit(GROUP_PLACE, message, RICH)
        await adapter.edit(GROUP_PLACE, message, Part("plain again"))
    assert params_of(bot_api, "sendRichMessageDraft") == [
        {"chat_id": 42, "draft_id": 5, "rich_message": BLOCKS, "can_stop": True}
    ]
    (sent,) = params_of(bot_api, "sendRichMessage")
    assert sent["rich_message"] == BLOCKS
    assert (sent["chat_id"], sent["message_thread_id"]) == (-1002, 55)
    assert sent["reply_parameters"] == {"message_id": 7, "allow_sending_without_reply": True}
    assert sent["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "stop:1"
    rich_edit, _, plain_edit = params_of(bot_api, "editMessageText")
    assert rich_edit == {"chat_id": -1001, "message_id": int(message), "rich_message": BLOCKS}
    assert plain_edit["text"] == "plain again"


async def test_thinking_is_a_draft_of_its_own(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        await adapter.show_draft(PRIVATE_PLACE, 5, RichDialect(RichMode.AUTO).render_thinking("Reading…"))
    (draft,) = params_of(bot_api, "sendRichMessageDraft")
    assert draft["rich_message"]["blocks"] == [{"type": "thinking", "text": "Reading…"}]


async def test_server_without_the_methods_is_asked_once(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.has_rich_messages = False
    async with run_adapter() as adapter:
        with pytest.raises(RichRejectedError):
            await adapter.send(PRIVATE_PLACE, RICH, key="k")
        assert adapter.answer_dialect(RichMode.ALWAYS) is adapter.dialect
    assert len(params_of(bot_api, "sendRichMessage")) == 1


async def test_server_that_ignores_rich_edits_is_asked_once(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    bot_api.has_rich_messages = False
    async with run_adapter() as adapter:
        message = await adapter.send(GROUP_PLACE, Part("first"), key="k")
        with pytest.raises(RichRejectedError):
            await adapter.edit(GROUP_PLACE, message, RICH)
        assert adapter.answer_dialect(None) is adapter.dialect


async def test_server_that_refuses_every_block_is_given_up(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        for attempt in range(MAX_REFUSALS):
            assert adapter.answer_dialect(None) is not adapter.dialect, attempt
            bot_api.script.add("sendRichMessage", REFUSED)
            with pytest.raises(RichRejectedError):
                await adapter.send(PRIVATE_PLACE, RICH, key="k")
        assert adapter.answer_dialect(None) is adapter.dialect


async def test_refusals_of_a_server_that_accepts_others_concern_one_message(
    bot_api: TelegramStandIn, run_adapter: RunAdapter
) -> None:
    async with run_adapter() as adapter:
        message = await adapter.send(PRIVATE_PLACE, RICH, key="k")
        for _ in range(MAX_REFUSALS):
            bot_api.script.add("sendRichMessage", REFUSED)
            with pytest.raises(RichRejectedError):
                await adapter.send(PRIVATE_PLACE, RICH, key="k")
        bot_api.script.add("editMessageText", ScriptedReply.error(400, "Bad Request: message can't be edited"))
        with pytest.raises(RichRejectedError):
            await adapter.edit(PRIVATE_PLACE, message, RICH)
        assert adapter.answer_dialect(None) is not adapter.dialect


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (ScriptedReply.error(400, "Bad Request: chat not found"), DeliveryFailure.GONE),
        (ScriptedReply.error(403, "Forbidden: bot was blocked by the user"), DeliveryFailure.FORBIDDEN),
        (ScriptedReply.error(429, "Too Many Requests: retry after 3", retry_after=3), DeliveryFailure.RATE_LIMITED),
        (ScriptedReply(502, body=b"<html>Bad Gateway</html>"), DeliveryFailure.TRANSIENT),
        (ScriptedReply(504, body=b"<html>Gateway Time-out</html>"), DeliveryFailure.UNKNOWN),
        (ScriptedReply.error(401, "Unauthorized"), DeliveryFailure.TRANSIENT),
    ],
)
async def test_other_failures_do_not_concern_rich_messages(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, reply: ScriptedReply, failure: DeliveryFailure
) -> None:
    async with run_adapter() as adapter:
        bot_api.script.add("sendRichMessage", reply)
        with pytest.raises(DeliveryError) as raised:
            await adapter.send(PRIVATE_PLACE, RICH, key="k")
        assert raised.value.failure is failure
        assert not isinstance(raised.value, RichRejectedError)
        assert adapter.answer_dialect(None) is not adapter.dialect
    assert len(params_of(bot_api, "sendRichMessage")) == 1
