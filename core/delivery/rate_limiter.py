"""Client-side rate limiting: delays requests so that the platform never has to refuse one.

The limits are sliding windows (`core.delivery.sliding_windows`), for each chat and for the whole account. A chat's
waiting requests are granted by priority, then the one that has been waiting longest. In the account's limit, previews
wait for everything else, and first texts overtake what came a moment before. Requests of low priority leave room for
what is expected: the final message of each open answer, and as many new answers as there were lately (first texts: as
many as are open, for at most `BUSY_FIRST_TEXT_DELAY`). Example: a group with `RateWindow(count=20, seconds=60)` and one
open answer

    0 s     first text     granted: there is still room for the answer's final message
    1 s     preview        granted
    2 s     preview        waits until 2.4 s: the fewer requests are left, the rarer previews become
    5 s     final          granted at once

A long window keeps all the room that final messages need. A short one keeps hardly any, because there they can wait.

If the platform still refuses a request, `apply_retry_after` blocks the chat or the account for as long as the platform
demands, and slows it down for some minutes. Other chats do not wait.

Processes that serve the same account divide its limits without a request to each other. Each of N processes has an Nth
of the account's limit. The limit of a chat belongs to the processes that write to it (`core.delivery.chat_shares`).
"""

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from core.clock import Scheduled
from core.delivery.chat_shares import MAX_AGE_SECONDS, ChatShare, entry_count
from core.delivery.sliding_windows import SlidingWindows
from core.errors import DeliveryError
from core.metrics import NO_PLATFORM_METRICS, PlatformMetrics
from core.port import Capabilities, RateLimit, RateWindow
from core.store.rate_limits import MAX_IDLE_SECONDS, ChatActivity
from core.timings import Timings

WHOLE_ACCOUNT = ""
"""Used instead of a chat for all chats of the account."""
MAX_TRACKED_CHATS = 1000
"""Idle chats are forgotten when there are more."""
LONG_WINDOW_SECONDS = 60.0
"""Windows of this length or more keep room for all that is expected; shorter ones in proportion."""
REQUESTS_PER_ANSWER = 2
"""What a new answer needs at least: its first text and its final message."""
BUSY_FIRST_TEXT_DELAY = 8.0
"""In a busy chat, the first text of an answer waits this long: an answer that is complete by then needs no preview."""
FIRST_TEXT_HEAD_START = 0.3
"""In the account's limit, first texts overtake what began to wait at most so many seconds earlier: a person who sees
nothing yet waits more impatiently than one whose answer has only its last words to come."""
WIDE_REFUSAL_CHATS = 3
WIDE_REFUSAL_SECONDS = 600.0
"""When `WIDE_REFUSAL_CHATS` were refused within this time, the platform's limits are lower than assumed: new chats
begin slowly."""


class Priority(IntEnum):
    FINAL = 0
    """A complete answer."""
    CONTROL = 1
    """A complete part of a growing answer, or a changed menu."""
    FIRST_TEXT = 2
    """The preview that shows the first words of an answer."""
    PREVIEW = 3

    @property
    def is_preview(self) -> bool:
        """The request may fail or be left out."""
        return self >= Priority.FIRST_TEXT


class RequestKind(Enum):
    """What a request does. Kinds with a limit of their own are counted apart."""

    MESSAGE = "message"
    EDIT = "edit"
    DRAFT = "draft"
    TYPING = "typing"


@dataclass(slots=True)
class _Chat:
    queues: "dict[RequestKind, _Queue]" = field(default_factory=dict)
    blocked_until: float = -math.inf
    open_answers: int = 0
    """Whose final messages are still to be sent."""
    opened_at: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    """When the last answers began."""
    share: ChatShare | None = None


@dataclass(slots=True)
class _Queue:
    """The requests that wait for one limit, with a single timer."""

    windows: SlidingWindows
    chat: _Chat
    has_finals: bool = True
    """Whether final messages count in this limit. Otherwise its requests do not count in the account's limit."""
    waiters: "list[_Waiter]" = field(default_factory=list)
    timer: Scheduled | None = None

    def first_waiter(self) -> "_Waiter | None":
        while self.waiters and self.waiters[0].grant.done():
            heapq.heappop(self.waiters)  # cancelled while it waited
        return self.waiters[0] if self.waiters else None


@dataclass(slots=True, eq=False)
class _Waiter:
    order: tuple[int, float, int]
    """Among those that wait for the same limit."""
    priority: Priority
    asked_at: float
    last_shown_at: float
    queue: _Queue
    grant: "asyncio.Future[None]"
    is_pending: bool = False
    """It has its place in the chat's windows and waits for the account."""
    granted_at: float | None = None

    def __lt__(self, other: "_Waiter") -> bool:
        return self.order < other.order


