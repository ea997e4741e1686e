"""Tables of the figures: ratios first. Also the targets, and the ratios that `baseline.json` limits."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.answers.measurement import Figures, Load, Spread

BASELINE_PATH = Path(__file__).with_name("baseline.json")
MAX_GROWTH = 4 / 3
"""A ratio above its recorded value times this fails the short form."""
LIMITED_RATIOS: dict[str, tuple[str, Callable[[Figures], float | None]]] = {
    "CPU per answer, parley/naive": ("naive", lambda figures: figures.cpu_per_answer),
    "calls per answer, parley/floor": ("floor", lambda figures: figures.calls_per_answer),
    "token delay, parley/floor": ("floor", lambda figures: figures.token_delay),
    "age of the text, parley/floor": ("floor", lambda figures: figures.text_age),
}
"""Those that hardly depend on the machine and its load."""

RATIO_COLUMNS: dict[str, Callable[[Figures], float | None]] = {
    "CPU/answer": lambda figures: figures.cpu_per_answer,
    "CPU/token": lambda figures: figures.cpu_per_token,
    "calls": lambda figures: figures.calls_per_answer,
    "delay": lambda figures: figures.token_delay,
    "age": lambda figures: figures.text_age,
    "idle MB": lambda figures: float(figures.idle_bytes),
    "start CPU": lambda figures: figures.start_cpu,
}
DIFFERENCE_COLUMNS: dict[str, Callable[[Figures], Spread]] = {
    "request": lambda figures: figures.question_to_request,
    "visible": lambda figures: figures.first_to_visible,
    "full": lambda figures: figures.last_to_full,
}
FIGURE_COLUMNS: dict[str, Callable[[Figures], str]] = {
    "whole": lambda figures: f"{figures.whole}/{figures.asked}",
    "429": lambda figures: str(figures.refusals),
    "request p50/p95": lambda figures: _spread(figures.question_to_request),
    "visible p50/p95": lambda figures: _spread(figures.first_to_visible),
    "delay": lambda figures: _number(figures.token_delay),
    "age": lambda figures: _number(figures.text_age),
    "full p50/p95": lambda figures: _spread(figures.last_to_full),
    "calls": lambda figures: f"{figures.calls_per_answer:.1f}",
    "ms/answer": lambda figures: f"{figures.cpu_per_answer * 1e3:.1f}",
    "us/token": lambda figures: _number(figures.cpu_per_token, 1e6, 0),
    "idle MB": lambda figures: f"{figures.idle_bytes / 1e6:.0f}",
    "KB/stream": lambda figures: f"{figures.bytes_per_stream / 1e3:.0f}",
    "start s": lambda figures: f"{figures.start_seconds:.2f}",
    "start CPU s": lambda figures: f"{figures.start_cpu:.2f}",
    "stored B/answer": lambda figures: _number(figures.stored_bytes_per_answer, 1, 0),
    "late ms": lambda figures: f"{figures.model_lateness * 1e3:.1f}",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Parley and the two reference bots under one load."""

    parley: Figures
    floor: Figures | None
    naive: Figures | None

    @property
    def references(self) -> list[Figures]:
        return [figures for figures in (self.floor, self.naive) if figures is not None]

    @property
    def name(self) -> str:
        return f"{self.parley.platform} {load_name(self.parley.load)}"


def load_name(load: Load) -> str:
    return f"{load.people} x {load.tokens} tokens"


def compare(results: Sequence[Figures]) -> list[Comparison]:
    loads = dict.fromkeys((figures.platform, figures.load) for figures in results)
    bots = [{f.bot: f for f in results if (f.platform, f.load) == key} for key in loads]
    return [Comparison(by["parley"], by.get("floor"), by.get("naive")) for by in bots if "parley" in by]


def ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def ratio_rows(comparison: Comparison) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Ratios of Parley to each reference, and differences in seconds, by column."""
    parley = comparison.parley
    for reference in comparison.references:
        row = {name: ratio(value(parley), value(reference)) for name, value in RATIO_COLUMNS.items()}
        for name, spread in DIFFERENCE_COLUMNS.items():
            own, other = spread(parley), spread(reference)
            row[f"{name} p50 +s"] = _difference(own.p50, other.p50)
            row[f"{name} p95 +s"] = _difference(own.p95, other.p95)
        yield f"parley/{reference.bot}", row


def ratio_table(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [comparison.name, name, *(_number(value) for value in row.values())]
        for comparison in comparisons
        for name, row in ratio_rows(comparison)
    ]
    differences = [f"{name} {share} +s" for name in DIFFERENCE_COLUMNS for share in ("p50", "p95")]
    return _table([["load", "ratio", *RATIO_COLUMNS, *differences], *rows])


def figure_table(results: Sequence[Figures]) -> str:
    rows = [
        [
            f"{figures.platform} {load_name(figures.load)}",
            figures.bot,
            *(column(figures) for column in FIGURE_COLUMNS.values()),
        ]
        for figures in results
    ]
    return _table([["load", "bot", *FIGURE_COLUMNS], *rows])


def limited_ratios(comparisons: Iterable[Comparison]) -> dict[str, float]:
    """The values that `baseline.json` records."""
    ratios = {
        f"{comparison.parley.platform}: {name}": ratio(value(comparison.parley), value(reference))
        for comparison in comparisons
        for reference in comparison.references
        for name, (bot, value) in LIMITED_RATIOS.items()
        if bot == reference.bot
    }
    return {name: value for name, value in ratios.items() if value is not None}


def read_baseline() -> dict[str, float]:
    ratios: dict[str, float] = json.loads(BASELINE_PATH.read_text())["ratios"]
    return ratios


def write_baseline(ratios: dict[str, float]) -> None:
    content = json.loads(BASELINE_PATH.read_text()) | {"ratios": {name: round(ratios[name], 2) for name in ratios}}
    BASELINE_PATH.write_text(json.dumps(content, indent=2) + "\n")


def worse_ratios(ratios: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """The ratios that are missing, or worse than recorded by more than a third."""
    return [
        f"{name}: {ratios.get(name, float('nan')):.2f}, recorded {recorded:.2f}"
        for name, recorded in baseline.items()
        if not ratios.get(name, float("inf")) <= recorded * MAX_GROWTH
    ]


def _difference(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value - reference


def _number(value: float | None, factor: float = 1.0, digits: int = 2) -> str:
    return "-" if value is None else f"{value * factor:.{digits}f}"


def _spread(spread: Spread) -> str:
    return f"{_number(spread.p50)}/{_number(spread.p95)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if index < 2 else cell.rjust(width) for index, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
