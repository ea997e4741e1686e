"""The targets that Parley sets itself, and which of them a run meets. They are ratios or differences within the run,
except where people feel the absolute time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.answers.measurement import Figures
from tests.benchmarks.answers.report import Comparison, load_name, ratio

USUAL_TOKENS = 200
ADDED_SECONDS = 0.1
"""How much later than the floor's the first and the last words may be."""
MAX_IDLE_BYTES, MAX_STREAM_BYTES = 100e6, 200e3
MAX_START_SECONDS = 1.2


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    value: float | None
    limit: float

    @property
    def is_met(self) -> bool:
        return self.value is not None and self.value <= self.limit

    def __str__(self) -> str:
        value = "-" if self.value is None else f"{self.value:.2f}"
        return f"{'met   ' if self.is_met else 'MISSED'}  {self.name}: {value}, at most {self.limit:.2f}"


def targets(comparison: Comparison, run: Sequence[Comparison]) -> Iterator[Target]:
    """The targets for one load of a run."""
    parley, floor, naive = comparison.parley, comparison.floor, comparison.naive
    yield Target("answers that are not whole", parley.asked - parley.whole, 0)
    yield Target("refusals", parley.refusals, 0)
    if parley.load.tokens != USUAL_TOKENS:
        yield from _cost_of_length(comparison, run)
        return
    people = parley.load.people
    if floor is not None and people > 1:
        yield Target("CPU per answer, parley/floor", ratio(parley.cpu_per_answer, floor.cpu_per_answer), 3)
    if naive is not None and people > 1:
        yield Target("CPU per answer, parley/naive", ratio(parley.cpu_per_answer, naive.cpu_per_answer), 0.5)
    yield Target("question to model request, p95, s", parley.question_to_request.p95, 0.3 if people <= 100 else 1)
    if floor is not None:
        yield from _later_than_floor(parley, floor)
        yield Target("token delay, parley/floor", ratio(parley.token_delay, floor.token_delay), _delay_limit(parley))
    yield Target("idle memory, MB", parley.idle_bytes / 1e6, MAX_IDLE_BYTES / 1e6)
    yield Target("memory per stream, KB", parley.bytes_per_stream / 1e3, MAX_STREAM_BYTES / 1e3)
    yield Target("start to first poll, s", parley.start_seconds, MAX_START_SECONDS)


def _cost_of_length(comparison: Comparison, run: Sequence[Comparison]) -> Iterator[Target]:
    """Relative to usual answers of a few people: under more load, tokens that arrive together cost less."""
    parley = comparison.parley
    usual = [
        other.parley
        for other in run
        if (other.parley.platform, other.parley.load.tokens) == (parley.platform, USUAL_TOKENS)
        and other.parley.load.people > 1
    ]
    if usual:
        reference = min(usual, key=lambda figures: figures.load.people)
        name = f"CPU per token, relative to {load_name(reference.load)}"
        yield Target(name, ratio(parley.cpu_per_token, reference.cpu_per_token), 1)


def _later_than_floor(parley: Figures, floor: Figures) -> Iterator[Target]:
    for name, own, reference in (
        ("first token to visible", parley.first_to_visible, floor.first_to_visible),
        ("last token to full text", parley.last_to_full, floor.last_to_full),
    ):
        for share, value, other in (("p50", own.p50, reference.p50), ("p95", own.p95, reference.p95)):
            later = None if value is None or other is None else value - other
            yield Target(f"{name}, {share}, later than the floor, s", later, ADDED_SECONDS)


def _delay_limit(figures: Figures) -> float:
    if figures.platform == "discord":
        return 1.1
    return 0.5 if figures.load.people <= 20 else 1.0