class RateLimiter:
    """Limits the requests of one account on a platform.

    `on_limit` is called with the chat (or `WHOLE_ACCOUNT`) and the seconds of every wait that the platform demands.
    """

    def __init__(
        self,
        account_rate_limit: RateLimit,
        *,
        on_limit: Callable[[str, float], None] | None = None,
        timings: Timings = Timings(),
        metrics: PlatformMetrics = NO_PLATFORM_METRICS,
    ) -> None:
        self._metrics = metrics
        self._clock = timings.clock
        self._timings = timings
        self._on_limit = on_limit
        self._account = _Chat()
        self._account_queue = _Queue(SlidingWindows(account_rate_limit), self._account)
        self._chats: dict[str, _Chat] = {}
        self._processes = 1
        self._refusals: deque[tuple[str, float]] = deque(maxlen=50)
        """The chats that the platform refused lately, and when."""
        self._durations = deque([0.0], maxlen=100)
        """Seconds from the grant to the response, of the last requests; 0 until there were as many."""
        self._sequence = itertools.count()

    # Requests

    async def acquire(
        self,
        chat: str,
        capabilities: Capabilities,
        priority: Priority,
        kind: RequestKind = RequestKind.MESSAGE,
        *,
        last_shown_at: float | None = None,
    ) -> float:
        """Wait until a request may be sent to `chat`, which has these capabilities now. Returns the time of the grant
        (`Clock.monotonic`).

        `last_shown_at`: when the person last saw an earlier state of what the request shows; None if it is new.
        """
        asked_at = self._clock.monotonic()
        last_shown_at = asked_at if last_shown_at is None else last_shown_at
        while True:
            queue = self._queue_of(chat, capabilities, kind)
            grant: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            order = (priority, last_shown_at, next(self._sequence))
            waiter = _Waiter(order, priority, asked_at, last_shown_at, queue, grant)
            heapq.heappush(queue.waiters, waiter)
            self._serve(queue)
            try:
                await grant
            except asyncio.CancelledError:
                self._withdraw(waiter)
                raise
            if self.seconds_blocked(chat) == 0:  # not blocked since the grant
                granted_at = self._clock.monotonic() if waiter.granted_at is None else waiter.granted_at
                self._metrics.waited(priority.name.lower(), granted_at - asked_at)
                return granted_at

    def request_ended(self, chat: str, granted_at: float) -> None:
        """The request to `chat` that was granted at `granted_at` has been answered.

        On a busy machine, it may have been sent late: it counts later by what it took longer than the fastest of the
        last requests. A slow network changes nothing, because there all requests arrive later by the same time.
        """
        seconds = self._clock.monotonic() - granted_at
        self._durations.append(seconds)
        sent_at = granted_at + seconds - min(self._durations)
        chat_queues = self._chats[chat].queues.values() if chat in self._chats else ()
        for queue in (self._account_queue, *chat_queues):
            queue.windows.postpone(granted_at, sent_at)

    @contextmanager
    def expecting_final(self, chat: str) -> Iterator[None]:
        """Keep room for the final message of an answer, until the block ends."""
        state = self._chat(chat)
        state.open_answers += 1
        state.opened_at.append(self._clock.monotonic())
        try:
            yield
        finally:
            state.open_answers -= 1
            for queue in state.queues.values():
                self._serve(queue)

    def estimate_wait(self, chat: str, capabilities: Capabilities) -> float:
        """Seconds until a final message may be sent to `chat`, behind those that wait already."""
        queue, now = self._queue_of(chat, capabilities, RequestKind.MESSAGE), self._clock.monotonic()
        waiting = sum(
            waiter.priority is Priority.FINAL and not waiter.grant.done()
            for kind_queue in queue.chat.queues.values()
            for waiter in kind_queue.waiters
        )
        return max(
            self.seconds_blocked(chat),
            queue.windows.estimate_wait(now, lambda window: self._share(queue, window), waiting),
        )

    # Refusals

    def apply_retry_after(self, chat: str, error: DeliveryError, kind: RequestKind = RequestKind.MESSAGE) -> None:
        """Block `chat`, or the account, for as long as a `DeliveryFailure.RATE_LIMITED` demands, and slow it down."""
        seconds = (error.retry_after or self._timings.default_retry_after) + self._timings.retry_after_margin
        blocked_chat = WHOLE_ACCOUNT if error.account_wide else chat
        is_new = self._blocked_until(blocked_chat) <= self._clock.monotonic()
        self.block(blocked_chat, seconds)
        if not error.is_foreseen:
            self._metrics.refused(seconds)
        if is_new and not error.is_foreseen:  # not one of several that were on their way
            self._slow_down(blocked_chat, kind)
        if self._on_limit is not None:
            self._on_limit(blocked_chat, seconds)

    def _slow_down(self, chat: str, kind: RequestKind) -> None:
        state = self._account if chat == WHOLE_ACCOUNT else self._chat(chat)
        queues = state.queues
        queue = self._account_queue if chat == WHOLE_ACCOUNT else queues.get(kind, queues.get(RequestKind.MESSAGE))
        if queue is not None:
            queue.windows.slowdown.escalate(state.blocked_until)
        self._refusals.append((chat, self._clock.monotonic()))

    def block(self, chat: str, seconds: float) -> None:
        """Grant no request to `chat` (or `WHOLE_ACCOUNT`) for `seconds`, then one after the other."""
        state = self._account if chat == WHOLE_ACCOUNT else self._chat(chat)
        state.blocked_until = max(state.blocked_until, self._clock.monotonic() + seconds)
        queues = (self._account_queue,) if chat == WHOLE_ACCOUNT else state.queues.values()
        for queue in queues:
            queue.windows.resume_at(state.blocked_until)

    def seconds_blocked(self, chat: str) -> float:
        """Seconds for which `chat` or the whole account is still blocked."""
        blocked_until = max(self._account.blocked_until, self._blocked_until(chat))
        return max(0.0, blocked_until - self._clock.monotonic())

    def interval_factor(self, chat: str, capabilities: Capabilities, kind: RequestKind) -> float:
        """How many times longer than usual the intervals between previews should be, because of earlier refusals."""
        now = self._clock.monotonic()
        windows = self._queue_of(chat, capabilities, kind).windows
        return max(windows.slowdown.interval_factor(now), self._account_queue.windows.slowdown.interval_factor(now))

    def _blocked_until(self, chat: str) -> float:
        state = self._account if chat == WHOLE_ACCOUNT else self._chats.get(chat)
        return state.blocked_until if state else -math.inf

    # Other processes

    def share_among(self, processes: int) -> None:
        """Divide the limits equally among `processes` processes; this one uses its share."""
        self._processes = max(1, processes)
        self._serve(self._account_queue)

    def share_chats(self, activity: Mapping[str, ChatActivity], new_chats: Collection[str]) -> None:
        """Divide the limits of the chats that this process writes to. It begins to write to `new_chats`."""
        now = self._clock.monotonic()
        for chat, seen in activity.items():
            state = self._chat(chat)
            if state.share is None or now - state.share.updated_at >= MAX_IDLE_SECONDS:
                state.share = ChatShare.begin(now)
            state.share.update(now, seen, is_new=chat in new_chats)
            for queue in state.queues.values():
                self._serve(queue)
        for state in self._chats.values():
            if state.share is not None and now - state.share.updated_at > MAX_AGE_SECONDS:
                state.share = None

    def _share(self, queue: _Queue, window: RateWindow) -> int:
        """How many requests of `window` this process may send."""
        if queue is self._account_queue:
            return max(1, window.count // self._processes)
        if queue.chat.share is not None:
            return queue.chat.share.count(window, self._clock.monotonic(), self._processes)
        return max(1, window.count - (self._processes - 1) * entry_count(window, self._processes))

    # Queues

    def _chat(self, chat: str) -> _Chat:
        if chat not in self._chats:
            if len(self._chats) >= MAX_TRACKED_CHATS:
                self._forget_idle_chats()
            self._chats[chat] = _Chat()
        return self._chats[chat]

    def _queue_of(self, chat: str, capabilities: Capabilities, kind: RequestKind) -> _Queue:
        state = self._chat(chat)
        kind, rate_limit = _limit_of(capabilities, kind)
        if kind not in state.queues:
            queue = _Queue(SlidingWindows(rate_limit), state, has_finals=kind is not RequestKind.DRAFT)
            queue.windows.resume_at(state.blocked_until)
            if self._are_many_chats_refused():
                queue.windows.slowdown.escalate(self._clock.monotonic())
            state.queues[kind] = queue
        queue = state.queues[kind]
        queue.windows.rate_limit = rate_limit
        return queue

    def _are_many_chats_refused(self) -> bool:
        since = self._clock.monotonic() - WIDE_REFUSAL_SECONDS
        return len({chat for chat, time in self._refusals if time > since}) >= WIDE_REFUSAL_CHATS

    def _forget_idle_chats(self) -> None:
        now = self._clock.monotonic()
        self._chats = {chat: state for chat, state in self._chats.items() if not _is_idle(state, now)}

    def _serve(self, queue: _Queue) -> None:
        """Grant what may be sent: a chat's waiters move to the account's queue, the account's are granted."""
        while (waiter := queue.first_waiter()) is not None:
            now = self._clock.monotonic()
            ready_at = max(queue.chat.blocked_until, self._ready_at(queue, waiter, now))
            if ready_at > now:
                self._set_timer(queue, ready_at - now)
                return
            heapq.heappop(queue.waiters)
            if queue is not self._account_queue and queue.has_finals:
                waiter.is_pending = True
                queue.windows.pending += 1
                waiter.order = (*_account_order(waiter), next(self._sequence))
                heapq.heappush(self._account_queue.waiters, waiter)
                self._serve(self._account_queue)
            else:
                self._grant(waiter, now)

    def _set_timer(self, queue: _Queue, seconds: float) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
        # A request that waits for the account comes first: what follows it is served when it is granted.
        is_waiting = seconds < math.inf
        queue.timer = self._clock.call_later(seconds, lambda: self._serve(queue)) if is_waiting else None

    def _ready_at(self, queue: _Queue, waiter: _Waiter, now: float) -> float:
        """When the request may be sent, or looked at again; infinite if others must be sent or answers end before."""
        priority = waiter.priority
        leaves_room = priority.is_preview and queue.has_finals
        ready_at = queue.windows.ready_at(
            now,
            lambda window: self._share(queue, window),
            (lambda window: self._reserve(queue, window, waiter, now)) if leaves_room else None,
            is_preview=leaves_room and priority is Priority.PREVIEW,
        )
        long_answer_at = waiter.last_shown_at + BUSY_FIRST_TEXT_DELAY
        if priority is Priority.FIRST_TEXT and now < long_answer_at:
            return min(ready_at, long_answer_at)
        return ready_at

    def _reserve(self, queue: _Queue, window: RateWindow, waiter: _Waiter, now: float) -> int:
        """How many requests a preview leaves to final messages and to new answers; all of `window`: it must wait."""
        if queue is self._account_queue:
            return min(1, window.count - 1) if waiter.priority is Priority.PREVIEW else 0
        chat = queue.chat
        max_reserved = int(window.count * min(1.0, window.seconds / LONG_WINDOW_SECONDS))
        if waiter.priority is Priority.PREVIEW:
            new_answers = sum(time > now - window.seconds for time in chat.opened_at)
            needed = min(chat.open_answers + REQUESTS_PER_ANSWER * new_answers, max(1, max_reserved))
        elif now < waiter.last_shown_at + BUSY_FIRST_TEXT_DELAY:
            # Whoever gets an answer soon often asks again: the window also has room for that answer.
            return min(2 * chat.open_answers, max_reserved)
        else:
            needed = min(chat.open_answers, max_reserved)
        return min(needed, window.count - 1)

    def _grant(self, waiter: _Waiter, now: float) -> None:
        queue = waiter.queue
        if waiter.is_pending:
            waiter.is_pending = False
            queue.windows.pending -= 1
            if queue.chat.blocked_until > now:  # blocked while the request waited for the account
                waiter.order = (waiter.priority, waiter.last_shown_at, next(self._sequence))
                heapq.heappush(queue.waiters, waiter)
                self._serve(queue)
                return
        is_preview = waiter.priority is Priority.PREVIEW
        queue.windows.record(now, is_preview=is_preview)
        if queue.has_finals:
            self._account_queue.windows.record(now, is_preview=is_preview)
        waiter.granted_at = now
        waiter.grant.set_result(None)
        if queue.has_finals:
            self._serve(queue)

    def _withdraw(self, waiter: _Waiter) -> None:
        """The request is not sent: give back what it has taken."""
        queue = waiter.queue
        if waiter.is_pending:
            waiter.is_pending = False
            queue.windows.pending -= 1
        if waiter.granted_at is not None:
            queue.windows.forget(waiter.granted_at)
            if queue.has_finals:
                self._account_queue.windows.forget(waiter.granted_at)
        self._serve(queue)


def _account_order(waiter: _Waiter) -> tuple[int, float]:
    match waiter.priority:
        case Priority.PREVIEW:
            return 1, waiter.last_shown_at
        case Priority.FIRST_TEXT:
            return 0, waiter.asked_at - FIRST_TEXT_HEAD_START
    return 0, waiter.asked_at


def _limit_of(capabilities: Capabilities, kind: RequestKind) -> tuple[RequestKind, RateLimit]:
    """The limit that counts requests of this kind, and the kind under which they are counted."""
    if kind is RequestKind.DRAFT and capabilities.draft_rate_limit is not None:
        return kind, capabilities.draft_rate_limit
    if kind is RequestKind.EDIT and capabilities.edit_rate_limit is not None:
        return kind, capabilities.edit_rate_limit
    if kind is RequestKind.TYPING:
        return kind, ()
    return RequestKind.MESSAGE, capabilities.rate_limit


def _is_idle(state: _Chat, now: float) -> bool:
    if state.open_answers or state.blocked_until > now or state.share is not None:
        return False
    return all(not queue.waiters and queue.windows.is_idle(now) for queue in state.queues.values())
