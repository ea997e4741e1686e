"""Measures what the splitter saves by parsing only the unstable end of a growing answer.

Run by hand: `python -m tests.benchmarks.bench_splitter`.
"""

import sys
import time

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import Splitter
from core.port import Dialect
from tests.core.markdown.samples import ANSWER

TEXT = (ANSWER * 40)[:30_000]
UPDATES = 1000


def incremental_seconds(dialect: Dialect) -> float:
    """The processor time of splitting TEXT while it grows in UPDATES steps."""
    splitter = Splitter(dialect)
    started_at = time.process_time()
    for number in range(1, UPDATES + 1):
        splitter.update(TEXT[: len(TEXT) * number // UPDATES], is_growing=True)
    return time.process_time() - started_at


def naive_seconds(dialect: Dialect) -> float:
    """The same without any memory of earlier steps, extrapolated from every 50th step."""
    started_at = time.process_time()
    for number in range(50, UPDATES + 1, 50):
        Splitter(dialect).update(TEXT[: len(TEXT) * number // UPDATES])
    return (time.process_time() - started_at) * 50


def main() -> None:
    for dialect in (TelegramDialect(), DiscordDialect()):
        incremental, naive = incremental_seconds(dialect), naive_seconds(dialect)
        sys.stdout.write(
            f"{type(dialect).__name__}: {len(TEXT)} characters in {UPDATES} updates: "
            f"{incremental:.2f} s, parsing all each time {naive:.0f} s, ratio {naive / incremental:.0f}\n"
        )


if __name__ == "__main__":
    main()
