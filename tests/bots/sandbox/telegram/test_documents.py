"""Files that the bot sends."""

import aiohttp
import pytest
from telegram.error import BadRequest, RetryAfter
from telegram.ext import ExtBot

from bots.sandbox.telegram import Chat, Limits, TelegramStandIn
from bots.sandbox.telegram.limits import TokenBucket
from tests.bots.sandbox.telegram.conftest import CallMethod

CONTENT = "# Größe\n".encode()


@pytest.fixture
def chat(server: TelegramStandIn) -> Chat:
    return server.open_private_chat(server.create_user("Ann"))


async def test_document_can_be_read_by_people_and_fetched_by_the_bot(
    server: TelegramStandIn, bot: ExtBot[None], chat: Chat
) -> None:
    sent = await bot.send_document(chat.id, CONTENT, caption="all of it", filename="answer.md")
    assert sent.document is not None
    assert (sent.document.file_name, sent.document.file_size, sent.caption) == ("answer.md", len(CONTENT), "all of it")
    [message] = server.messages(chat)
    assert (message.text, message.file_name, server.document_content(message)) == ("all of it", "answer.md", CONTENT)
    assert "all of it <answer.md>" in server.transcript(chat)
    async with aiohttp.ClientSession() as http, http.get(server.document_url(message)) as response:
        assert await response.read() == CONTENT
    assert (await sent.document.get_file()).file_size == len(CONTENT)


async def test_invalid_document_is_refused(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    with pytest.raises(BadRequest, match="caption is too long"):
        await bot.send_document(chat.id, CONTENT, caption="😀" * 513)
    with pytest.raises(BadRequest, match="File must be non-empty"):
        await bot.send_document(chat.id, b"")
    with pytest.raises(BadRequest, match="Wrong remote file identifier"):
        await bot.send_document(chat.id, "unknown")
    assert server.messages(chat) == []


async def test_missing_document_is_refused(call_method: CallMethod, chat: Chat) -> None:
    assert await call_method("sendDocument", chat_id=chat.id) == (
        400,
        "Bad Request: there is no document in the request",
    )


async def test_group_can_forbid_documents_to_members(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    ann = server.create_user("Ann")
    group = server.create_supergroup("Friends", ann)
    group.allows_documents = False
    with pytest.raises(BadRequest, match="Not enough rights to send documents to the chat"):
        await bot.send_document(group.id, CONTENT)
    await bot.send_message(group.id, "hello")
    await server.promote_bot(ann, group)
    await bot.send_document(group.id, CONTENT, filename="answer.md")
    assert [message.file_name for message in server.messages(group)] == ["", "answer.md"]


async def test_document_has_no_text_to_edit(bot: ExtBot[None], chat: Chat) -> None:
    sent = await bot.send_document(chat.id, CONTENT, caption="all of it")
    with pytest.raises(BadRequest, match="no text in the message to edit"):
        await bot.edit_message_text("changed", chat.id, sent.message_id)


async def test_documents_count_as_messages(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    server.flood_control.limits = Limits(private=TokenBucket(burst=1, rate=0.001, penalty_seconds=9))
    await bot.send_document(chat.id, CONTENT)
    with pytest.raises(RetryAfter):
        await bot.send_document(chat.id, CONTENT)
