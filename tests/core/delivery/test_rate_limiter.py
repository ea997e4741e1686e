"""Client-side rate limits, per chat and per account."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.discord.adapter import ACCOUNT_RATE_LIMIT as DISCORD_ACCOUNT
from bots.discord.adapter import CAPABILITIES as DISCORD
from bots.telegram.adapter import ACCOUNT_RATE_LIMIT as TELEGRAM_ACCOUNT
from bots.telegram.adapter import DRAFT_RATE_LIMIT, GROUP_RATE_LIMIT, PRIVATE_RATE_LIMIT
from core.delivery.rate_limiter import (
    BUSY_FIRST_TEXT_DELAY,
    FIRST_TEXT_HEAD_START,
    MAX_TRACKED_CHATS,
    WHOLE_ACCOUNT,
    WIDE_REFUSAL_CHATS,
    Priority,
    RateLimiter,
    RequestKind,
)
from core.errors import DeliveryError, DeliveryFailure
from core.port import Capabilities, RateLimit, RateWindow
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.delivery.limited_requests import UNLIMITED, UNLIMITED_PLACE, Requests, limited, max_in_window

MARGIN = Timings().retry_after_margin
GROUP = Capabilities(GROUP_RATE_LIMIT)
PRIVATE = Capabilities(PRIVATE_RATE_LIMIT, draft_rate_limit=DRAFT_RATE_LIMIT)


def refusal(seconds: float, *, account_wide: bool = False) -> DeliveryError:
    return DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=seconds, account_wide=account_wide)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(UNLIMITED, timings=Timings(clock=clock))


@pytest.fixture
def requests(limiter: RateLimiter, clock: FakeClock) -> Requests:
    return Requests(limiter, clock)


async def test_window_fills_and_next_request_waits(requests: Requests, clock: FakeClock) -> None:
    for name in ("first", "second", "third"):
        await requests.add(name, limited(2, 4.0))
    assert requests.granted == ["first", "second"]
    await clock.advance(3.9)
    assert requests.granted == ["first", "second"]
    await clock.advance(0.1)
    assert requests.granted == ["first", "second", "third"]


async def test_final_overtakes_previews(requests: Requests, clock: FakeClock) -> None:
    await requests.add("first", limited(1, 1.0))
    await requests.add("preview", limited(1, 1.0), priority=Priority.PREVIEW)
    await requests.add("first text", limited(1, 1.0), priority=Priority.FIRST_TEXT)
    await requests.add("final", limited(1, 1.0))
    await clock.advance(3)
    assert requests.granted == ["first", "final", "first text", "preview"]


async def test_first_text_overtakes_what_came_a_moment_before_in_the_account(clock: FakeClock) -> None:
    requests = Requests(RateLimiter((RateWindow(1, 1.0),), timings=Timings(clock=clock)), clock)
    await requests.add("sent", chat="a")
    await requests.add("preview", chat="b", priority=Priority.PREVIEW)
    await requests.add("old final", chat="c")
    await clock.advance(FIRST_TEXT_HEAD_START)
    await requests.add("new final", chat="d")
    await clock.advance(0.1)
    await requests.add("first text", chat="e", priority=Priority.FIRST_TEXT, last_shown_at=clock.now - 60)
    await clock.advance(4)
    assert requests.granted == ["sent", "old final", "first text", "new final", "preview"]


async def test_most_outdated_preview_is_first(requests: Requests, clock: FakeClock) -> None:
    await clock.advance(10)
    await requests.add("first", limited(1, 1.0))
    for name, since in (("shown lately", 9.0), ("most outdated", 2.0), ("outdated", 5.0)):
        await requests.add(name, limited(1, 1.0), priority=Priority.PREVIEW, last_shown_at=since)
    await clock.advance(3)
    assert requests.granted == ["first", "most outdated", "outdated", "shown lately"]


async def test_previews_leave_reserve_to_finals(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    """Of 20 requests in a minute, two open answers need 2 final messages, and as many new ones would need 4."""
    minute = limited(20, 60.0)
    with limiter.expecting_final("a"), limiter.expecting_final("a"):
        await requests.add_many(30, minute, priority=Priority.PREVIEW)
        await clock.advance(59)
        assert len(requests.granted) <= 14
        previews = len(requests.granted)
        await requests.add_many(20 - previews, minute, priority=Priority.FINAL)
        assert len(requests.granted) == 20
        for task in requests.tasks.values():
            task.cancel()


async def test_first_texts_leave_a_place_to_each_final(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    minute = limited(20, 60.0)
    with ExitStack() as answers:
        for _ in range(12):
            answers.enter_context(limiter.expecting_final("a"))
        await requests.add_many(12, minute, priority=Priority.FIRST_TEXT)
        await clock.advance(BUSY_FIRST_TEXT_DELAY)
        assert len(requests.granted) == 8
        await requests.add_many(12, minute)
        assert len(requests.granted) == 20


async def test_short_answers_of_a_busy_chat_are_shown_complete_only(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    """Ten people ask twice within a minute, in which 20 requests are allowed."""
    minute = limited(20, 60.0)
    for _ in range(2):
        with ExitStack() as answers:
            for _ in range(10):
                answers.enter_context(limiter.expecting_final("a"))
            for number in range(10):
                await requests.add(f"first {number}", minute, priority=Priority.FIRST_TEXT)
            await clock.advance(BUSY_FIRST_TEXT_DELAY - 1)
            for number in range(10):
                requests.tasks.pop(f"first {number}").cancel()
            await requests.add_many(10, minute)
    assert len(requests.granted) == 20
    assert all(name.startswith(Priority.FINAL.name) for name in requests.granted)


async def test_first_texts_are_shown_at_once_in_a_chat_with_few_answers(
    requests: Requests, limiter: RateLimiter
) -> None:
    with ExitStack() as answers:
        for _ in range(4):
            answers.enter_context(limiter.expecting_final("a"))
        await requests.add_many(4, limited(20, 60.0), priority=Priority.FIRST_TEXT)
        assert len(requests.granted) == 4


async def test_first_texts_use_a_short_window_fully(requests: Requests, limiter: RateLimiter) -> None:
    """Final messages can wait for the next one."""
    with ExitStack() as answers:
        for _ in range(5):
            answers.enter_context(limiter.expecting_final("a"))
        await requests.add_many(5, limited(5, 5.0), priority=Priority.FIRST_TEXT)
        assert len(requests.granted) == 5


async def test_end_of_answer_frees_its_place(requests: Requests, limiter: RateLimiter) -> None:
    with limiter.expecting_final("a"):
        with limiter.expecting_final("a"):
            await requests.add_many(3, limited(3, 60.0), priority=Priority.FIRST_TEXT)
            await requests.clock.advance(BUSY_FIRST_TEXT_DELAY)
            assert len(requests.granted) == 1
        await requests.clock.settle()
        assert len(requests.granted) == 2


async def test_previews_become_rarer_as_window_fills(requests: Requests, clock: FakeClock) -> None:
    await requests.add_many(40, limited(20, 60.0), priority=Priority.PREVIEW)
    await clock.advance(60)
    intervals = [later - earlier for earlier, later in zip(requests.times[:10], requests.times[1:11], strict=True)]
    assert intervals[0] <= 1.2
    assert intervals == sorted(intervals)
    assert intervals[-1] >= 1.8 * intervals[0]


async def test_group_uses_its_whole_minute(requests: Requests, clock: FakeClock) -> None:
    """In any minute in which finals wait, at least 18 of 20 requests are finals."""
    await requests.add_many(100, GROUP, priority=Priority.FIRST_TEXT)
    await requests.add_many(100, GROUP, priority=Priority.PREVIEW)
    await clock.advance(60)
    waiting_since = clock.now
    await requests.add_many(200, GROUP)
    await clock.advance(400)
    finals = [
        time
        for name, time in zip(requests.granted, requests.times, strict=True)
        if name.startswith(Priority.FINAL.name)
    ]
    for second in range(int(waiting_since), int(waiting_since) + 340):
        assert sum(second <= time < second + 60 for time in finals) >= 18
    assert all(name.startswith(Priority.FINAL.name) for name in requests.granted[-len(finals) :])


async def test_account_uses_its_second(clock: FakeClock) -> None:
    requests = Requests(RateLimiter(TELEGRAM_ACCOUNT, timings=Timings(clock=clock)), clock)
    for number in range(300):
        await requests.add(str(number), chat=str(number))
    await clock.advance(10)
    assert len(requests.granted) >= 25 * 10


@pytest.mark.parametrize(
    ("account", "place", "next_chat"),
    [((RateWindow(1, 1.0),), UNLIMITED_PLACE, "b"), (UNLIMITED, limited(1, 1.0), "a")],
    ids=["account", "chat"],
)
async def test_request_counts_until_it_is_answered(
    clock: FakeClock, account: RateLimit, place: Capabilities, next_chat: str
) -> None:
    """On a busy machine, it may reach the platform late."""
    limiter = RateLimiter(account, timings=Timings(clock=clock))
    granted_at = await limiter.acquire("a", place, Priority.FINAL)
    await clock.advance(0.8)
    limiter.request_ended("a", granted_at)
    requests = Requests(limiter, clock)
    await requests.add("next", place, chat=next_chat)
    await clock.advance(0.9)
    assert requests.granted == []
    await clock.advance(0.1)
    assert requests.granted == ["next"]


async def test_slow_network_does_not_slow_requests(clock: FakeClock) -> None:
    """All requests arrive later by the same time, so they are as far apart as they were granted."""
    limiter = RateLimiter((RateWindow(5, 1.0),), timings=Timings(clock=clock))
    answered: list[float] = []

    async def request(chat: str) -> None:
        granted_at = await limiter.acquire(chat, UNLIMITED_PLACE, Priority.FINAL)
        response = asyncio.Event()
        clock.call_later(0.4, response.set)
        await response.wait()
        limiter.request_ended(chat, granted_at)
        answered.append(clock.now)

    async with asyncio.TaskGroup() as group:
        for number in range(400):
            group.create_task(request(str(number)))
        while len(answered) < 400:
            await clock.advance(0.1)
    assert sum(time > answered[-1] - 30 for time in answered) >= 5 * 29


async def test_drafts_have_their_own_limit(clock: FakeClock) -> None:
    """They take nothing from messages, neither in the chat nor of the account."""
    limiter = RateLimiter((RateWindow(1, 1000.0),), timings=Timings(clock=clock))
    requests = Requests(limiter, clock)
    await requests.add_many(50, PRIVATE, priority=Priority.PREVIEW, kind=RequestKind.DRAFT)
    assert len(requests.granted) == 16
    await requests.add("final", PRIVATE)
    assert requests.granted[-1] == "final"
    await clock.advance(29.9)
    drafts = [time for name, time in zip(requests.granted, requests.times, strict=True) if name != "final"]
    assert len(drafts) == 36


async def test_edits_with_their_own_limit_take_nothing_from_messages(requests: Requests) -> None:
    capabilities = Capabilities((RateWindow(2, 60.0),), edit_rate_limit=(RateWindow(1, 60.0),))
    await requests.add_many(3, capabilities, kind=RequestKind.EDIT)
    assert len(requests.granted) == 1
    await requests.add_many(3, capabilities)
    assert len(requests.granted) == 3


async def test_typing_counts_only_for_the_account(requests: Requests, limiter: RateLimiter) -> None:
    for _ in range(5):
        await requests.add("typing", limited(1, 60.0), priority=Priority.PREVIEW, kind=RequestKind.TYPING)
    await requests.add("final", limited(1, 60.0))
    assert requests.granted == ["typing"] * 5 + ["final"]


@dataclass
class Arrival:
    delay: float
    chat: int
    priority: Priority
    kind: RequestKind
    is_cancelled: bool


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 1.0, 7.0]),
        st.integers(0, 2),
        st.sampled_from(Priority),
        st.sampled_from(RequestKind),
        st.booleans(),
    ),
    min_size=20,
    max_size=120,
)
PLATFORMS = [(GROUP, TELEGRAM_ACCOUNT), (PRIVATE, TELEGRAM_ACCOUNT), (DISCORD, DISCORD_ACCOUNT)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLATFORMS), ARRIVALS)
def test_no_window_is_ever_exceeded(platform: tuple[Capabilities, RateLimit], arrivals: list[Arrival]) -> None:
    asyncio.run(check_windows(*platform, arrivals))


async def check_windows(capabilities: Capabilities, account: RateLimit, arrivals: list[Arrival]) -> None:
    clock = FakeClock()
    requests = Requests(RateLimiter(account, timings=Timings(clock=clock)), clock)
    with requests.limiter.expecting_final("0"):
        for number, arrival in enumerate(arrivals):
            await clock.advance(arrival.delay)
            name = f"{arrival.chat} {arrival.kind.value} {number}"
            await requests.add(name, capabilities, chat=str(arrival.chat), priority=arrival.priority, kind=arrival.kind)
            if arrival.is_cancelled:
                requests.tasks[name].cancel()
        await clock.advance(600)
    assert all(task.done() for task in requests.tasks.values()), "nobody starves"
    sent: dict[tuple[str, str], list[float]] = {}
    for name, time in zip(requests.granted, requests.times, strict=True):
        chat, kind, _ = name.split()
        has_own_limit = {
            "draft": capabilities.draft_rate_limit is not None,
            "edit": capabilities.edit_rate_limit is not None,
            "typing": True,
            "message": True,
        }[kind]
        sent.setdefault((chat, kind if has_own_limit else "message"), []).append(time)
        if kind != "draft" or not has_own_limit:
            sent.setdefault(("", "account"), []).append(time)
    limits = {
        "message": capabilities.rate_limit,
        "edit": capabilities.edit_rate_limit or (),
        "draft": capabilities.draft_rate_limit or (),
        "typing": (),
        "account": account,
    }
    for (_, kind), times in sent.items():
        for window in limits[kind]:
            assert max_in_window(times, window.seconds) <= window.count


# Refusals


async def test_blocked_chat_delays_no_other(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    limiter.block("a", 60)
    await requests.add("blocked", chat="a")
    await requests.add("free", chat="b")
    assert requests.granted == ["free"]
    assert limiter.seconds_blocked("a") == 60
    assert limiter.seconds_blocked("b") == 0
    await clock.advance(60)
    assert requests.granted == ["free", "blocked"]


async def test_new_blocked_chat_keeps_its_rate_limit(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    limiter.block("a", 0)
    await requests.add_many(20, limited(5, 1.0))
    await clock.advance(4)
    assert len(requests.granted) == 20


@pytest.mark.parametrize("kind", RequestKind)
async def test_refused_chat_is_completely_silent(
    requests: Requests, limiter: RateLimiter, clock: FakeClock, kind: RequestKind
) -> None:
    """Whatever was refused: drafts, edits, messages and typing wait until the end."""
    await requests.add("refused", PRIVATE, kind=kind)
    limiter.apply_retry_after("a", refusal(30), kind)
    for other in RequestKind:
        await requests.add(other.value, PRIVATE, kind=other)
    await clock.advance(30 + MARGIN - 0.01)
    assert requests.granted == ["refused"]
    await clock.advance(10)
    assert len(requests.granted) == 1 + len(RequestKind)


async def test_silence_is_followed_by_single_requests(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    """If the platform still refuses, it refuses one request and not five."""
    limiter.block("a", 30)
    await requests.add_many(10, limited(5, 5.0))
    await clock.advance(30)
    assert len(requests.granted) == 1
    await clock.advance(1)
    assert len(requests.granted) == 2


async def test_refused_drafts_are_slower_and_recover_minute_by_minute(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    await requests.add("refused", PRIVATE, kind=RequestKind.DRAFT)
    limiter.apply_retry_after("a", refusal(10 - MARGIN), RequestKind.DRAFT)
    limiter.apply_retry_after("a", refusal(10 - MARGIN), RequestKind.DRAFT)  # it was on its way
    await clock.advance(10)

    def factor() -> float:
        return limiter.interval_factor("a", PRIVATE, RequestKind.DRAFT)

    assert factor() == 2.0
    await clock.advance(59)
    assert factor() == 2.0
    factors = []
    for _ in range(6):
        await clock.advance(60)
        factors.append(factor())
    assert factors == pytest.approx([1.7, 1.445, 1.228, 1.044, 1.0, 1.0], abs=0.001)
    limiter.apply_retry_after("a", refusal(1), RequestKind.DRAFT)
    await clock.advance(2)
    limiter.apply_retry_after("a", refusal(1), RequestKind.DRAFT)
    assert factor() == 4.0


async def test_refused_chat_has_smaller_windows(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    await requests.add("refused", PRIVATE, kind=RequestKind.DRAFT)
    limiter.apply_retry_after("a", refusal(1), RequestKind.DRAFT)
    await clock.advance(40)
    count = len(requests.granted)
    await requests.add_many(50, PRIVATE, priority=Priority.PREVIEW, kind=RequestKind.DRAFT)
    assert len(requests.granted) == count + int(16 * 0.7)
    await requests.add_many(9, PRIVATE)
    assert len(requests.granted) == count + int(16 * 0.7) + 5, "messages were not refused"


async def test_many_refused_chats_slow_new_ones(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    for number in range(WIDE_REFUSAL_CHATS):
        assert limiter.interval_factor("new", PRIVATE, RequestKind.DRAFT) == 1.0
        limiter.apply_retry_after(str(number), refusal(1), RequestKind.DRAFT)
        await clock.advance(5)
    assert limiter.interval_factor("newer", PRIVATE, RequestKind.DRAFT) == 2.0


async def test_wait_is_foreseen(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    minute = limited(20, 60.0)
    assert limiter.estimate_wait("a", minute) == 0
    await requests.add_many(20, minute)
    await clock.advance(10)
    assert limiter.estimate_wait("a", minute) == 50
    await requests.add_many(25, minute)
    assert limiter.estimate_wait("a", minute) == pytest.approx(110)
    limiter.block("a", 300)
    assert limiter.estimate_wait("a", minute) == 300


async def test_account_limit_is_first_come_first_served(clock: FakeClock) -> None:
    requests = Requests(RateLimiter((RateWindow(1, 1 / 64),), timings=Timings(clock=clock)), clock)
    for chat in "abcd":
        await requests.add(chat, chat=chat, priority=Priority.PREVIEW)
    await clock.advance(3 / 64)
    assert requests.granted == list("abcd")


async def test_cancelled_waiter_uses_no_token(requests: Requests, clock: FakeClock) -> None:
    for name in ("first", "cancelled", "last"):
        await requests.add(name, limited(1, 0.1))
    requests.tasks["cancelled"].cancel()
    await clock.advance(0.1)
    assert requests.granted == ["first", "last"]


async def test_idle_chats_are_forgotten(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    for number in range(3 * MAX_TRACKED_CHATS):
        await limiter.acquire(str(number), limited(5, 0.1), Priority.FINAL)
        await clock.advance(0.001)
    assert len(limiter._chats) <= MAX_TRACKED_CHATS


async def test_account_wide_wait_blocks_every_chat(clock: FakeClock) -> None:
    limits: list[tuple[str, float]] = []
    limiter = RateLimiter(
        UNLIMITED, on_limit=lambda chat, seconds: limits.append((chat, seconds)), timings=Timings(clock=clock)
    )
    requests = Requests(limiter, clock)
    limiter.apply_retry_after("a", refusal(60, account_wide=True))
    await requests.add("other", chat="b")
    assert requests.granted == []
    assert limiter.seconds_blocked("b") == 60 + MARGIN
    assert limits == [(WHOLE_ACCOUNT, 60 + MARGIN)]
    await clock.advance(60 + MARGIN)
    assert requests.granted == ["other"]


async def test_processes_share_account_limit(clock: FakeClock) -> None:
    limiter = RateLimiter((RateWindow(4, 1000.0),), timings=Timings(clock=clock))
    requests = Requests(limiter, clock)
    limiter.share_among(4)
    await requests.add("first", chat="a")
    await requests.add("second", chat="b")
    assert requests.granted == ["first"]


async def test_refusal_blocks_concurrent_sends(requests: Requests, clock: FakeClock) -> None:
    rate_limit = limited(2, 1.0)
    for name in ("first", "second"):
        await requests.add(name, rate_limit)
    for name in ("refused", "concurrent"):
        await requests.add(name, rate_limit, block_seconds=60)
    clock.now += 1  # one timer grants both
    await clock.advance(0)
    assert requests.granted == ["first", "second", "refused"]
