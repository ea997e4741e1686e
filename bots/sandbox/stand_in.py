"""What the stand-ins share: a server on loopback, waiting for changes, fault injection.

`StandIn` is the base of all three, `ChatStandIn` of the two chat platforms. What a request means
is up to each stand-in.
"""

import asyncio
import re
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import msgspec
from aiohttp import web

from core.clock import Clock

T = TypeVar("T")
ChatT = TypeVar("ChatT")
MessageT = TypeVar("MessageT")
CallT = TypeVar("CallT", bound="RecordedCall")
ChatT_contra = TypeVar("ChatT_contra", contravariant=True)
CallT_contra = TypeVar("CallT_contra", contravariant=True)
Json = dict[str, Any]

MAX_RECORDS = 20_000
MAX_UNREAD_EVENTS = 1000
MAX_TRANSCRIPT_CHARS = 4000
SHUTDOWN_TIMEOUT_SECONDS = 0.1
SETTLE_SECONDS = 0.002
"""Changes within this time are gathered before conditions are evaluated again."""
RECHECK_INTERVAL = 0.5
"""Seconds after which conditions are evaluated without a change: time alone makes some true."""


class FaultKind(StrEnum):
    RATE_LIMITED = "429"
    INTERNAL_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    DROP_BEFORE = "drop_before"
    """The connection closes before the call has an effect."""
    DROP_AFTER = "drop_after"
    """The connection closes when the call has had its effect."""
    DELAY = "delay"


@dataclass(frozen=True, slots=True)
class Fault:
    """An injected failure of a call. `seconds`: how long the bot must wait, or the delay."""

    kind: FaultKind
    seconds: float = 0.0


class ChatEventKind(StrEnum):
    SENT = "sent"
    EDITED = "edited"
    DELETED = "deleted"
    DRAFT = "draft"
    DRAFT_GONE = "draft_gone"
    TYPING = "typing"


