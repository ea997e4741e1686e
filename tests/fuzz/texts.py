"""Generates hostile texts: what a looping model, or a person who tries, may write. The same seed gives the same texts."""

import random
from collections.abc import Callable, Iterator

MAX_CHARS = 400_000
UNITS = (
    *"*_~`[]()!\\$&<>|#+-=:.@ \t\na1",
    *(
        "![",
        "](",
        "][",
        "[a][b]",
        "\n[b]: http://x",
        "[a](b",
        "[a](b)",
        "![a](b)",
        "![a](",
        '[a](b "',
        "[a](<",
        "\\(",
        "\\[",
        "\\]",
        "\\)",
        "$$",
        "$a ",
        "$1 ",
    ),
    *(
        "**",
        "***",
        "__",
        "~~",
        "``",
        "||",
        "*a ",
        "a* ",
        "*a_b",
        "_a_ ",
        "**a ",
        "***a** b*",
        "`a` ",
        "`` ` ",
        "*_",
        "a__b",
    ),
    *(
        "> ",
        ">",
        "- ",
        "1. ",
        "* ",
        "+ ",
        "\n> ",
        "\n>> - ",
        "\n- ",
        "\n  - ",
        "- a\n",
        "1. a\n",
        "- [x] ",
        "-\n",
        "# ",
        "#\n",
    ),
    *(
        "|a",
        "|\n",
        "|a|b|\n|-|-|\n",
        "|\n|-\n",
        "a|b\n-|-\n",
        "---\n",
        "***\n",
        "```\n",
        "```a\n",
        "```markdown\n",
        "a ```\n",
        "a```\n",
        "``` a\n",
        "``` a b ```c\n",
        "==",
        "~~~a ",
        "~~~\n",
        "\n\n",
    ),
    *(
        "$$\n",
        "\\[x\n",
        "\\begin{a}\n",
        "\\end{a}",
        "<a",
        "<b@c.d>",
        "<http://a>",
        "<details>\n",
        "<details><summary>",
        "</summary>",
        "</details>\n",
        "http://a.",
        "http://a)",
        "www.a*",
        "https://",
        "&amp;",
        "&#1;",
    ),
    *(":a", ":a:", "@everyone ", "<@1>", "<think>", "a\\\n", "a  \n", "\\", "\\*", "[x]: ", "||a||", "-# "),
    *(
        "漢字",
        "é",
        "👩\u200d👩\u200d👧",
        "\u202e",
        "e\u0301",
        "\ud83d",
        "\0",
        "\r",
        "\u2028",
        "\ue000\n",
        "שלום ",
        "word ",
        "Word. ",
    ),
)
"""Every mark of Markdown, and every kind of text between them."""


def repeat(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]


def _repetition(random_source: random.Random, length: int) -> str:
    return repeat("".join(random_source.choices(UNITS, k=random_source.randint(1, 4))), length)


def _mixture(random_source: random.Random, length: int) -> str:
    alphabet = random_source.choices(UNITS, k=random_source.randint(2, 12))
    return "".join(random_source.choices(alphabet, k=length))[:length]


def _runs(random_source: random.Random, length: int) -> str:
    """Runs of single units, each of a random length."""
    text = ""
    while len(text) < length:
        text += random_source.choice(UNITS) * random_source.randint(1, max(1, length // 8))
    return text[:length]


def _nesting(random_source: random.Random, length: int) -> str:
    """Openers, then closers, not necessarily as many."""
    opener, closer = random_source.choice(
        [
            ("[", "](b)"),
            ("![", "](b)"),
            ("*a ", "a* "),
            ("**a ", "a** "),
            ("~~a ", "a~~ "),
            ("(", ")"),
            ("<", ">"),
            ("$", "$"),
            ("\\(", "\\)"),
            ("`", "`"),
            ("> ", "\n"),
            ("- ", "\n"),
            ("\\begin{a}", "\\end{a}"),
        ]
    )
    middle = random_source.randint(0, length)
    return repeat(opener, middle) + repeat(closer, length - middle)


def _stairs(random_source: random.Random, length: int) -> str:
    """Lines that are indented deeper and deeper."""
    marker = random_source.choice(["- a\n", "1. a\n", "> a\n", "```\n", "|a|\n", "$$\n", "\n"])
    indent = random_source.choice([" ", "  ", "> ", "- ", "\t"])
    lines, size, depth = [], 0, 0
    while size < length:
        lines.append(indent * depth + marker)
        size += len(lines[-1])
        depth += 1
    return "".join(lines)[:length]


def _table(random_source: random.Random, length: int) -> str:
    columns = random_source.choice([1, 2, 5, 20, 64, 65, 3000])
    header = "|" + "a" * random_source.randint(0, 60) + "|b" * columns + "\n" + "|-" * (columns + 1) + "\n"
    return (header + repeat(random_source.choice(["|\n", "|a\n", "a|b|c|d\n", "|" * columns + "x\n"]), length))[:length]


KINDS: tuple[Callable[[random.Random, int], str], ...] = (_repetition, _mixture, _runs, _nesting, _stairs, _table)


def generate_texts(seed: int, count: int, max_chars: int = MAX_CHARS) -> Iterator[str]:
    """`count` texts. Most are short, because short ones find defects as well; one in a thousand has `max_chars`.

    One in ten is long enough for several messages.
    """
    random_source = random.Random(seed)
    for number in range(1, count + 1):
        length = max_chars if number % 1000 == 0 else int(2 ** random_source.uniform(2, 9 if number % 10 else 13))
        text = ""
        while len(text) < length:
            piece = random_source.choice(KINDS)(random_source, random_source.randint(1, length))
            text += piece + random_source.choice(["", "\n", "\n\n"])
        yield text[: min(length, max_chars)]
