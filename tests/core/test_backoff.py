"""Delays double up to a maximum, and are shortened by at most half."""

from collections.abc import Callable

import pytest

from core.backoff import Backoff


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        (lambda _low, high: high, [1.0, 2.0, 4.0, 5.0, 5.0]),
        (lambda low, _high: low, [0.5, 1.0, 2.0, 2.5, 2.5]),
    ],
    ids=["longest", "shortest"],
)
def test_delays_double_up_to_the_maximum(jitter: Callable[[float, float], float], expected: list[float]) -> None:
    backoff = Backoff(1.0, 5.0, jitter)
    assert [backoff.next_delay() for _ in expected] == expected
    backoff.reset()
    assert backoff.next_delay() == expected[0]


def test_processes_do_not_return_at_the_same_instant() -> None:
    delays = {Backoff(1.0, 5.0).next_delay() for _ in range(20)}
    assert len(delays) > 1
    assert all(0.5 <= delay <= 1.0 for delay in delays)
