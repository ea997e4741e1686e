"""Inline and guest queries: what people do in chats that the bot may not be in, and the methods that answer them.

A message of an inline query is sent by the person, by way of the bot (`via_bot`). The bot knows only its ID, and that
only if the message has a keyboard.
"""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.entities import detect_entities, parse_text
from bots.sandbox.telegram.errors import bad_request, not_found
from bots.sandbox.telegram.messages import inline_keyboard
from bots.sandbox.telegram.rich import parse_rich_message
from bots.sandbox.telegram.state import Chat, Message, RichMessage, User

MAX_QUERY_CHARS = 256
MAX_RESULTS = 50
MAX_RESULT_ID_BYTES = 64
MAX_BUTTON_CHARS = 64
QUERY_LIFETIME_SECONDS = 30.0
OLD_QUERY = "query is too old and response timeout expired or query ID is invalid"
START_PARAMETER_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True, slots=True)
class InlineAnswer:
    """What a person sees while they type."""

    results: list[Json]
    button: Json | None
    cache_time: int
    is_personal: bool


@dataclass(frozen=True, slots=True)
class _Query:
    user: User
    text: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Content:
    text: str
    entities: list[Json]
    rich: RichMessage | None
    markup: Json | None


class InlineBackend(ClientBackend):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.has_inline_feedback = True
        """Whether the bot learns which result a person has chosen (/setinlinefeedback)."""
        self.inline_answers: dict[str, InlineAnswer] = {}
        """By query."""
        self._inline_queries: dict[str, _Query] = {}
        self._guest_queries: dict[str, Message] = {}
        """Those that are not answered yet."""
        self._inline_query_ids = itertools.count(7_000_000_001)

    async def type_inline(self, user: User, text: str, *, chat_type: str = "supergroup") -> str:
        """Type after the bot's name in a chat. Returns the query's ID, by which `inline_answers` has the answer."""
        query_id = str(next(self._inline_query_ids))
        self._inline_queries[query_id] = _Query(user, text[:MAX_QUERY_CHARS], self.clock.monotonic())
        payload = {"id": query_id, "from": user.json(), "query": text[:MAX_QUERY_CHARS], "offset": ""}
        self.updates.add("inline_query", payload | {"chat_type": chat_type}, user.id)
        self.notify_waiters()
        return query_id

    async def choose_result(self, query_id: str, chat: Chat, result_id: str) -> Message:
        """Send a result to a chat. Raises `KeyError` if the bot has not offered it."""
        query, answer = self._inline_queries[query_id], self.inline_answers[query_id]
        result = {result["id"]: result for result in answer.results}[result_id]
        content = _parse_result(self, result)
        message = self._add_inline_message(chat, query.user, content, via_bot=self.bot.json())
        if content.markup is None:
            message.inline_id = ""
        self.notify_bot("message", message)
        if self.has_inline_feedback:
            chosen: Json = {"result_id": result_id, "from": query.user.json(), "query": query.text}
            if message.inline_id:
                chosen["inline_message_id"] = message.inline_id
            self.updates.add("chosen_inline_result", chosen, query.user.id)
            self.notify_waiters()
        return message

    async def summon(self, user: User, chat: Chat, text: str, **extra_fields: Any) -> Message:
        """Write a message that mentions the bot, in a chat that it is not in."""
        query_id = str(next(self._inline_query_ids))
        message = self.add_message(chat, user, text, entities=detect_entities(text), extra_fields=extra_fields)
        self._guest_queries[query_id] = message
        self.updates.add("guest_message", message.json() | {"guest_query_id": query_id}, user.id)
        self.notify_waiters()
        return message

    def answer_guest(self, query_id: str, content: _Content) -> Message:
        question = self._guest_queries.pop(query_id, None)
        if question is None:
            raise bad_request(OLD_QUERY)
        caller = {"guest_bot_caller_user": question.sender.json()}
        return self._add_inline_message(question.chat, self.bot, content, reply_to_id=question.id, **caller)

    def expire_guest_queries(self) -> None:
        """Telegram no longer waits for answers."""
        self._guest_queries.clear()

    def _add_inline_message(
        self, chat: Chat, sender: User, content: _Content, reply_to_id: int | None = None, **extra_fields: Any
    ) -> Message:
        message = self.add_message(
            chat,
            sender,
            content.text,
            entities=content.entities,
            reply_markup=content.markup,
            reply_to_id=reply_to_id,
            extra_fields=extra_fields,
            rich=content.rich,
        )
        message.inline_id = secrets.token_urlsafe(18)
        self.inline_messages[message.inline_id] = message
        self.publish(chat, ChatEvent(ChatEventKind.EDITED, message))
        return message

    def answer_inline(self, query_id: str, answer: InlineAnswer) -> None:
        query = self._inline_queries.get(query_id)
        is_old = query is None or self.clock.monotonic() - query.asked_at > QUERY_LIFETIME_SECONDS
        if is_old or query_id in self.inline_answers:
            raise bad_request(OLD_QUERY)
        self.inline_answers[query_id] = answer
        self.notify_waiters()


