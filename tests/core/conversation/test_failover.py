"""Models that keep failing are paused."""

import pytest

from core.conversation.failover import MAX_CIRCUITS, CircuitBreaker
from core.errors import ModelError, ModelFailure
from core.timings import Timings
from tests.clock import FakeClock

PHI = "microsoft/phi-4"
UNAVAILABLE = ModelError("down", ModelFailure.UNAVAILABLE, status=503)


async def test_each_pause_is_twice_as_long() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timings=Timings(clock=clock, first_model_pause=30, max_model_pause=100))
    for _ in range(2):
        breaker.record_failure("key", PHI, UNAVAILABLE)
    assert breaker.remaining_seconds("key", PHI) == 0
    for pause in (30, 60, 100, 100):
        breaker.record_failure("key", PHI, UNAVAILABLE)
        assert breaker.remaining_seconds("key", PHI) == pytest.approx(pause)
        await clock.advance(pause)
        assert breaker.remaining_seconds("key", PHI) == 0, "one question tries the model"
        assert breaker.remaining_seconds("key", PHI) == 30, "the others wait for its result"
    breaker.record_success("key", PHI)
    assert breaker.remaining_seconds("key", PHI) == 0


def test_requested_wait_is_obeyed_at_once() -> None:
    breaker = CircuitBreaker(timings=Timings(clock=FakeClock()))
    breaker.record_failure("key", PHI, ModelError("slow down", ModelFailure.RATE_LIMITED, retry_after=7))
    assert breaker.remaining_seconds("key", PHI) == pytest.approx(7)


def test_breaker_forgets_old_keys() -> None:
    breaker = CircuitBreaker()
    for number in range(MAX_CIRCUITS + 50):
        for _ in range(3):
            breaker.record_failure(f"key {number}", PHI, UNAVAILABLE)
    assert len(breaker._circuits) == MAX_CIRCUITS
    assert breaker.remaining_seconds(f"key {MAX_CIRCUITS + 49}", PHI)
    assert not breaker.remaining_seconds("key 0", PHI)
