"""What a person sees of an answer that is being written, when, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bots.terminal.dialect import TerminalDialect
from core.buttons import ButtonAction, encode_action
from core.delivery.draft_ids import turn_of_draft
from core.delivery.outbox import Outbox
from core.delivery.preview import MIN_FIRST_PREVIEW_CHARS, SLOW_PREVIEW_FACTOR, Preview
from core.delivery.rate_limiter import RateLimiter
from core.errors import DeliveryError, DeliveryFailure, StoreError
from core.port import AccountKey, Capabilities, EventKind, Incoming, Part, Place, PreviewMode, RateLimit, Sender
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
FIRST_DELAY = 0.5
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
    adapter: RecordingAdapter = field(init=False)

    @property
    def timings(self) -> Timings:
        return Timings(clock=self.clock, first_preview_delay=FIRST_DELAY, preview_finish_timeout=10.0)

    def create(self, capabilities: Capabilities = EDITING) -> Preview:
        self.adapter = RecordingAdapter(capabilities, self.clock)
        store = RetryingStore(self.store.as_store(), lambda: None, timings=self.timings)
        outbox = Outbox(store, self.adapter, self.rate_limiter, self.turn, timings=self.timings)
        return Preview(outbox, on_gone=lambda: self.gone.append(True))

    async def start(self, capabilities: Capabilities = EDITING) -> Preview:
        """A preview that runs until the test ends."""
        preview = self.create(capabilities)
        await self.exits.enter_async_context(running(preview, self))
        await self.until_shown(1)
        return preview

    async def until_shown(self, count: int) -> Shown:
        """Wait (in real time, for the database) until something was shown `count` times."""
        await self.adapter.wait_until(lambda: len(self.adapter.shown) >= count)
        await self.clock.wait_for_timer()
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


@pytest.mark.parametrize("length", [MIN_FIRST_PREVIEW_CHARS - 1, MIN_FIRST_PREVIEW_CHARS])
async def test_first_words_wait_for_more(env: Environment, length: int) -> None:
    preview = await env.start()
    preview.update("x" * length)
    await env.clock.advance(INTERVAL)
    if length < MIN_FIRST_PREVIEW_CHARS:
        assert env.clock.pending() == [FIRST_DELAY]
        preview.update("x" * length + LONG_ENOUGH)
        await env.clock.advance(FIRST_DELAY)
        assert (await env.until_shown(2)).text == "x" * length + LONG_ENOUGH
    else:
        assert (await env.until_shown(2)).time == INTERVAL


@pytest.mark.parametrize("length", [100, 101])
async def test_long_text_is_shown_less_often(env: Environment, length: int) -> None:
    preview = await env.start(replace(EDITING, slow_preview_after_chars=100))
    preview.update("x" * length)
    await env.clock.advance(INTERVAL)
    await env.until_shown(2)
    expected = INTERVAL * SLOW_PREVIEW_FACTOR if length > 100 else INTERVAL
    assert env.clock.pending() == [expected]


async def test_full_messages_become_final(env: Environment) -> None:
    preview = await env.start()
    limit = env.adapter.dialect.limit
    text = "several words " * (2 * limit // 14)
    preview.update(text)
    await env.clock.advance(INTERVAL)
    await env.adapter.wait_until(lambda: sum(map(len, env.adapter.messages.values())) > limit * 1.8)
    messages = list(env.adapter.messages.values())
    assert len(messages) in (2, 3)
    assert "".join(" ".join(messages).split()) == "".join(text.split())
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
    await env.clock.advance(INTERVAL)
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
    assert (repeated.method, repeated.text, repeated.time) == ("draft", LONG_ENOUGH, 2 * INTERVAL + 25)


async def test_part_after_a_full_message_has_another_draft(env: Environment) -> None:
    preview = await env.start(DRAFT)
    preview.update("several words " * (env.adapter.dialect.limit // 10))
    await env.clock.advance(INTERVAL)
    await env.adapter.wait_until(lambda: env.adapter.shown[-1].method == "draft" and len(env.adapter.shown) > 2)
    first, *full, following = env.adapter.shown
    assert [shown.method for shown in full] == ["send"] * len(full)
    assert following.draft_id != first.draft_id
    assert turn_of_draft(following.draft_id) == env.turn.id


# Typing


async def test_typing_is_repeated(env: Environment) -> None:
    preview = await env.start(TYPING)
    preview.update(LONG_ENOUGH)
    await env.clock.advance(4.0)
    await env.until_shown(2)
    assert [shown.method for shown in env.adapter.shown] == ["typing", "typing"]
    assert env.adapter.messages == {}


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
    await env.clock.advance(INTERVAL)
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
    env.adapter.fail_next("edit", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=60))
    preview.update(LONG_ENOUGH)
    await env.clock.advance(INTERVAL)
    await env.adapter.wait_until(lambda: [call.method for call in env.adapter.calls].count("edit") == 1)
    await env.clock.wait_for_timer()
    assert env.rate_limiter.seconds_blocked(PLACE.chat) >= 60
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(50)
    assert len(env.adapter.shown) == 1
    await env.clock.advance(20)
    await env.adapter.wait_until(lambda: len(env.adapter.shown) == 2)
    assert env.adapter.shown[-1].text == f"{LONG_ENOUGH} 2"


async def test_previews_keep_the_pace_of_the_platform(env: Environment) -> None:
    preview = await env.start(replace(EDITING, rate_limit=RateLimit(burst=1, rate=0.1)))
    preview.update(LONG_ENOUGH)
    await env.clock.advance(9.0)
    assert len(env.adapter.shown) == 1
    preview.update(f"{LONG_ENOUGH} 2")
    await env.clock.advance(1.5)
    assert (await env.until_shown(2)).text == f"{LONG_ENOUGH} 2", "the newest text, not the one that waited"


# The end


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
