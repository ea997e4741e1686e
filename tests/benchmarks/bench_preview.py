"""Measures what a preview costs, depending on the answer's length, relative to parsing the answer's last block once.

Run by hand: `python -m tests.benchmarks.bench_preview`.
"""

import sys
import time
from dataclasses import dataclass

from markdown_it import MarkdownIt

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from core.delivery.splitter import Splitter
from core.port import Dialect

LENGTHS = (200, 500, 1000, 2500, 5000, 10_000, 20_000)
"""In tokens."""
CHARS_PER_TOKEN = 4
TOKENS_PER_PREVIEW = 30
SECTION = """## {n}. Sort with a key

You can pass a **key function** to `sorted()`; it is called *once* for each element, so the cost stays low even \
for long lists. See [the manual](https://docs.python.org/3/howto/sorting.html) for more, or the notes on version 3.{n}.

- **Stable**: equal elements keep their order.
- `reverse=True` sorts in descending order.
- The original list does not change.

```python
people = sorted(people, key=lambda person: person.age)
print(people[:{n}])
```

1. Read the data, which may take a while.
2. Sort it by *name*, then by **age**.

| Method | Cost |
|---|---|
| `sorted` | $O(n \\log n)$ |
| `min` | $O(n)$ |

Which of them is better depends on your data, and there is no general answer. Measure it first!

"""
PLAIN_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Cost:
    """In seconds of processor time."""

    preview: float
    """The mean of all previews."""
    whole_answer: float
    last_block: float
    """Parsing the last block with markdown-it, the mean of all previews."""


def make_answer(tokens: int) -> str:
    chars = tokens * CHARS_PER_TOKEN
    sections = chars // len(SECTION) + 1
    return "".join(SECTION.replace("{n}", str(number)) for number in range(1, sections + 1))[:chars]


def measure(dialect: Dialect, text: str) -> Cost:
    step = TOKENS_PER_PREVIEW * CHARS_PER_TOKEN
    ends = [*range(step, len(text), step), len(text)]
    splitter = Splitter(dialect)
    started_at = time.process_time()
    for end in ends:
        splitter.update(text[:end], is_growing=True)
    preview_seconds = time.process_time() - started_at
    splitter.update(text)
    answer_seconds = time.process_time() - started_at
    tails = [last_block(text[:end]) for end in ends]
    started_at = time.process_time()
    for tail in tails:
        PLAIN_MARKDOWN.parse(tail)
    tail_seconds = time.process_time() - started_at
    return Cost(preview_seconds / len(ends), answer_seconds, tail_seconds / len(ends))


def last_block(text: str) -> str:
    window = text[-4 * len(SECTION) :]
    tokens = PLAIN_MARKDOWN.parse(window)
    line = max((token.map[0] for token in tokens if token.level == 0 and token.map), default=0)
    return "\n".join(window.split("\n")[line:])


def main() -> None:
    for dialect in (TelegramDialect(), DiscordDialect()):
        measure(dialect, make_answer(1000))
        sys.stdout.write(
            f"{type(dialect).__name__}\n"
            f"{'tokens':>8}{'ms per preview':>16}{'ratio to one parse':>20}{'us per token':>14}{'ratio to 200':>14}\n"
        )
        first_per_token = 0.0
        for tokens in LENGTHS:
            cost = measure(dialect, make_answer(tokens))
            per_token = cost.whole_answer / tokens
            first_per_token = first_per_token or per_token
            sys.stdout.write(
                f"{tokens:>8}{cost.preview * 1e3:>16.2f}{cost.preview / cost.last_block:>20.1f}"
                f"{per_token * 1e6:>14.0f}{per_token / first_per_token:>14.2f}\n"
            )


if __name__ == "__main__":
    main()