class StandIn:
    """`clock` is what limits, expiry and answers go by; `wait_for` waits in real time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._runner: web.AppRunner | None = None
        self._changed: asyncio.Future[None] | None = None

    async def _serve(self, app: web.Application, host: str, port: int) -> str:
        """Serve `app`. Returns HOST:PORT."""
        # With handler_cancellation a handler learns at once that its client has left.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return f"{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._connections())

    def drop_connections(self) -> int:
        """Close all open connections without an answer; new ones are accepted. Returns how many there were."""
        transports = [connection.transport for connection in self._connections() if connection.transport is not None]
        for transport in transports:
            transport.abort()
        return len(transports)

    def _connections(self) -> "list[web.RequestHandler]":
        server = self._runner.server if self._runner is not None else None
        return server.connections if server is not None else []

    async def wait_for(self, condition: Callable[[], T], timeout: float | None = 10) -> T:
        """The first true result of `condition`, which is evaluated after every change.

        Raises `TimeoutError`, with the transcripts of the chats, after `timeout` seconds (None: never).
        """
        try:
            async with asyncio.timeout(timeout):
                while not (result := condition()):
                    if self._changed is None or self._changed.done():
                        self._changed = asyncio.get_running_loop().create_future()
                    await asyncio.wait({self._changed}, timeout=RECHECK_INTERVAL)
                return result
        except TimeoutError:
            transcripts = "\n".join(self._transcripts())[-MAX_TRANSCRIPT_CHARS:]
            raise TimeoutError(f"not within {timeout} s\n{transcripts}") from None

    def notify_waiters(self) -> None:
        """Have the conditions of `wait_for` evaluated again, soon."""
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.get_loop().call_later(SETTLE_SECONDS, _set_done, changed)

    def _transcripts(self) -> list[str]:
        return []


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


@dataclass(frozen=True, slots=True)
class ChatEvent(Generic[MessageT]):
    """What a client sees."""

    kind: ChatEventKind
    message: MessageT | None = None
    text: str = ""
    """The text of a draft."""


class ChatWatcher(AsyncIterator[ChatEvent[MessageT]], Generic[ChatT, MessageT]):
    """The events of one chat; drops the oldest when nobody reads them."""

    def __init__(self, chat: ChatT) -> None:
        self.chat = chat
        self._events: asyncio.Queue[ChatEvent[MessageT]] = asyncio.Queue(MAX_UNREAD_EVENTS)

    def add(self, event: ChatEvent[MessageT]) -> None:
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    async def __anext__(self) -> ChatEvent[MessageT]:
        return await self._events.get()


@dataclass(slots=True, kw_only=True)
class RecordedCall:
    """A call of the bot and its answer. `status` is 0 while there is no answer."""

    time: float
    status: int = 0
    result: Any = None
    is_scripted: bool = False
    """A test dictated the reply."""


class ChatObserver(Protocol[ChatT_contra, MessageT, CallT_contra]):
    """Sees everything that happens on a platform. Its methods must not fail or wait."""

    def observe_chat(self, chat: ChatT_contra, event: ChatEvent[MessageT]) -> None: ...

    def observe_call(self, call: CallT_contra) -> None:
        """A call of the bot has ended."""


class ChatStandIn(StandIn, Generic[ChatT, MessageT, CallT]):
    """`fault_hook` sees each call first and may make it fail; `script` holds replies that replace
    the stand-in's own.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.api_base = ""
        self.calls: deque[CallT] = deque(maxlen=MAX_RECORDS)
        self.fault_hook: Callable[[CallT], Fault | None] | None = None
        self.script = Script()
        self.observers: list[ChatObserver[ChatT, MessageT, CallT]] = []
        self._watchers: weakref.WeakSet[ChatWatcher[ChatT, MessageT]] = weakref.WeakSet()

    async def apply_fault(self, fault: Fault, request: web.Request) -> int | None:
        """Delay the call or drop its connection, as `fault` says. Returns the status of an injected error."""
        match fault.kind:
            case FaultKind.DROP_BEFORE:
                drop_connection(request)
            case FaultKind.DELAY:
                await self.clock.sleep(fault.seconds)
            case FaultKind.RATE_LIMITED | FaultKind.INTERNAL_ERROR | FaultKind.BAD_GATEWAY | FaultKind.UNAVAILABLE:
                return int(fault.kind)
        return None

    def calls_with_status(self, status: int = 429) -> list[CallT]:
        return [call for call in self.calls if call.status == status]

    def watch(self, chat: ChatT) -> AsyncIterator[ChatEvent[MessageT]]:
        """The events of a chat from this call on, as a client sees them."""
        watcher: ChatWatcher[ChatT, MessageT] = ChatWatcher(chat)
        self._watchers.add(watcher)
        return watcher

    def publish(self, chat: ChatT, event: ChatEvent[MessageT]) -> None:
        for watcher in self._watchers:
            if watcher.chat is chat:
                watcher.add(event)
        for observer in self.observers:
            observer.observe_chat(chat, event)
        self.notify_waiters()

    def finish_call(self, call: CallT) -> None:
        """Announce that a call has its status and its result."""
        for observer in self.observers:
            observer.observe_call(call)
        self.notify_waiters()


def drop_connection(request: web.Request) -> NoReturn:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One response. `status` None: after `hold_until` the stand-in answers as usual."""

    status: int | None = 200
    body: Any = None
    """Sent as JSON; bytes are sent unchanged."""
    headers: Mapping[str, str] = field(default_factory=dict)
    drops_connection: bool = False
    hold_until: asyncio.Event | None = None
    """The response waits for this event."""

    async def respond(self, request: web.Request) -> web.Response | None:
        if self.hold_until is not None:
            await self.hold_until.wait()
        if self.drops_connection:
            drop_connection(request)
        if self.status is None:
            return None
        body = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        return web.Response(status=self.status, body=body, headers={"Content-Type": "application/json", **self.headers})


class Script:
    """The replies to come."""

    def __init__(self) -> None:
        self._entries: list[tuple[re.Pattern[str], ScriptedReply]] = []

    def add(self, call: str, *replies: ScriptedReply) -> None:
        """The next calls that fully match the pattern `call` get these replies, in this order."""
        self._entries += [(re.compile(call, re.IGNORECASE), reply) for reply in replies]

    def next_reply(self, call: str) -> ScriptedReply | None:
        for entry in self._entries:
            if entry[0].fullmatch(call):
                self._entries.remove(entry)
                return entry[1]
        return None
