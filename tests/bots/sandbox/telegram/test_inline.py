"""The stand-in's inline and guest queries, with the real library as the bot."""

from typing import Any

import pytest
from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InlineQueryResultsButton,
    InputTextMessageContent,
)
from telegram.error import BadRequest
from telegram.ext import ExtBot

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram import Chat, TelegramStandIn, User
from bots.sandbox.telegram.state import MemberStatus
from tests.bots.sandbox.telegram.conftest import CallMethod
from tests.clock import FakeClock

ARTICLE: Json = {"type": "article", "id": "1", "title": "x", "input_message_content": {"message_text": "x"}}
KEYBOARD = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="x")]])


def article(id_: str, text: str = "text", **options: Any) -> InlineQueryResultArticle:
    return InlineQueryResultArticle(id_, "title", InputTextMessageContent(text), **options)


@pytest.fixture
def ann(server: TelegramStandIn) -> User:
    return server.create_user("Ann")


@pytest.fixture
def elsewhere(server: TelegramStandIn, ann: User) -> Chat:
    """A group that the bot is not in."""
    chat = server.create_supergroup("Elsewhere", ann)
    chat.bot_status = MemberStatus.LEFT
    return chat


async def test_chosen_result_becomes_a_message_that_the_bot_can_edit(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, elsewhere: Chat
) -> None:
    query_id = await server.type_inline(ann, "why?")
    (update,) = await bot.get_updates()
    assert update.inline_query is not None
    assert (update.inline_query.id, update.inline_query.query) == (query_id, "why?")
    button = InlineQueryResultsButton("Open", start_parameter="x")
    results = [article("1", reply_markup=KEYBOARD), article("2")]
    await bot.answer_inline_query(query_id, results, cache_time=5, is_personal=True, button=button)
    answer = server.inline_answers[query_id]
    assert (answer.cache_time, answer.is_personal, answer.button) == (5, True, {"text": "Open", "start_parameter": "x"})

    message = await server.choose_result(query_id, elsewhere, "1")
    assert (message.sender, message.text) == (ann, "text")
    chosen = (await bot.get_updates(offset=update.update_id + 1))[-1].chosen_inline_result
    assert chosen is not None
    assert (chosen.result_id, chosen.query, chosen.inline_message_id) == ("1", "why?", message.inline_id)
    assert await bot.edit_message_text("edited", inline_message_id=chosen.inline_message_id) is True
    assert (message.text, message.buttons) == ("edited", [])


async def test_bot_does_not_learn_the_message_of_a_result_without_keyboard(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, elsewhere: Chat
) -> None:
    query_id = await server.type_inline(ann, "why?")
    await bot.answer_inline_query(query_id, [article("1")])
    assert not (await server.choose_result(query_id, elsewhere, "1")).inline_id
    chosen = (await bot.get_updates())[-1].chosen_inline_result
    assert chosen is not None
    assert chosen.inline_message_id is None


async def test_without_feedback_nothing_is_reported_but_presses(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, elsewhere: Chat
) -> None:
    server.has_inline_feedback = False
    query_id = await server.type_inline(ann, "why?")
    await bot.answer_inline_query(query_id, [article("1", reply_markup=KEYBOARD)])
    message = await server.choose_result(query_id, elsewhere, "1")
    await server.press_button(ann, message, "x")
    updates = await bot.get_updates()
    assert [update.chosen_inline_result for update in updates] == [None, None]
    query = updates[-1].callback_query
    assert query is not None
    assert (query.inline_message_id, query.message) == (message.inline_id, None)


@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({"results": "x"}, "can't parse results: expected an Array of InlineQueryResult"),
        ({"results": [ARTICLE] * 51}, "RESULTS_TOO_MUCH"),
        ({"results": [ARTICLE] * 2}, "RESULT_ID_DUPLICATE"),
        ({"results": [ARTICLE | {"id": "ü" * 33}]}, "RESULT_ID_INVALID"),
        (
            {"results": [ARTICLE | {"title": " "}]},
            'can\'t parse inline query result: Field "title" must be of type String',
        ),
        ({"results": [ARTICLE | {"type": "game"}]}, "can't parse inline query result: unallowed result type"),
        ({"results": [ARTICLE | {"input_message_content": None}]}, "message content is not specified"),
        ({"results": [ARTICLE | {"input_message_content": {"message_text": "x" * 4097}}]}, "message is too long"),
        ({"results": [], "button": {"text": "x" * 65, "start_parameter": "x"}}, "BUTTON_TEXT_INVALID"),
        ({"results": [], "button": {"text": "x", "start_parameter": "ü"}}, "START_PARAM_INVALID"),
        (
            {"results": [], "inline_query_id": "1"},
            "query is too old and response timeout expired or query ID is invalid",
        ),
    ],
)
async def test_invalid_answers_are_refused(
    server: TelegramStandIn, call_method: CallMethod, ann: User, params: Json, description: str
) -> None:
    query_id = await server.type_inline(ann, "why?")
    status, error = await call_method("answerInlineQuery", **{"inline_query_id": query_id, **params})
    assert (status, description in error) == (400, True), error


async def test_query_is_answered_once_and_in_time(bot: ExtBot[None], server: TelegramStandIn, ann: User) -> None:
    server.clock = clock = FakeClock()
    query_id, late_id = [await server.type_inline(ann, text) for text in ("why?", "how?")]
    await bot.answer_inline_query(query_id, [])
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_inline_query(query_id, [])
    await clock.advance(31)
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_inline_query(late_id, [])


async def test_guest_query_is_answered_once(
    server: TelegramStandIn, bot: ExtBot[None], ann: User, elsewhere: Chat
) -> None:
    question = await server.summon(ann, elsewhere, f"@{server.bot.username} why?")
    guest = (await bot.get_updates())[-1].guest_message
    assert guest is not None
    assert guest.guest_query_id is not None
    sent = await bot.answer_guest_query(guest.guest_query_id, article("1", "because"))
    reply = server.messages(elsewhere)[-1]
    assert (reply.text, reply.reply_to_id, reply.inline_id) == ("because", question.id, sent.inline_message_id)
    assert await bot.edit_message_text("edited", inline_message_id=sent.inline_message_id) is True
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_guest_query(guest.guest_query_id, article("1"))


async def test_edit_of_an_unknown_inline_message_is_refused(bot: ExtBot[None]) -> None:
    with pytest.raises(BadRequest, match="Message_id_invalid"):
        await bot.edit_message_text("x", inline_message_id="unknown")
