"""How many cases to run, from which seed, and how to report them."""

import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import structlog

SEED = int(os.environ.get("FUZZ_SEED", "1")) or random.SystemRandom().randint(1, 10**6)
"""The suite always runs the same cases; `make fuzz` passes 0 and gets others each time."""
MAX_SHORT_CASES = 1000
CASES_PER_PROGRESS_LINE = 5000


def case_count(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))


def time_limit(count: int) -> int:
    """Seconds for a test with so many cases; 0: none."""
    return 0 if count > MAX_SHORT_CASES else 600


@dataclass(slots=True)
class Run:
    """Says which case failed, and which was the slowest."""

    name: str
    count: int = 0
    slowest_seconds: float = 0.0
    slowest_case: int = 0
    slowest_content: object = None

    def __enter__(self) -> Self:
        print(f"FUZZ_SEED={SEED} {self.name}")  # noqa: T201 (repeats a failed run)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        return self

    def __exit__(self, *_: object) -> None:
        structlog.reset_defaults()
        slowest = f"{self.slowest_case} with {self.slowest_seconds:.3f} s: {self.slowest_content!r:.500}"
        print(f"{self.name}: {self.count} cases, slowest {slowest}")  # noqa: T201

    @contextmanager
    def case(self, number: int, content: object) -> Iterator[None]:
        started_at = time.perf_counter()
        try:
            yield
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED={SEED}, {self.name} {number}: {content!r:.3000}") from error
        seconds = time.perf_counter() - started_at
        self.count += 1
        if self.count % CASES_PER_PROGRESS_LINE == 0:
            print(f"{self.name}: {self.count} cases", flush=True)  # noqa: T201
        if seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest_case, self.slowest_content = seconds, number, content
