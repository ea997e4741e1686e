"""Measures answers from outside, beside two reference bots, in one run: CONTRIBUTING.md explains the columns.

    python -m tests.benchmarks.bench_answers --people 1,20,100 --platforms telegram,discord --output FOLDER
    python -m tests.benchmarks.bench_answers --short            # what CI limits: 10 people on each platform
    python -m tests.benchmarks.bench_answers --short --record   # record what CI limits

How one person affects another is in `bench_hostile_person`, the time to build a context in `bench_context`.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.answers.analysis import AGE_STEP
from tests.benchmarks.answers.bot_process import COMMANDS
from tests.benchmarks.answers.measurement import Figures, Load, running_bots
from tests.benchmarks.answers.report import (
    Comparison,
    compare,
    figure_table,
    limited_ratios,
    load_name,
    ratio_rows,
    ratio_table,
    read_baseline,
    worse_ratios,
    write_baseline,
)
from tests.benchmarks.answers.services import SERVICES
from tests.benchmarks.answers.svg import bar_chart, line_chart
from tests.benchmarks.answers.targets import targets

T = TypeVar("T")
SHORT_LOAD = Load(people=10, questions=1, tokens=100, tokens_per_second=50, ramp_seconds=0.5, pause_seconds=0)
LONG_ANSWERS = Load(people=5, questions=1, tokens=2500)
DEFAULT_OUTPUT = Path("build/benchmarks/answers")
PLOTTED_RATIOS = ("CPU/answer", "calls", "delay", "age")


def loads_for(people: Sequence[int]) -> list[Load]:
    # One person asks more, so that the processor time can be read from the system's clock ticks.
    return [*(Load(people=count, questions=3 if count == 1 else 2) for count in people), LONG_ANSWERS]


async def measure(platform: str, bots: list[str], loads: list[Load], folder: Path) -> list[Figures]:
    results = []
    async with running_bots(platform, bots, folder) as running:
        await asyncio.gather(*(bot.warm_up(loads[0]) for bot in running))
        for load in loads:
            for bot in running:
                if load == LONG_ANSWERS and bot.name == "naive":
                    continue  # the ratio to the floor says it all, and an answer takes a minute
                results.append(await bot.measure(load))
                sys.stderr.write(f"{platform}, {load_name(load)}: {bot.name}\n")
    return results


async def measure_short(folder: Path) -> list[Comparison]:
    """The load that CI limits, on each platform."""
    results = [await measure(platform, list(COMMANDS), [SHORT_LOAD], folder / platform) for platform in SERVICES]
    return compare(list(chain.from_iterable(results)))


async def lower_short_ratios(folder: Path) -> dict[str, float]:
    """The lower value of each limited ratio in two runs: a busy machine only makes them higher."""
    runs = [limited_ratios(await measure_short(folder / str(run))) for run in (1, 2)]
    return {name: min(run.get(name, float("inf")) for run in runs) for name in runs[0]}


def write_files(results: list[Figures], folder: Path) -> None:
    """`answers.json` and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    comparisons = compare(results)
    content = {
        "ratios": [
            {"load": comparison.name, "ratio": name, **row}
            for comparison in comparisons
            for name, row in ratio_rows(comparison)
        ],
        "figures": [figures.json() for figures in results],
    }
    (folder / "answers.json").write_text(json.dumps(content, indent=1) + "\n")
    for platform, load in dict.fromkeys((figures.platform, figures.load) for figures in results):
        ages = {f.bot: f.ages for f in results if (f.platform, f.load) == (platform, load)}
        lines = {bot: [(step * AGE_STEP, age) for step, age in enumerate(values)] for bot, values in ages.items()}
        title = f"Age of the visible text: {platform}, {load_name(load)}"
        plot = line_chart(title, "seconds since the first token", "age, s", lines)
        (folder / f"age-{platform}-{load.people}x{load.tokens}.svg").write_text(plot)
    for platform in dict.fromkeys(figures.platform for figures in results):
        for reference in ("floor", "naive"):
            groups = _plotted_ratios(comparisons, platform, f"parley/{reference}")
            plot = bar_chart(f"Parley's figures as a multiple of those of {reference}: {platform}", "ratio", groups)
            (folder / f"ratios-{platform}-{reference}.svg").write_text(plot)


def _plotted_ratios(comparisons: list[Comparison], platform: str, name: str) -> dict[str, dict[str, float]]:
    rows = {
        load_name(comparison.parley.load): dict(ratio_rows(comparison)).get(name, {})
        for comparison in comparisons
        if comparison.parley.platform == platform
    }
    return {
        load: {column: value for column in PLOTTED_RATIOS if (value := row.get(column)) is not None}
        for load, row in rows.items()
    }


def print_report(results: list[Figures]) -> None:
    comparisons = compare(results)
    sys.stdout.write(f"{ratio_table(comparisons)}\n\n{figure_table(results)}\n")
    for comparison in comparisons:
        sys.stdout.write(f"\n{comparison.name}\n")
        sys.stdout.writelines(f"  {target}\n" for target in targets(comparison, comparisons))


async def run_short(*, is_recording: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        if is_recording:
            write_baseline(await lower_short_ratios(Path(folder)))
            return 0
        comparisons = await measure_short(Path(folder))
    print_report([figures for comparison in comparisons for figures in (comparison.parley, *comparison.references)])
    worse = worse_ratios(limited_ratios(comparisons), read_baseline())
    sys.stdout.writelines(f"worse by more than a third: {line}\n" for line in worse)
    return 1 if worse else 0


async def run_long(platforms: list[str], bots: list[str], people: list[int], output: Path) -> int:
    results = []
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        for platform in platforms:
            results += await measure(platform, bots, loads_for(people), Path(folder))
            write_files(results, output)
    print_report(results)
    sys.stdout.write(f"\nFiles: {output}\n")
    return 0


def _list_of(convert: Callable[[str], T]) -> Callable[[str], list[T]]:
    return lambda text: [convert(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures answers of Parley and of two reference bots.")
    parser.add_argument(
        "--people", type=_list_of(int), default=[1, 20, 100], help="numbers of people, such as 1,20,100"
    )
    parser.add_argument("--bots", type=_list_of(str), default=list(COMMANDS))
    parser.add_argument("--platforms", type=_list_of(str), default=list(SERVICES))
    parser.add_argument("--short", action="store_true", help="the short form that CI limits")
    parser.add_argument("--record", action="store_true", help="with --short: record the ratios that CI limits")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="folder for the figures and plots")
    options = parser.parse_args()
    if options.short:
        work = run_short(is_recording=options.record)
    else:
        work = run_long(options.platforms, options.bots, options.people, options.output)
    with asyncio.Runner(loop_factory=_event_loop_factory()) as runner:
        sys.exit(runner.run(work))


def _event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
