"""Inline queries: what Telegram shows while a person types `@bot words` in any chat.

Nothing here costs tokens. Only the newest query of a person is answered, when they pause. Choosing a question asks it:
Telegram reports that as `chosen_inline_result`, if the operator has enabled feedback at @BotFather. For bots without
it, the question has a button, whose press counts as well; both have the same event key, so that it is asked once.
"""

import asyncio
from contextlib import nullcontext

import structlog
from telegram import Bot, ChosenInlineResult, InlineQuery, User
from telegram.error import TelegramError

from bots.telegram.errors import redact_token
from bots.telegram.foreign_messages import foreign_place, inline_token, is_message_id, message_content
from bots.telegram.http_client import call_method
from bots.telegram.identity import sender_of
from bots.telegram.rich_dialect import rich_content
from bots.telegram.rich_messages import RichMessages
from bots.telegram.timings import TelegramTimings
from core.errors import RichRejectedError, StoreError
from core.port import EventKind, Incoming, Place, Sender
from core.suggestions import Suggestion, Suggestions, SupportsSuggestions

ASK_RESULT = "ask"
ASK_ACTION = "ask:"
"""The beginning of the data of the button, which the core does not know."""
START_PARAMETER = "inline"
MAX_HINT_CHARS = 64
MAX_PEOPLE = 200
"""How many people's queries wait or are answered at the same time."""

log = structlog.get_logger(__name__)


def translate_chosen(chosen: ChosenInlineResult, me: User) -> Incoming | None:
    """The question that a person has placed; None for a finished text."""
    if chosen.result_id != ASK_RESULT or not is_message_id(chosen.inline_message_id) or chosen.from_user.is_bot:
        return None
    return _question(
        foreign_place(inline_token(chosen.inline_message_id), chosen.from_user, me),
        sender_of(chosen.from_user),
        chosen.query,
        chosen.inline_message_id,
    )


def _question(place: Place, sender: Sender, text: str, inline_message_id: str) -> Incoming:
    key = f"inline:{inline_message_id}"  # one question a message, whatever reports it
    token = inline_token(inline_message_id)
    return Incoming(EventKind.PROMPT, key, place, sender, text, interaction_token=token)


class InlineQueries:
    def __init__(
        self,
        bot: Bot,
        me: User,
        inbox: SupportsSuggestions,
        rich_messages: RichMessages,
        timings: TelegramTimings,
    ) -> None:
        self._bot = bot
        self._rich_messages = rich_messages
        self._me = me
        self._inbox = inbox
        self._timings = timings
        self._clock = timings.clock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        """By person: the newest query."""

    def receive(self, query: InlineQuery) -> None:
        """Answer soon, unless the person goes on typing. Returns at once."""
        user = query.from_user
        previous = self._tasks.pop(user.id, None)
        if previous is not None:
            previous.cancel()
        if user.is_bot or len(self._tasks) >= MAX_PEOPLE:
            return
        task = self._tasks[user.id] = asyncio.create_task(self._answer(query))
        task.add_done_callback(lambda done: self._forget(user.id, done))

    def _forget(self, user_id: int, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(user_id) is task:
            del self._tasks[user_id]

    async def close(self) -> None:
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find_question(self, press: Incoming) -> Incoming | None:
        """The question that a button asks; None if it is another button, or offered to somebody else, or long ago.

        Raises `StoreError`.
        """
        if press.kind is not EventKind.BUTTON or not press.text.startswith(ASK_ACTION) or press.message_id is None:
            return None
        text = await self._inbox.find_question(press.text.removeprefix(ASK_ACTION), press.sender)
        return None if text is None else _question(press.place, press.sender, text, press.message_id)

    async def _answer(self, query: InlineQuery) -> None:
        await self._clock.sleep(self._timings.inline_query_delay)
        place = foreign_place(inline_token(f"query-{query.id}"), query.from_user, self._me)
        incoming = Incoming(EventKind.PROMPT, f"query:{query.id}", place, sender_of(query.from_user), query.query)
        try:
            try:
                await self._send(query, await self._inbox.suggest(incoming))
            except RichRejectedError:
                await self._send(query, await self._inbox.suggest(incoming, allows_rich=False))
        except StoreError as error:
            log.warning("telegram.inline_query_failed", error=str(error))
        except TelegramError as error:
            log.info("telegram.inline_query_failed", error=redact_token(str(error), self._bot.token))

    async def _send(self, query: InlineQuery, suggestions: Suggestions | None) -> None:
        """Raises `TelegramError`, and `RichRejectedError` if one of the suggestions is rich."""
        if suggestions is None:
            return
        is_rich = any(rich_content(item.part) is not None for item in suggestions.items)
        with self._rich_messages.recognising_refusals() if is_rich else nullcontext():
            await call_method(self._bot, "answerInlineQuery", self._parameters(query, suggestions))

    def _parameters(self, query: InlineQuery, suggestions: Suggestions) -> dict[str, object]:
        results = [_result(number, item) for number, item in enumerate(suggestions.items)]
        parameters: dict[str, object] = {
            "inline_query_id": query.id,
            "results": results,
            "cache_time": self._timings.inline_cache_seconds,
            "is_personal": True,
        }
        if suggestions.hint:
            parameters["button"] = {
                "text": suggestions.hint[:MAX_HINT_CHARS],
                "start_parameter": START_PARAMETER,
            }
        return parameters


def _result(number: int, item: Suggestion) -> dict[str, object]:
    result: dict[str, object] = {
        "type": "article",
        "id": ASK_RESULT if item.ask_label else f"text-{number}",
        "title": item.title,
        "description": item.description,
        "input_message_content": message_content(item.part),
    }
    if item.ask_label:
        # Without a keyboard, Telegram would not say which message it is.
        button = {"text": item.ask_label, "callback_data": f"{ASK_ACTION}{item.ask_token}"}
        result["reply_markup"] = {"inline_keyboard": [[button]]}
    return result
