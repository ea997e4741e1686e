"""When the next request may be sent, and how a refusal slows requests down."""

import math

import pytest

from core.delivery.sliding_windows import (
    MAX_INTERVAL_FACTOR,
    MIN_COUNT_FACTOR,
    RECOVERED_COUNT_FACTOR,
    RECOVERED_INTERVAL_FACTOR,
    RECOVERY_SECONDS,
    REFUSED_COUNT_FACTOR,
    REFUSED_INTERVAL_FACTOR,
    SlidingWindows,
    Slowdown,
)
from core.port import RateWindow

WINDOW = RateWindow(count=3, seconds=10)


def whole(window: RateWindow) -> int:
    return window.count


def windows(*times: float, window: RateWindow = WINDOW) -> SlidingWindows:
    """With requests at these times."""
    created = SlidingWindows((window,))
    for time in times:
        created.record(time)
    return created


def test_request_waits_until_the_first_leaves_the_window() -> None:
    assert windows(0, 1).ready_at(5, whole) == 0
    assert windows(0, 1, 4).ready_at(5, whole) == 10
    assert windows(0, 1, 4, 10).ready_at(10, whole) == 11
    assert SlidingWindows(()).ready_at(5, whole) == 0


def test_postponed_request_leaves_the_window_later() -> None:
    sent = windows(0, 1, 4)
    sent.postpone(0, 2)
    assert sent.ready_at(5, whole) == 11, "the one of second 1 is the first now"
    sent.postpone(3, 9)  # unknown: it was forgotten
    assert sent.ready_at(5, whole) == 11
    sent.forget(1)
    assert sent.ready_at(5, whole) == 0
    sent.forget(1)
    sent.record(5)
    assert sent.ready_at(5, whole) == 12


def test_pending_and_reserved_requests_take_room() -> None:
    sent = windows(0)
    assert sent.ready_at(5, whole, lambda _: 1) == 0
    assert sent.ready_at(5, whole, lambda _: 2) == 10, "one is its own"
    assert sent.ready_at(5, whole, lambda _: 3) == math.inf, "all are reserved"
    sent.pending = 2
    assert sent.ready_at(5, whole) == 10
    sent.pending = 3
    assert sent.ready_at(5, whole) == math.inf


def test_requests_pass_one_by_one_after_a_refusal() -> None:
    sent = windows(0)
    sent.resume_at(30)
    sent.resume_at(20)  # an earlier end does not count
    assert sent.ready_at(30, whole) == 30
    sent.record(30)
    assert sent.ready_at(30, whole) == pytest.approx(30 + 10 / 3)
    assert sent.ready_at(40, whole) == 0, "as usual again"


@pytest.mark.parametrize(("times", "ready_at"), [((), 0), ((9.0,), 0), ((8.0, 9.0), 11)])
def test_requests_are_spaced_once_the_window_is_half_full(times: tuple[float, ...], ready_at: float) -> None:
    spaced = RateWindow(count=4, seconds=10, spacing=2)
    assert windows(*times, window=spaced).ready_at(9.5, whole) == ready_at


def test_wait_is_estimated_from_those_before() -> None:
    sent = windows(0, 1, 4)
    assert [sent.estimate_wait(5, whole, waiting) for waiting in range(5)] == [5, 6, 9, 15, 16]
    assert windows(0).estimate_wait(5, whole, 0) == 0
    sent.pending = 2
    assert [sent.estimate_wait(5, whole, waiting) for waiting in range(2)] == [9, 15]


def test_windows_are_idle_when_nothing_can_matter_any_more() -> None:
    assert SlidingWindows((WINDOW,)).is_idle(0)
    sent = windows(0)
    assert not sent.is_idle(9.9)
    assert sent.is_idle(10)
    sent.pending = 1
    assert not sent.is_idle(10)
    sent.pending = 0
    sent.slowdown.escalate(10)
    assert not sent.is_idle(20)


def test_slowdown_recovers_minute_by_minute() -> None:
    slowdown = Slowdown()
    assert (slowdown.interval_factor(0), slowdown.count_factor(0), slowdown.is_over(0)) == (1, 1, True)
    slowdown.escalate(100)
    just_before = 100 + RECOVERY_SECONDS - 0.1
    assert slowdown.interval_factor(just_before) == REFUSED_INTERVAL_FACTOR
    assert slowdown.count_factor(just_before) == REFUSED_COUNT_FACTOR
    two_minutes = 100 + 2 * RECOVERY_SECONDS
    assert slowdown.interval_factor(two_minutes) == pytest.approx(
        REFUSED_INTERVAL_FACTOR * RECOVERED_INTERVAL_FACTOR**2
    )
    assert slowdown.count_factor(two_minutes) == pytest.approx(REFUSED_COUNT_FACTOR * RECOVERED_COUNT_FACTOR**2)
    assert not slowdown.is_over(two_minutes)
    assert slowdown.is_over(100 + 60 * RECOVERY_SECONDS)
    assert (slowdown.interval_factor(1e6), slowdown.count_factor(1e6)) == (1, 1)


def test_slowdown_has_limits() -> None:
    slowdown = Slowdown()
    for _ in range(20):
        slowdown.escalate(100)
    assert (slowdown.interval_factor(100), slowdown.count_factor(100)) == (MAX_INTERVAL_FACTOR, MIN_COUNT_FACTOR)
    slow = windows(0, 1, window=RateWindow(count=10, seconds=10))
    slow.slowdown = slowdown
    assert slow.ready_at(5, whole) == 10, "two of ten"
