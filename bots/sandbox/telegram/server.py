"""The server: the Bot API's methods over HTTP, and people who use the chats."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bots.sandbox.telegram.limits import Flood, Limits
from bots.sandbox.telegram.rules import (
    Refusal,
    entities_of,
    keyboard_of,
    parse_entities,
    text_of,
)
from bots.sandbox.telegram.world import Bot, Chat, Draft, Event, Json, Message, Person, units

__all__ = ["Call", "Fault", "TelegramStandIn"]

T = TypeVar("T")
DRAFT_LIVES = 30.0  # seconds
RECORDS = 20_000
LIMITED = {"sendmessage", "sendmessagedraft", "editmessagetext", "editmessagereplymarkup"}


@dataclass(slots=True)
class Call:
    """What the bot asked, and the answer. `status` is 0 while there is none."""

    method: str
    params: Json
    time: float
    status: int = 0
    result: Any = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An ordered failure: 429, 500, 502, drop_before, drop_after or delay."""

    kind: str
    seconds: float = 0.0


class TelegramStandIn:
    """`faults` is asked before each call and may order one to fail."""

    def __init__(
        self,
        *,
        token: str = "123456789:AAsandbox-token-for-telegram-stand-in",  # noqa: S107 (a stand-in's)
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token
        self.base_url = ""
        self.bot = Bot(int(token.partition(":")[0]), "Parley", username="parley_sandbox_bot")
        self.privacy = True
        self.faults: Callable[[Call], Fault | None] | None = None
        self.calls: deque[Call] = deque(maxlen=RECORDS)
        self.drafts: deque[Draft] = deque(maxlen=RECORDS)
        self.answered: dict[str, str] = {}
        self._clock = clock
        self._flood = Flood(limits or Limits(), clock)
        self._chats: dict[int, Chat] = {}
        self._ids = itertools.count(1000)
        self._group_ids = itertools.count(1)
        self._updates: list[Json] = []
        self._update_ids = itertools.count(1)
        self._allowed: list[str] | None = None
        self._commands: dict[str, list[Json]] = {}
        self._queries: set[str] = set()
        self._polls = 0
        self._live: dict[tuple[int, int | None], Draft] = {}
        self._watchers: list[tuple[Chat, asyncio.Queue[Event]]] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=60 * 1024 * 1024)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.base_url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    # -- people

    def person(self, name: str, *, id: int | None = None, language: str = "en") -> Person:  # noqa: A002
        return Person(id or next(self._ids), name, language)

    def _chat(self, chat: Chat) -> Chat:
        self._chats[chat.id] = chat
        return chat

    def private(self, person: Person) -> Chat:
        known = self._chats.get(person.id)
        return known or self._chat(Chat(person.id, "private", person.name, [person]))

    def group(self, title: str, *people: Person) -> Chat:
        return self._chat(Chat(-next(self._group_ids), "group", title, list(people)))

    def supergroup(self, title: str, *people: Person) -> Chat:
        id_ = -1_000_000_000_000 - next(self._group_ids)
        return self._chat(Chat(id_, "supergroup", title, list(people)))

    def forum(self, title: str, *people: Person) -> Chat:
        chat = self.supergroup(title, *people)
        chat.forum = True
        chat.last_message = 1  # the General topic has id 1
        return chat

    def topic(self, chat: Chat, name: str) -> int:
        chat.last_message += 1
        chat.topics[chat.last_message] = name
        return chat.last_message

    async def say(
        self,
        person: Person,
        chat: Chat,
        text: str,
        *,
        thread: int | None = None,
        reply_to: int | Message | None = None,
        **extra: Any,
    ) -> Message:
        target = reply_to.id if isinstance(reply_to, Message) else reply_to
        message = self._append(
            chat, person.json(), text, thread=thread, reply_to=target, extra=extra
        )
        message.entities = parse_entities(text)
        if chat.private or not self.privacy or self._heard(message):
            self._update("message", message.json())
        await self._note(chat, Event("sent", message))
        return message

    def _heard(self, message: Message) -> bool:
        """Whether the bot hears a message in a group while its privacy mode is on."""
        target = message.chat.find(message.reply_to)
        if target is not None and target.from_bot:
            return True
        if f"@{self.bot.username}" in message.text.lower():
            return True
        first = message.text.split(" ", 1)[0]
        return first.startswith("/") and "@" not in first

    async def send_sticker(self, person: Person, chat: Chat) -> Message:
        sticker = {
            "file_id": "s1", "file_unique_id": "u1", "type": "regular", "width": 512,
            "height": 512, "is_animated": False, "is_video": False, "emoji": "🙂",
        }  # fmt: skip
        return await self.say(person, chat, "", sticker=sticker)

    async def send_document(self, person: Person, chat: Chat, name: str) -> Message:
        document = {"file_id": "d1", "file_unique_id": "u2", "file_name": name, "file_size": 1000}
        return await self.say(person, chat, "", document=document)

    async def press(self, person: Person, message: Message, data: str) -> str:
        """Press a button. Raises `ValueError` when `message` has none with `data`."""
        rows = (message.reply_markup or {}).get("inline_keyboard", [])
        if not any(button.get("callback_data") == data for row in rows for button in row):
            raise ValueError(f"no button with {data!r}")
        query = str(next(self._ids))
        self._queries.add(query)
        self._update(
            "callback_query",
            {
                "id": query, "from": person.json(), "chat_instance": "1", "data": data,
                "message": message.json(),
            },
        )  # fmt: skip
        await self._note(message.chat)
        return query

    async def stop_draft(self, chat: Chat, draft_id: int, thread: int | None = None) -> None:
        stopped: Json = {"chat": chat.json(), "draft_id": draft_id}
        if thread is not None:
            stopped["message_thread_id"] = thread
        self._update("stopped_message_generation", stopped)
        await self._note(chat)

    async def block(self, person: Person, chat: Chat) -> None:
        chat.blocked = True
        bot = self._bot_json()
        self._update(
            "my_chat_member",
            {
                "chat": chat.json(), "from": person.json(), "date": int(time.time()),
                "old_chat_member": {"status": "member", "user": bot},
                "new_chat_member": {"status": "kicked", "user": bot, "until_date": 0},
            },
        )  # fmt: skip
        await self._note(chat)

    # -- looking

    def messages(self, chat: Chat, thread: int | None = None) -> list[Message]:
        return [
            message
            for message in chat.messages
            if not message.deleted and (thread is None or message.thread == thread)
        ]

    def live_drafts(self, chat: Chat) -> list[Draft]:
        now = self._clock()
        return [
            draft
            for (id_, _), draft in self._live.items()
            if id_ == chat.id and now - draft.time < DRAFT_LIVES
        ]

    def refused(self, status: int = 429) -> list[Call]:
        return [call for call in self.calls if call.status == status]

    async def wait(self, condition: Callable[[], T], timeout: float = 10) -> T:
        """What `condition` returns, once it is true; looked at whenever something changed."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                return await self._changed.wait_for(condition)
        except TimeoutError:
            shown = "\n".join(self.visible(chat)[-1500:] for chat in self._chats.values())
            raise TimeoutError(f"not within {timeout} s; the chats:\n{shown[-4000:]}") from None

    def visible(self, chat: Chat, thread: int | None = None) -> str:
        lines = [f"{m.sender['first_name']}: {m.text}" for m in self.messages(chat, thread)]
        lines += [f"(draft) {draft.text}" for draft in self.live_drafts(chat)]
        return "\n".join(lines)

    async def watch(self, chat: Chat) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue(1000)
        entry = (chat, queue)
        self._watchers.append(entry)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(entry)

    async def _note(self, chat: Chat | None = None, event: Event | None = None) -> None:
        for watched, queue in self._watchers:
            if event is not None and watched is chat and not queue.full():
                queue.put_nowait(event)
        async with self._changed:
            self._changed.notify_all()

    # -- the wire

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"].lower()
        call = Call(request.match_info["method"], await _params(request), self._clock())
        self.calls.append(call)
        fault = self.faults(call) if self.faults is not None else None
        try:
            if fault is not None:
                await self._before(fault, request)
            if request.match_info["token"] != self.token:
                raise Refusal(401, "Unauthorized")
            handler = getattr(self, f"_do_{method}", None)
            if handler is None:
                raise Refusal(404, "Not Found")
            if method in LIMITED:
                self._limit(call)
            result = await handler(call.params)
            call.status, call.result = 200, result
            if fault is not None and fault.kind == "drop_after":
                _drop(request)
            answer = {"ok": True, "result": result}
        except Refusal as refusal:
            call.status = refusal.status
            answer = {
                "ok": False,
                "error_code": refusal.status,
                "description": refusal.description,
            }
            if refusal.parameters:
                answer["parameters"] = refusal.parameters
        await self._note()
        return web.Response(
            body=msgspec.json.encode(answer), status=call.status, content_type="application/json"
        )

    async def _before(self, fault: Fault, request: web.Request) -> None:
        match fault.kind:
            case "429":
                wait = max(1, round(fault.seconds))
                raise Refusal(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            case "500" | "502":
                raise Refusal(int(fault.kind), "Internal Server Error")
            case "drop_before":
                _drop(request)
            case "delay":
                await asyncio.sleep(fault.seconds)

    def _limit(self, call: Call) -> None:
        chat = self._chats.get(_int(call.params.get("chat_id")))
        if chat is not None:
            draft = call.method.lower() == "sendmessagedraft"
            wait = self._flood.wait(chat.id, private=chat.private, draft=draft)
            if wait > 0:
                seconds = max(1, -int(-wait // 1))
                raise Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)

    def _update(self, kind: str, content: Json) -> None:
        if self._allowed is None or kind in self._allowed or not self._allowed:
            self._updates.append({"update_id": next(self._update_ids), kind: content})

    def _append(
        self,
        chat: Chat,
        sender: Json,
        text: str,
        *,
        thread: int | None = None,
        reply_to: int | None = None,
        extra: Json | None = None,
    ) -> Message:
        chat.last_message += 1
        message = Message(
            chat.last_message, chat, sender, text, int(time.time()), thread, [], None, reply_to,
            extra or {},
        )  # fmt: skip
        chat.messages.append(message)
        return message

    def _bot_json(self) -> Json:
        return {
            "id": self.bot.id,
            "is_bot": True,
            "first_name": self.bot.name,
            "username": self.bot.username,
        }

    def _place(self, params: Json) -> tuple[Chat, int | None]:
        chat = self._chats.get(_int(params.get("chat_id")))
        if chat is None or chat.deleted:
            raise Refusal(400, "Bad Request: chat not found")
        if chat.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        thread = params.get("message_thread_id")
        if thread is not None and _int(thread) not in chat.topics:
            raise Refusal(400, "Bad Request: message thread not found")
        return chat, None if thread is None else _int(thread)

    def _own(self, params: Json, what: str) -> Message:
        chat, _ = self._place(params)
        message = chat.find(_int(params.get("message_id")))
        if message is None:
            raise Refusal(400, f"Bad Request: message to {what} not found")
        if not message.from_bot:
            raise Refusal(400, f"Bad Request: message can't be {what}ed")
        return message

    # -- methods

    async def _do_getme(self, _params: Json) -> Json:
        return {
            **self._bot_json(),
            "can_join_groups": True,
            "can_read_all_group_messages": not self.privacy,
            "supports_inline_queries": False,
            "supports_guest_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": True,
            "allows_users_to_create_topics": True,
        }

    async def _do_getupdates(self, params: Json) -> list[Json]:
        self._polls += 1
        mine = self._polls
        if "allowed_updates" in params:
            self._allowed = params["allowed_updates"]
        offset = _int(params.get("offset") or 0)
        if offset < 0:
            self._updates = self._updates[offset:]
        else:
            self._updates = [u for u in self._updates if u["update_id"] >= offset]
        await self._note()
        limit = _int(params.get("limit") or 100)
        try:
            async with asyncio.timeout(_int(params.get("timeout") or 0)), self._changed:
                await self._changed.wait_for(lambda: self._updates or self._polls != mine)
        except TimeoutError:
            return []
        if self._polls != mine:
            raise Refusal(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot "
                "instance is running",
            )
        return self._updates[:limit]

    async def _do_deletewebhook(self, _params: Json) -> bool:
        return True

    async def _do_getwebhookinfo(self, _params: Json) -> Json:
        waiting = len(self._updates)
        return {"url": "", "has_custom_certificate": False, "pending_update_count": waiting}

    async def _do_setmycommands(self, params: Json) -> bool:
        for command in params["commands"]:
            if (
                not 1 <= len(command["command"]) <= 32
                or not 1 <= len(command["description"]) <= 256
            ):
                raise Refusal(400, "Bad Request: BOT_COMMAND_INVALID")
        self._commands[str(params.get("scope"))] = params["commands"]
        return True

    async def _do_getmycommands(self, params: Json) -> list[Json]:
        return self._commands.get(str(params.get("scope")), [])

    async def _do_deletemycommands(self, params: Json) -> bool:
        self._commands.pop(str(params.get("scope")), None)
        return True

    async def _do_sendmessage(self, params: Json) -> Json:
        chat, thread = self._place(params)
        text, entities = entities_of(params, text_of(params))
        markup = keyboard_of(params)
        reply = params.get("reply_parameters") or {}
        target = reply.get("message_id")
        if target is not None and chat.find(target) is None:
            if not reply.get("allow_sending_without_reply"):
                raise Refusal(400, "Bad Request: message to be replied not found")
            target = None
        message = self._append(chat, self._bot_json(), text, thread=thread, reply_to=target)
        message.entities, message.reply_markup = entities, markup
        self._live.pop((chat.id, thread), None)
        await self._note(chat, Event("sent", message))
        return message.json()

    async def _do_sendmessagedraft(self, params: Json) -> bool:
        chat, thread = self._place(params)
        if not chat.private:
            raise Refusal(400, "Bad Request: method is available only in private chats")
        draft_id = _int(params.get("draft_id") or 0)
        if draft_id == 0:
            raise Refusal(400, "Bad Request: draft_id must be non-zero")
        text, _ = entities_of(params, text_of(params, empty=True))
        can_stop = params.get("can_stop") is True
        draft = Draft(chat.id, thread, draft_id, text, self._clock(), can_stop)
        self.drafts.append(draft)
        self._live[chat.id, thread] = draft
        await self._note(chat, Event("draft", text=text))
        return True

    async def _do_editmessagetext(self, params: Json) -> Json:
        message = self._own(params, "edit")
        text, entities = entities_of(params, text_of(params))
        markup = keyboard_of(params)
        if (text, entities, markup) == (message.text, message.entities, message.reply_markup):
            raise Refusal(
                400,
                "Bad Request: message is not modified: specified new message content and reply "
                "markup are exactly the same as a current content and reply markup of the message",
            )
        message.edits.append(message.text)
        message.text, message.entities, message.reply_markup = text, entities, markup
        await self._note(message.chat, Event("edited", message))
        return message.json()

    async def _do_editmessagereplymarkup(self, params: Json) -> Json:
        message = self._own(params, "edit")
        message.reply_markup = keyboard_of(params)
        await self._note(message.chat, Event("edited", message))
        return message.json()

    async def _do_deletemessage(self, params: Json) -> bool:
        chat, _ = self._place(params)
        message = chat.find(_int(params.get("message_id")))
        if message is None:
            raise Refusal(400, "Bad Request: message to delete not found")
        message.deleted = True
        await self._note(chat, Event("deleted", message))
        return True

    async def _do_sendchataction(self, params: Json) -> bool:
        chat, _ = self._place(params)
        await self._note(chat, Event("typing"))
        return True

    async def _do_answercallbackquery(self, params: Json) -> bool:
        query = str(params.get("callback_query_id"))
        if query not in self._queries:
            raise Refusal(
                400,
                "Bad Request: query is too old and response timeout expired or query ID is invalid",
            )
        if units(str(params.get("text") or "")) > 200:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        self._queries.discard(query)
        self.answered[query] = str(params.get("text") or "")
        return True

    async def _do_getchat(self, params: Json) -> Json:
        chat, _ = self._place(params)
        return {
            **chat.json(),
            "accent_color_id": 0,
            "max_reaction_count": 11,
            "accepted_gift_types": {
                "unlimited_gifts": False,
                "limited_gifts": False,
                "unique_gifts": False,
                "premium_subscription": False,
                "gifts_from_channels": False,
            },
        }

    async def _do_getchatmember(self, params: Json) -> Json:
        chat, _ = self._place(params)
        user = _int(params.get("user_id"))
        member = next((person for person in chat.members if person.id == user), None)
        if member is None:
            raise Refusal(400, "Bad Request: user not found")
        return {"status": "member", "user": member.json()}


def _drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


def _int(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise Refusal(400, "Bad Request: chat not found") from None


async def _params(request: web.Request) -> Json:
    """The parameters of a call, from a query, a form or JSON; JSON inside a form is read."""
    given: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.read()
        return {**given, **(msgspec.json.decode(body) if body else {})}
    for name, value in (await request.post()).items():
        given[name] = value
    return {name: _value(name, value) for name, value in given.items()}


PLAIN = {"text", "callback_query_id", "description", "parse_mode", "name"}


def _value(name: str, value: object) -> object:
    if not isinstance(value, str) or name in PLAIN:
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
