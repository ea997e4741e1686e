"""Which calls count as sent before a `retry_after` had passed."""

import random

import pytest

from bots.sandbox.stand_in import FaultKind
from bots.sandbox.telegram import Call
from tests.faults.fault_injection import IN_FLIGHT_SECONDS, FaultInjector

RETRY_AFTER = 10.0


@pytest.mark.parametrize(
    ("text", "seconds", "is_early"),
    [
        ("refused", 0.1, True),
        ("another", 0.1, False),
        ("another", IN_FLIGHT_SECONDS + 0.1, True),
        ("refused", RETRY_AFTER, False),
        ("another", RETRY_AFTER, False),
    ],
)
def test_early_calls(text: str, seconds: float, is_early: bool) -> None:
    injector = FaultInjector(
        random.Random(1), (RETRY_AFTER, RETRY_AFTER), 0, kinds=(FaultKind.RATE_LIMITED,), share_per_kind=1.0
    )
    assert injector._telegram_fault(Call("sendMessage", {"chat_id": 1, "text": "refused"}, time=100.0))
    injector.share_per_kind = 0.0
    assert injector._telegram_fault(Call("sendMessage", {"chat_id": 1, "text": text}, time=100.0 + seconds)) is None
    assert bool(injector.early_sends()) == is_early
