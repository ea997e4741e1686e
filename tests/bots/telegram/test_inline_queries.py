"""Inline queries between Telegram and the inbox: which are answered, and when."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog
from telegram import InlineQuery, User

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.adapter import create_bot
from bots.telegram.foreign_messages import foreign_place, inline_token
from bots.telegram.identity import sender_of
from bots.telegram.inline_queries import InlineQueries
from bots.telegram.rich_dialect import RichDialect
from bots.telegram.rich_messages import RichMessages
from core.errors import StoreError
from core.markdown.document import Document, ThematicBreak
from core.port import EventKind, Incoming, Part, RichMode, Sender
from core.suggestions import Suggestion, Suggestions
from tests.bots.telegram.conftest import FAST_TIMINGS, TOKEN, params_of, wait_for_calls
from tests.bots.telegram.payloads import ADA, BOB, BOT
from tests.clock import FakeClock

PERSON, OTHER, ME = (User.de_json(person, None) for person in (ADA, BOB, BOT))
QUESTION = Suggestions((Suggestion("Ask", "why?", Part("why?"), "Get the answer", "token"),))


class FakeInbox:
    """Suggests one question to everybody, and remembers no more than that one."""

    def __init__(self, suggest: Callable[[Incoming], Suggestions | None]) -> None:
        self._suggest = suggest
        self.asked: list[Incoming] = []

    async def suggest(self, query: Incoming, *, allows_rich: bool = True) -> Suggestions | None:
        self.asked.append(query)
        return self._suggest(query) if allows_rich else QUESTION

    async def find_question(self, ask_token: str, sender: Sender) -> str | None:
        return "why?" if (ask_token, sender) == ("token", sender_of(PERSON)) else None


class World:
    def __init__(
        self, server: TelegramStandIn, queries: InlineQueries, clock: FakeClock, asked: list[Incoming]
    ) -> None:
        self.server, self.queries, self.clock, self.asked = server, queries, clock, asked

    async def type(self, text: str, person: User = PERSON) -> str:
        user = self.server.users.get(person.id) or self.server.create_user(person.first_name, id=person.id)
        query_id = await self.server.type_inline(user, text)
        self.queries.receive(InlineQuery(query_id, person, text, ""))
        return query_id

    async def pause(self) -> None:
        await self.clock.settle()
        await self.clock.advance(1)

    def button(self, index: int = -1) -> str:
        (result,) = params_of(self.server, "answerInlineQuery")[index]["results"]
        ((button,),) = result["reply_markup"]["inline_keyboard"]
        return str(button["callback_data"])


@asynccontextmanager
async def inline_queries(
    server: TelegramStandIn, suggest: Callable[[Incoming], Suggestions | None] = lambda _query: QUESTION
) -> AsyncIterator[World]:
    clock, inbox = FakeClock(), FakeInbox(suggest)
    bot = create_bot(TOKEN, server.api_base, FAST_TIMINGS)
    await bot.initialize()
    queries = InlineQueries(bot, ME, inbox, RichMessages(bot), replace(FAST_TIMINGS, clock=clock))
    try:
        yield World(server, queries, clock, inbox.asked)
    finally:
        await queries.close()
        await bot.shutdown()


def press(data: str, person: User = PERSON, message_id: str = "message-1") -> Incoming:
    place = foreign_place(inline_token(message_id), person, ME)
    return Incoming(EventKind.BUTTON, "u1", place, sender_of(person), data, message_id=message_id)


async def test_only_the_newest_query_of_a_person_is_answered(bot_api: TelegramStandIn) -> None:
    async with inline_queries(bot_api) as world:
        for text in ("w", "wh"):
            await world.type(text)
            await world.clock.advance(0.1)
        last = await world.type("why")
        other = await world.type("how", OTHER)
        await world.pause()
        await wait_for_calls(bot_api, "answerInlineQuery", 2)
        assert [query.text for query in world.asked] == ["why", "how"]
        assert {params["inline_query_id"] for params in params_of(bot_api, "answerInlineQuery")} == {last, other}


async def test_query_waits_until_the_person_pauses(bot_api: TelegramStandIn) -> None:
    async with inline_queries(bot_api) as world:
        await world.type("why")
        await world.clock.advance(0.3)
        assert world.asked == []
        await world.clock.advance(0.2)
        assert len(world.asked) == 1
        assert world.asked[0].place.is_foreign
        assert world.asked[0].sender.language == "en"


async def test_nothing_is_sent_to_people_without_access(bot_api: TelegramStandIn) -> None:
    async with inline_queries(bot_api, lambda _query: None) as world:
        await world.type("why")
        await world.pause()
        assert len(world.asked) == 1
        assert bot_api.calls_to("answerInlineQuery") == []


@pytest.mark.parametrize("reply", [ScriptedReply.error(400, "Bad Request: query is too old"), ScriptedReply(502)])
async def test_refused_answer_is_not_repeated(bot_api: TelegramStandIn, reply: ScriptedReply) -> None:
    async with inline_queries(bot_api) as world:
        bot_api.script.add("answerInlineQuery", reply)
        await world.type("why")
        await world.pause()
        await bot_api.wait_for(lambda: [call for call in bot_api.calls_to("answerInlineQuery") if call.status])
        await world.clock.advance(100)
        assert len(bot_api.calls_to("answerInlineQuery")) == 1


@pytest.mark.parametrize(
    ("refusal", "calls"),
    [("message text is empty", 2), ("can't parse blocks", 2), ("query is too old", 1)],
)
async def test_refused_rich_message_is_offered_as_text(bot_api: TelegramStandIn, refusal: str, calls: int) -> None:
    shared = Suggestions((Suggestion("Shared", "", RichDialect(RichMode.ALWAYS).render(Document((ThematicBreak(),)))),))
    async with inline_queries(bot_api, lambda _query: shared) as world:
        bot_api.script.add("answerInlineQuery", ScriptedReply.error(400, f"Bad Request: {refusal}"))
        await world.type("why")
        await world.pause()
        await wait_for_calls(bot_api, "answerInlineQuery", calls)
        await world.clock.settle()
    first, *others = params_of(bot_api, "answerInlineQuery")
    assert "rich_message" in first["results"][0]["input_message_content"]
    assert [params["results"][0]["input_message_content"]["message_text"] for params in others] == ["why?"] * (
        calls - 1
    )


async def test_failing_database_ends_no_other_query(bot_api: TelegramStandIn) -> None:
    def suggest(query: Incoming) -> Suggestions:
        if query.text == "why":
            raise StoreError("The disk is full")
        return QUESTION

    async with inline_queries(bot_api, suggest) as world:
        with structlog.testing.capture_logs() as logs:
            await world.type("why")
            await world.pause()
        assert [entry["event"] for entry in logs] == ["telegram.inline_query_failed"]
        await world.type("how")
        await world.pause()
        await wait_for_calls(bot_api, "answerInlineQuery")


async def test_button_asks_only_for_the_person_to_whom_it_was_offered(bot_api: TelegramStandIn) -> None:
    async with inline_queries(bot_api) as world:
        await world.type("why")
        await world.pause()
        await wait_for_calls(bot_api, "answerInlineQuery")
        data = world.button()
        assert await world.queries.find_question(press(data, OTHER)) is None
        assert await world.queries.find_question(press("ask:guess")) is None
        assert await world.queries.find_question(press("stop:1")) is None
        question = await world.queries.find_question(press(data))
        assert question is not None
        assert (question.kind, question.text, question.key) == (EventKind.PROMPT, "why?", "inline:message-1")
        assert question.interaction_token == "inline:message-1"


async def test_closing_ends_what_waits(bot_api: TelegramStandIn) -> None:
    async with inline_queries(bot_api) as world:
        await world.type("why")
        await world.queries.close()
        await world.pause()
        assert world.asked == []
