"""What a person sees of an answer that is being written, when, and what ends it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bots.telegram.adapter import DRAFT_RATE_LIMIT, TelegramAdapter
from bots.terminal.dialect import TerminalDialect
from core.buttons import ButtonAction, encode_action
from core.delivery.draft_ids import turn_of_draft
from core.delivery.outbox import Outbox
from core.delivery.preview import FRESH_TEXT_WAIT, SLOW_PREVIEW_FACTOR, Preview
from core.delivery.preview_load import PreviewLoad
from core.delivery.rate_limiter import Priority, RateLimiter, RequestKind
from core.errors import DeliveryError, DeliveryFailure, StoreError
from core.port import AccountKey, Capabilities, EventKind, Incoming, Part, Place, PreviewMode, RateWindow, Sender
from core.store import claims, inbound
from core.store.answer_parts import save_part
from core.store.database import Store
from core.store.inbound import InboundLimits
from core.store.retrying_store import RetryingStore
from core.store.turns import Turn
from core.texts import answers as texts
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.faulty_store import FaultyStore
from tests.core.turns.fake_adapter import UNLIMITED, FakeAdapter
from tests.sqlite import sqlite_url

PLACE = Place("fake", "1", "5", is_private=True)
INTERVAL = 2.0
EDITING = Capabilities(UNLIMITED, preview_mode=PreviewMode.EDIT, preview_interval=INTERVAL, deduplicates_sends=True)
DRAFT = replace(EDITING, preview_mode=PreviewMode.DRAFT, draft_refresh_interval=25.0)
TYPING = replace(EDITING, preview_mode=PreviewMode.OFF, typing_interval=4.0)
LONG_ENOUGH = "a text that is long enough to be shown"


@dataclass
class Shown:
    method: str
    text: str
    time: float
    buttons: tuple[str, ...] = ()
    draft_id: int = 0


class SmallDialect(TerminalDialect):
    limit = 400


class RecordingAdapter(FakeAdapter):
    """Records what is shown, and when by the fake clock."""

    def __init__(self, capabilities: Capabilities, clock: FakeClock) -> None:
        super().__init__(capabilities)
        self.dialect = SmallDialect()
        self.shown: list[Shown] = []
        self._clock = clock

    def _show(self, message_id: str, part: Part) -> None:
        method = "edit" if message_id in self.messages else "send"
        self._record(method, part)
        super()._show(message_id, part)

    async def show_draft(self, place: Place, draft_id: int, part: Part) -> None:
        await super().show_draft(place, draft_id, part)
        self._record("draft", part, draft_id)

    async def show_typing(self, place: Place) -> None:
        await super().show_typing(place)
        self._record("typing", Part(""))

    def _record(self, method: str, part: Part, draft_id: int = 0) -> None:
        buttons = tuple(button.action for button in part.buttons)
        self.shown.append(Shown(method, part.text.strip(), self._clock.now, buttons, draft_id))


@dataclass
class Environment:
    store: FaultyStore
    turn: Turn
    clock: FakeClock
    rate_limiter: RateLimiter
    exits: AsyncExitStack
    gone: list[bool] = field(default_factory=list)
    load: PreviewLoad = field(init=False)
    adapter: RecordingAdapter = field(init=False)
    timings: Timings = field(init=False)

    def __post_init__(self) -> None:
        # "Thinking…" is shown at once.
        self.timings = Timings(clock=self.clock, typing_delay=0, thinking_status_delay=0, preview_finish_timeout=10.0)
        self.load = PreviewLoad(self.timings)

    def create(self, capabilities: Capabilities = EDITING) -> Preview:
        self.adapter = RecordingAdapter(capabilities, self.clock)
        store = RetryingStore(self.store.as_store(), lambda: None, timings=self.timings)
        outbox = Outbox(store, self.adapter, self.rate_limiter, self.turn, timings=self.timings)
        return Preview(outbox, on_gone=lambda: self.gone.append(True), load=self.load)

    async def begin(self, capabilities: Capabilities = EDITING) -> Preview:
        """A preview with the usual delays, which runs until the test ends; nothing is shown yet."""
        self.timings = Timings(clock=self.clock)
        preview = self.create(capabilities)
        await self.exits.enter_async_context(running(preview, self))
        await self.clock.settle()
        return preview

    async def start(self, capabilities: Capabilities = EDITING) -> Preview:
        """A preview that runs until the test ends."""
        preview = self.create(capabilities)
        await self.exits.enter_async_context(running(preview, self))
        await self.until_shown(1)
        return preview

    async def until_shown(self, count: int) -> Shown:
        """Wait (in real time, for the database) until something was shown `count` times."""
        await self.adapter.wait_until(lambda: len(self.adapter.shown) >= count)
        sent = sum(shown.method == "send" for shown in self.adapter.shown)
        if (unsaved := sent - self.store.writes[save_part.__name__]) > 0:
            await self.store.wait_for_writes(save_part, unsaved)
        await self.clock.settle()
        assert len(self.adapter.shown) == count
        return self.adapter.shown[-1]


@asynccontextmanager
async def running(preview: Preview, env: Environment) -> AsyncIterator[None]:
    async with preview.running():
        try:
            yield
        finally:
            env.adapter.gates.clear()


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[Environment]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    question = Incoming(EventKind.PROMPT, "u1", PLACE, Sender("fake", "5", "Ann"), "hello")
    await store.write(
        inbound.accept_event,
        question,
        conversation_key="ann",
        person_key="fake:5",
        ordered=True,
        limits=InboundLimits(),
    )
    (turn,) = await store.write(claims.claim_turns, "owner", [AccountKey("fake", "1")], lease_seconds=30, limit=1)
    clock = FakeClock()
    limiter = RateLimiter(UNLIMITED, timings=Timings(clock=clock))
    async with AsyncExitStack() as exits:
        yield Environment(FaultyStore(store), turn, clock, limiter, exits)
    await store.close()


# The first words


async def test_first_words_are_shown_at_once(env: Environment) -> None:
    """There is no placeholder before them, and nothing waits for more text."""
    preview = await env.begin()
    preview.update("\n", texts.THINKING)
    await env.clock.advance(0.3)
    preview.update("\nA")
    assert (await env.until_shown(1)) == Shown("send", "A", 0.3, env.adapter.shown[0].buttons)


async def test_typing_is_shown_until_there_is_text(env: Environment) -> None:
    preview = await env.begin(replace(EDITING, typing_interval=0.6))
    await env.clock.advance(1.3)
    assert [(shown.method, shown.time) for shown in env.adapter.shown] == [("typing", 0.5), ("typing", 1.1)]
    preview.update("A")
    assert (await env.until_shown(3)).text == "A"
    await env.clock.advance(5)
    assert len(env.adapter.shown) == 3


async def test_model_that_sends_nothing_is_thinking(env: Environment) -> None:
    preview = await env.begin()
    await env.clock.advance(1.4)
    assert [shown.method for shown in env.adapter.shown] == ["typing"]
    await env.clock.advance(0.1)
    thinking = await env.until_shown(2)
    assert (thinking.method, thinking.text, thinking.time) == ("send", f"*{texts.THINKING}*", 1.5)
    await env.clock.advance(0.1)
    preview.update("A")
    first = await env.until_shown(3)
    assert (first.method, first.text, first.time) == ("edit", "A", 1.6), "the first words wait for no interval"


async def test_reasoning_is_shown_soon(env: Environment) -> None:
    preview = await env.begin()
    preview.update("", texts.THINKING)
    await env.clock.advance(0.5)
    assert (await env.until_shown(1)).text == f"*{texts.THINKING}*"


async def test_other_status_is_shown_at_once(env: Environment) -> None:
    preview = await env.begin()
    preview.update("", "Reading a.pdf")
    shown = await env.until_shown(1)
    assert (shown.text, shown.time) == ("*Reading a.pdf*", 0)


async def test_private_chat_has_an_empty_draft_until_there_is_text(env: Environment) -> None:
    preview = await env.begin(DRAFT)
    await env.clock.advance(5)
    assert [(shown.method, shown.text, shown.time) for shown in env.adapter.shown] == [("draft", "", 0.5)]
    preview.update("", "Thinking… 5 s")
    assert (await env.until_shown(2)).text == "*Thinking… 5 s*"
    preview.update("A")
    assert (await env.until_shown(3)) == Shown("draft", "A", 5.0, (), env.adapter.shown[0].draft_id)


async def test_first_words_overtake_status_that_waits(env: Environment) -> None:
    preview = await env.begin(replace(EDITING, rate_limit=(RateWindow(2, 10.0),)))
    for _ in range(2):
        await env.rate_limiter.acquire(PLACE.chat, preview._capabilities, Priority.FINAL)
    waiting = asyncio.create_task(env.rate_limiter.acquire(PLACE.chat, preview._capabilities, Priority.PREVIEW))
    await env.clock.advance(5.0)
    assert env.adapter.texts == [], "the status waits"
    preview.update("A")
    await env.clock.settle()
    assert env.adapter.texts == [], "the first words, too, wait for the rate limit"
    await env.clock.advance(5.0)
    await env.adapter.wait_until(lambda: env.adapter.texts == ["A"])
    waiting.cancel()


async def test_text_that_was_reasoning_is_replaced_by_a_status(env: Environment) -> None:
    preview = await env.begin()
    preview.update("hmm")
    await env.until_shown(1)
    preview.update("", texts.THINKING)
    await env.clock.advance(INTERVAL + FRESH_TEXT_WAIT)
    assert (await env.until_shown(2)).text == f"*{texts.THINKING}*"
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL + FRESH_TEXT_WAIT)
    assert (await env.until_shown(3)).text == LONG_ENOUGH


async def test_preview_that_is_due_waits_for_text_that_arrives_at_once(env: Environment) -> None:
    preview = await env.begin()
    preview.update(LONG_ENOUGH)
    await env.until_shown(1)
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(INTERVAL)
    preview.update(f"{LONG_ENOUGH} 3")
    assert (await env.until_shown(2)).text == f"{LONG_ENOUGH} 3"
    preview.update(f"{LONG_ENOUGH} 4")
    await env.clock.advance(INTERVAL)
    assert len(env.adapter.shown) == 2
    await env.clock.advance(FRESH_TEXT_WAIT)
    assert (await env.until_shown(3)).text == f"{LONG_ENOUGH} 4"


async def test_text_that_was_reasoning_before_it_was_shown(env: Environment) -> None:
    preview = await env.begin()
    preview.update("hmm")
    preview.update("", texts.THINKING)
    await env.clock.advance(0.5)
    assert (await env.until_shown(1)).text == f"*{texts.THINKING}*"


async def test_first_words_that_fail_are_tried_again_after_an_interval(env: Environment) -> None:
    preview = env.create()
    env.adapter.fail_next("send", *[DeliveryError("no", DeliveryFailure.TRANSIENT)] * 2)
    await env.exits.enter_async_context(running(preview, env))
    preview.update("A")
    await env.adapter.wait_until(lambda: len(env.adapter.calls) == 1)
    for _ in range(2):
        await env.clock.settle()
        await env.clock.wait_for_timer()
        await env.clock.advance(INTERVAL)
    assert (await env.until_shown(1)).time == 2 * INTERVAL


# The growing message


async def test_message_grows_in_place(env: Environment) -> None:
    preview = await env.start()
    assert env.adapter.texts == [f"*{texts.THINKING}*"]
    for number in range(1, 4):
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(INTERVAL)
        await env.until_shown(number + 1)
        assert env.adapter.texts == [f"{LONG_ENOUGH} {number}"]


async def test_only_the_newest_text_is_shown(env: Environment) -> None:
    preview = await env.start()
    for number in range(50):
        preview.update(f"{LONG_ENOUGH} {number}")
    await env.clock.advance(INTERVAL)
    assert (await env.until_shown(2)).text == f"{LONG_ENOUGH} 49"


async def test_status_is_shown_until_there_is_text(env: Environment) -> None:
    preview = await env.start()
    preview.update("", "Reading a.pdf")
    await env.clock.advance(INTERVAL)
    assert (await env.until_shown(2)).text == "*Reading a.pdf*"
    preview.update(LONG_ENOUGH, "")
    await env.clock.advance(INTERVAL)
    assert (await env.until_shown(3)).text == LONG_ENOUGH


async def test_unchanged_text_is_not_shown_again(env: Environment) -> None:
    preview = await env.start()
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL)
    await env.until_shown(2)
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL)
    assert env.clock.pending() == [], "it waits for a change"
    assert len(env.adapter.shown) == 2


@pytest.mark.parametrize("length", [100, 101])
async def test_long_text_is_shown_less_often(env: Environment, length: int) -> None:
    preview = await env.start(replace(EDITING, slow_preview_after_chars=100))
    preview.update("x" * length)
    await env.until_shown(2)
    expected = INTERVAL * SLOW_PREVIEW_FACTOR if length > 100 else INTERVAL
    assert env.clock.pending() == [expected]


async def test_full_messages_become_final(env: Environment) -> None:
    preview = await env.start()
    limit = env.adapter.dialect.limit
    text = "several words " * (2 * limit // 14)
    preview.update(text)
    await env.clock.advance(INTERVAL)
    await env.adapter.wait_until(lambda: " ".join(env.adapter.messages.values()).split() == text.split())
    assert len(env.adapter.messages) == 3
    *full, _ = env.adapter.shown[1:]
    assert all(shown.buttons == () for shown in full), "only the growing message can be stopped"


@pytest.mark.parametrize("has_stop_button", [True, False])
async def test_growing_message_can_be_stopped(env: Environment, has_stop_button: bool) -> None:
    await env.start(replace(EDITING, has_stop_button=has_stop_button))
    stop = encode_action(ButtonAction.STOP, env.turn.id)
    assert env.adapter.shown[0].buttons == ((stop,) if has_stop_button else ())


# Drafts


async def test_draft_shows_newest_text(env: Environment) -> None:
    preview = await env.start(DRAFT)
    assert (env.adapter.shown[0].method, env.adapter.shown[0].text) == ("draft", ""), "the client says Thinking…"
    assert turn_of_draft(env.adapter.shown[0].draft_id) == env.turn.id
    preview.update("", "Reading a.pdf")
    await env.clock.advance(INTERVAL)
    assert (await env.until_shown(2)).text == "*Reading a.pdf*"
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL + FRESH_TEXT_WAIT)
    assert (await env.until_shown(3)).text == LONG_ENOUGH
    assert env.adapter.messages == {}


async def test_unchanged_draft_is_repeated_before_it_vanishes(env: Environment) -> None:
    preview = await env.start(DRAFT)
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL)
    await env.until_shown(2)
    await env.clock.advance(INTERVAL)
    assert len(env.adapter.shown) == 2
    await env.clock.advance(25.0)
    repeated = await env.until_shown(3)
    assert (repeated.method, repeated.text, repeated.time) == ("draft", LONG_ENOUGH, INTERVAL + 25)


async def test_part_after_a_full_message_has_another_draft(env: Environment) -> None:
    preview = await env.start(DRAFT)
    preview.update("several words " * (env.adapter.dialect.limit // 10))
    await env.clock.advance(INTERVAL)
    await env.adapter.wait_until(lambda: env.adapter.shown[-1].method == "draft" and len(env.adapter.shown) > 2)
    first, *full, following = env.adapter.shown
    assert [shown.method for shown in full] == ["send"] * len(full)
    assert following.draft_id != first.draft_id
    assert turn_of_draft(following.draft_id) == env.turn.id


async def test_drafts_keep_their_pace(env: Environment) -> None:
    """0.45 s apart in the first five seconds, later 1 s: never more than Telegram accepts."""
    place = TelegramAdapter("123456:" + "a" * 35).capabilities(PLACE)
    preview = await env.begin(place)
    for number in range(400):
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(0.1)
    times = [shown.time for shown in env.adapter.shown]
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert intervals[:11] == pytest.approx([0.45] * 11, abs=0.11)
    assert sum(time < 30 for time in times) >= 34
    for window in DRAFT_RATE_LIMIT:
        for start in times:
            assert sum(start <= time < start + window.seconds for time in times) <= window.count


async def test_refused_drafts_are_followed_by_silence_then_slower(env: Environment) -> None:
    place = TelegramAdapter("123456:" + "a" * 35).capabilities(PLACE)
    preview = await env.begin(place)
    preview.update(LONG_ENOUGH)
    await env.until_shown(1)
    env.adapter.fail_next("show_draft", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=10))
    for number in range(300):
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(0.1)
    before, *times = [shown.time for shown in env.adapter.shown]
    assert before == 0
    assert times[0] >= 10.5
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert round(min(intervals), 3) >= 2.0


async def test_long_refusal_ends_the_previews_of_an_answer(env: Environment) -> None:
    preview = await env.begin(DRAFT)
    env.adapter.fail_next("show_draft", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=31))
    preview.update(LONG_ENOUGH)
    await env.adapter.wait_until(lambda: len(env.adapter.calls) == 1)
    for number in range(100):
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(1)
    assert env.adapter.shown == []
    assert env.rate_limiter.interval_factor(PLACE.chat, DRAFT, RequestKind.DRAFT) == 1.7


# Load


async def test_previews_are_rarer_when_the_event_loop_is_late(env: Environment) -> None:
    for _ in range(60):
        sleeping = asyncio.create_task(env.load.pause(1.0))
        await env.clock.settle()
        env.clock.now += 1.2  # the timer is 0.2 s late
        await env.clock.advance(0)
        await sleeping
    assert env.load.interval(1.0) == pytest.approx(4.0, abs=0.1)
    preview = await env.begin()
    preview.update(LONG_ENOUGH)
    await env.until_shown(1)
    preview.update(f"{LONG_ENOUGH} 2")
    assert env.clock.pending() == [pytest.approx(INTERVAL * 4, abs=0.2)]


@pytest.mark.parametrize(("answers", "interval"), [(20, INTERVAL), (165, 3.0), (10_000, 5.0)])
async def test_previews_are_rarer_when_many_answers_grow(env: Environment, answers: int, interval: float) -> None:
    with ExitStack() as others:
        for _ in range(answers - 1):
            others.enter_context(env.load.previewing())
        preview = await env.begin()
        preview.update(LONG_ENOUGH)
        await env.until_shown(1)
        preview.update(f"{LONG_ENOUGH} 2")
        await env.clock.advance(interval - 0.1)
        assert len(env.adapter.shown) == 1
        await env.clock.advance(0.1)
        await env.clock.advance(FRESH_TEXT_WAIT)
        await env.until_shown(2)
    for number, seconds in ((3, interval), (4, INTERVAL)):  # the first of these waits has already begun
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(seconds)
        await env.clock.advance(FRESH_TEXT_WAIT)
        await env.until_shown(number)


async def test_previews_wait_while_questions_start(env: Environment) -> None:
    preview = await env.begin()
    preview.update(LONG_ENOUGH)
    await env.until_shown(1)
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(INTERVAL - 0.1)
    env.load.question_claimed(7)
    await env.clock.advance(0.5)
    assert len(env.adapter.shown) == 1
    env.load.question_started(7)
    await env.clock.advance(FRESH_TEXT_WAIT)
    await env.until_shown(2)


async def test_question_that_never_starts_delays_previews_for_limited_time(env: Environment) -> None:
    preview = await env.begin()
    preview.update(LONG_ENOUGH)
    await env.until_shown(1)
    env.load.question_claimed(7)
    for number in range(3):
        preview.update(f"{LONG_ENOUGH} {number}")
        await env.clock.advance(2 * INTERVAL)
        await env.until_shown(number + 2)


# Typing


async def test_typing_is_repeated(env: Environment) -> None:
    preview = await env.start(TYPING)
    preview.update(LONG_ENOUGH)
    await env.clock.advance(4.0)
    await env.until_shown(2)
    assert [shown.method for shown in env.adapter.shown] == ["typing", "typing"]
    assert env.adapter.messages == {}


async def test_typing_limit_that_is_foreseen_blocks_no_messages(env: Environment) -> None:
    """A platform that counts typing apart says when it would refuse more of it."""
    preview = env.create(TYPING)
    failure = DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=30, is_foreseen=True)
    env.adapter.fail_next("show_typing", failure)
    await env.exits.enter_async_context(running(preview, env))
    await env.clock.wait_for_timer()
    assert env.rate_limiter.seconds_blocked(PLACE.chat) == 0


async def test_typing_survives_failures_and_obeys_waits(env: Environment) -> None:
    preview = env.create(TYPING)
    failures = (
        DeliveryError("gone", DeliveryFailure.GONE),
        DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=30),
    )
    env.adapter.fail_next("show_typing", *failures)
    await env.exits.enter_async_context(running(preview, env))
    await env.clock.wait_for_timer()
    await env.clock.advance(4.0)
    assert env.rate_limiter.seconds_blocked(PLACE.chat) >= 30
    await env.clock.advance(4.0)
    assert env.adapter.shown == []
    await env.clock.advance(30.0)
    await env.until_shown(1)
    assert env.gone == []


# Failures


@pytest.mark.parametrize("failure", DeliveryFailure)
async def test_failures_that_pass_are_followed_by_the_next_text(env: Environment, failure: DeliveryFailure) -> None:
    passes = failure in (DeliveryFailure.RATE_LIMITED, DeliveryFailure.TRANSIENT, DeliveryFailure.UNKNOWN)
    is_gone = failure in (DeliveryFailure.GONE, DeliveryFailure.FORBIDDEN)
    preview = await env.start()
    env.adapter.fail_next("edit", DeliveryError("no", failure, retry_after=None))
    preview.update(LONG_ENOUGH)
    await env.adapter.wait_until(lambda: [call.method for call in env.adapter.calls].count("edit") == 1)
    await env.clock.settle()
    assert env.gone == [True] * is_gone, "do not pay for what nobody sees"
    if passes:
        await env.clock.wait_for_timer()
    preview.update(f"{LONG_ENOUGH} 2")
    for _ in range(3):
        await env.clock.advance(INTERVAL)
    if passes:
        await env.adapter.wait_until(lambda: len(env.adapter.shown) == 2)
    assert [shown.text for shown in env.adapter.shown[1:]] == [f"{LONG_ENOUGH} 2"] * passes


async def test_requested_wait_holds_for_the_whole_chat(env: Environment) -> None:
    preview = await env.start()
    env.adapter.fail_next("edit", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=25))
    preview.update(LONG_ENOUGH)
    await env.adapter.wait_until(lambda: [call.method for call in env.adapter.calls].count("edit") == 1)
    await env.clock.wait_for_timer()
    assert env.rate_limiter.seconds_blocked(PLACE.chat) >= 25
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(20)
    assert len(env.adapter.shown) == 1
    await env.clock.advance(10)
    await env.adapter.wait_until(lambda: len(env.adapter.shown) == 2)
    assert env.adapter.shown[-1].text == f"{LONG_ENOUGH} 2"


async def test_previews_keep_the_pace_of_the_platform(env: Environment) -> None:
    preview = await env.start(replace(EDITING, rate_limit=(RateWindow(1, 10.0),)))
    preview.update(LONG_ENOUGH)
    await env.clock.advance(9.0)
    assert len(env.adapter.shown) == 1
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(1.5)
    assert (await env.until_shown(2)).text == f"{LONG_ENOUGH} 2", "the newest text, not the one that waited"


# The end


async def test_final_text_waits_for_no_interval(env: Environment) -> None:
    preview = env.create()
    async with preview.running():
        await env.until_shown(1)
        preview.update(LONG_ENOUGH)
        await env.until_shown(2)
        preview.update(f"{LONG_ENOUGH} 2")
        before = env.clock.now
    assert env.clock.now == before
    assert env.clock.pending() == []


async def test_nothing_is_shown_after_the_end(env: Environment) -> None:
    preview = env.create()
    async with preview.running():
        await env.until_shown(1)
        preview.update(LONG_ENOUGH)
    await env.clock.advance(60)
    assert len(env.adapter.shown) == 1


async def test_edit_in_flight_is_awaited(env: Environment) -> None:
    """It could arrive after the final text and overwrite it."""
    preview = env.create()
    async with preview.running():
        await env.until_shown(1)
        env.adapter.close_gate("edit")
        preview.update(LONG_ENOUGH)
        await env.clock.advance(INTERVAL)
        await env.adapter.started["edit"].wait()
        asyncio.get_running_loop().call_soon(env.adapter.gates["edit"].set)
    assert env.adapter.texts == [LONG_ENOUGH]
    assert not env.adapter.cancelled["edit"].is_set()


async def test_edit_that_hangs_delays_the_final_text_for_limited_time(env: Environment) -> None:
    preview = env.create()
    context = preview.running()
    await context.__aenter__()
    await env.until_shown(1)
    env.adapter.close_gate("edit")
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL)
    await env.adapter.started["edit"].wait()
    ending = asyncio.create_task(end(context.__aexit__))
    await env.clock.wait_for_timer()
    await env.clock.advance(9.9)
    assert not ending.done()
    await env.clock.advance(0.2)
    await ending
    assert env.adapter.cancelled["edit"].is_set()


async def end(leave: Callable[..., Awaitable[bool | None]]) -> None:
    await leave(None, None, None)


async def test_store_that_is_away_ends_the_preview_not_the_answer(env: Environment) -> None:
    preview = env.create()
    env.store.start_outage(save_part)
    async with preview.running():
        await env.store.wait_for_failures(save_part)
        for _ in range(300):
            await env.clock.advance(1.0)


async def test_defect_is_raised_when_the_block_ends(env: Environment) -> None:
    preview = env.create()
    env.adapter.errors["send"] = ValueError("a defect of the adapter")
    with pytest.raises(ValueError, match="a defect"):
        async with preview.running():
            await env.adapter.started["send"].wait()


async def test_errors_of_the_store_reach_who_runs_it_alone(env: Environment) -> None:
    preview = env.create()
    env.store.start_outage(save_part)
    run = asyncio.create_task(preview.run())
    await env.store.wait_for_failures(save_part)
    while not run.done():
        await env.clock.advance(1.0)
    with pytest.raises(StoreError):
        await run


@pytest.mark.parametrize(("method", "capabilities"), [("send", EDITING), ("show_typing", TYPING)])
async def test_preview_counts_in_the_account_until_it_is_answered(
    env: Environment, method: str, capabilities: Capabilities
) -> None:
    """On a busy machine, it may reach the platform late."""
    env.rate_limiter = RateLimiter((RateWindow(1, 1.0),), timings=Timings(clock=env.clock))
    preview = env.create(capabilities)
    env.adapter.close_gate(method)
    async with running(preview, env):
        preview.update(LONG_ENOUGH)
        async with asyncio.timeout(10):
            await env.adapter.started[method].wait()
        await env.clock.advance(0.8)
        env.adapter.gates[method].set()
        if method == "send":
            await env.until_shown(1)
        await env.clock.settle()
        next_request = asyncio.create_task(env.rate_limiter.acquire("other", EDITING, Priority.FINAL))
        await env.clock.advance(0.9)
        assert not next_request.done()
        await env.clock.advance(0.1)
        assert next_request.done()
