"""Who answers when the chosen model cannot: the order, what may fail over, who is left alone.

Only before anything was shown. Which failures mean "another model may do better" is a closed set;
a wrong key, a request that is not taken or a withheld answer would meet the next model as well.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.api.catalogue import Model, builtin, size
from core.errors import Failure, ModelError

__all__ = ["Breaker", "may_fail_over", "successors"]

ANOTHER_MAY = frozenset({
    Failure.QUOTA, Failure.RATE, Failure.UNKNOWN_MODEL, Failure.PAYMENT, Failure.UNAVAILABLE,
    Failure.STALLED, Failure.TRUNCATED, Failure.MALFORMED, Failure.EMPTY, Failure.OVERFLOW,
})  # fmt: skip
BROKEN = frozenset({
    Failure.UNAVAILABLE, Failure.STALLED, Failure.TRUNCATED, Failure.MALFORMED, Failure.EMPTY,
})  # fmt: skip
"""Failures that speak against the model itself."""
BUILTIN = builtin()
NEXT = 3
"""Models tried after the chosen one."""
TRIES = 3
"""Failures in a row after which a model is left alone."""
REST = 30.0
LONGEST_REST = 600.0
"""Seconds for which it is, doubled each time."""
MOST = 1000
"""Models of accounts remembered."""


def may_fail_over(error: ModelError) -> bool:
    if error.failure is Failure.UNAVAILABLE and error.status is None:
        return False  # the service is not there at all: no model of it is
    return error.failure in ANOTHER_MAY


def successors(
    chosen: str, models: Sequence[Model], order: Sequence[str], most: int = NEXT
) -> list[str]:
    """Who is to answer instead of `chosen`, best first: the operator's `order`, else the models
    most like it: of its kind, near its size, with a window not smaller.
    """
    there = {model.id: model for model in models if not model.embeds}
    if order:
        return [id_ for id_ in order if id_ in there and id_ != chosen][:most]
    like = there.get(chosen) or BUILTIN.get(chosen, Model(chosen))

    def distance(model: Model) -> tuple[bool, bool, float, str]:
        return (
            model.reasons != like.reasons,
            model.context < like.context,
            abs(math.log(size(model) / size(like))),
            model.id,
        )

    others = (model for model in there.values() if model.id != chosen)
    return [model.id for model in sorted(others, key=distance)[:most]]


@dataclass(slots=True)
class _State:
    failures: int = 0
    rests: int = 0
    until: float = 0.0


class Breaker:
    """Leaves a model alone that fails again and again; one question in a while tries it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._models: dict[tuple[str, str], _State] = {}

    def resting(self, account: str, model: str) -> float:
        """Seconds for which `model` is not to be asked."""
        state = self._models.get((account, model))
        if state is None:
            return 0.0
        left = max(0.0, state.until - self._clock())
        if not left and state.until:
            # Whoever asks now tries it; the others wait for what comes of that.
            state.until = self._clock() + REST
        return left

    def worked(self, account: str, model: str) -> None:
        self._models.pop((account, model), None)

    def failed(self, account: str, model: str, error: ModelError) -> None:
        """Take note of a failure. A service that names a long wait is believed at once."""
        wait = error.retry_after or 0.0
        if error.failure not in BROKEN and not (error.failure is Failure.RATE and wait):
            return
        state = self._models.pop((account, model), _State())
        self._models[account, model] = state
        while len(self._models) > MOST:  # those longest without a failure: accounts come and go
            del self._models[next(iter(self._models))]
        state.failures += 1
        rest = 0.0
        if error.failure in BROKEN and state.failures >= TRIES:
            rest = min(LONGEST_REST, REST * float(1 << min(state.rests, 10)))
            state.rests += 1
        state.until = max(state.until, self._clock() + max(rest, wait)) if rest or wait else 0.0