def answer_inline_query(backend: InlineBackend, params: Json) -> bool:
    results = params.get("results")
    if not isinstance(results, list):
        raise bad_request("can't parse results: expected an Array of InlineQueryResult")
    if len(results) > MAX_RESULTS:
        raise bad_request("RESULTS_TOO_MUCH")
    for result in results:
        _parse_result(backend, result)
    ids = [result["id"] for result in results]
    if len(set(ids)) != len(ids):
        raise bad_request("RESULT_ID_DUPLICATE")
    cache_time = params.get("cache_time")
    answer = InlineAnswer(
        results,
        _check_hint(params.get("button")),
        300 if cache_time is None else int(cache_time),
        params.get("is_personal") is True,
    )
    backend.answer_inline(str(params.get("inline_query_id") or ""), answer)
    return True


def answer_guest_query(backend: InlineBackend, params: Json) -> Json:
    if not backend.supports_guests:
        raise not_found(": method not found")
    content = _parse_result(backend, params.get("result"))
    message = backend.answer_guest(str(params.get("guest_query_id") or ""), content)
    return {"inline_message_id": message.inline_id}


def _parse_result(backend: InlineBackend, result: Any) -> _Content:
    """Only articles."""
    if not isinstance(result, dict):
        raise bad_request("can't parse inline query result: expected an Object")
    if result.get("type") != "article":
        raise bad_request("can't parse inline query result: unallowed result type")
    result_id = result.get("id")
    if not isinstance(result_id, str) or not 1 <= len(result_id.encode()) <= MAX_RESULT_ID_BYTES:
        raise bad_request("RESULT_ID_INVALID")
    if not str(result.get("title") or "").strip():
        raise bad_request('can\'t parse inline query result: Field "title" must be of type String')
    content = result.get("input_message_content")
    if not isinstance(content, dict):
        raise bad_request("can't parse InlineQueryResult: message content is not specified")
    markup = inline_keyboard(result)
    if "rich_message" in content:
        if not backend.has_rich_messages:
            raise bad_request("message text is empty")
        rich = parse_rich_message(content["rich_message"])
        return _Content(rich.text, [], rich, markup)
    text, entities = parse_text({**content, "text": content.get("message_text")})
    return _Content(text, entities, None, markup)


def _check_hint(button: Any) -> Json | None:
    if button in (None, ""):
        return None
    text, parameter = (str(button.get(name) or "") for name in ("text", "start_parameter"))
    if not 1 <= len(text) <= MAX_BUTTON_CHARS:
        raise bad_request("BUTTON_TEXT_INVALID")
    if not 1 <= len(parameter) <= 64 or not START_PARAMETER_CHARS.issuperset(parameter):
        raise bad_request("START_PARAM_INVALID")
    return {"text": text, "start_parameter": parameter}


INLINE_METHODS: dict[str, Callable[[InlineBackend, Json], object]] = {
    "answerinlinequery": answer_inline_query,
    "answerguestquery": answer_guest_query,
}
