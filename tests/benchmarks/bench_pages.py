"""How much cheaper it is to parse only the unstable end of a growing answer.

Run by hand: `python -m tests.benchmarks.bench_pages`.
"""

import time

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import Splitter
from core.port import Dialect
from tests.core.markdown.samples import ANSWER

TEXT = (ANSWER * 40)[:30_000]
FEEDS = 1000


def seconds(dialect: Dialect, *, naive: bool, every: int = 1) -> float:
    """Processor time of showing TEXT in FEEDS steps (of which every n-th is measured)."""
    pages = Splitter(dialect)
    begun = time.process_time()
    for feed in range(every, FEEDS + 1, every):
        if naive:
            pages = Splitter(dialect)
        pages.update(TEXT[: len(TEXT) * feed // FEEDS])
    return (time.process_time() - begun) * (every if naive else 1)


def main() -> None:
    for dialect in (TelegramDialect(), DiscordDialect()):
        growing = seconds(dialect, naive=False)
        naive = seconds(dialect, naive=True, every=50)
        print(  # noqa: T201 - what a benchmark is for
            f"{type(dialect).__name__}: {len(TEXT)} characters in {FEEDS} feeds: "
            f"{growing:.2f} s, all over again {naive:.0f} s, ratio {naive / growing:.0f}"
        )


if __name__ == "__main__":
    main()
