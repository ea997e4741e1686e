"""Measures what splitting hostile, repetitive and random text costs per character, relative to prose of the same length.

Run by hand: `python -m tests.benchmarks.bench_hostile_text [CHARACTERS]`.
"""

import sys
import time

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import Splitter
from core.port import Dialect
from tests.core.markdown.samples import ANSWER
from tests.fuzz.texts import generate_texts, repeat

CHARS = 20_000
PROSE = "The quick brown fox jumps over it. "
UNITS = (ANSWER, "*", "_", "![", "[a](b", "\\(", "*a_b", "`` ` ", "||", "> ", "- a\n  - b\n", "|a|b|\n|-|-|\n", "漢字")


def measure(dialect: Dialect, text: str) -> tuple[float, float]:
    """The processor time in microseconds, and the work, per character."""
    splitter = Splitter(dialect)
    started_at = time.process_time()
    splitter.update(text)
    return (time.process_time() - started_at) * 1e6 / len(text), splitter.work / len(text)


def main() -> None:
    chars = int(sys.argv[1]) if len(sys.argv) > 1 else CHARS
    texts = {repr(unit[:12]): repeat(unit, chars) for unit in UNITS}
    texts |= {f"random {seed}": repeat("".join(generate_texts(seed, 50)), chars) for seed in (1, 2)}
    for dialect in (TelegramDialect(), DiscordDialect()):
        prose_time, prose_work = measure(dialect, repeat(PROSE, chars))
        sys.stdout.write(f"{type(dialect).__name__}, {chars} characters; prose: {prose_time:.1f} us per character\n")
        for name, text in texts.items():
            used_time, work = measure(dialect, text)
            sys.stdout.write(f"  {name:20} time x{used_time / prose_time:6.1f}, work x{work / prose_work:6.1f}\n")


if __name__ == "__main__":
    main()
