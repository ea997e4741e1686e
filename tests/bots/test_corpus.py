"""Difficult answers, whole and at every length, in every dialect.

CORPUS_PREFIXES is the number of beginnings of each answer that are rendered, evenly spaced: 24, because all of them
need hours. With 1000000, they are all rendered.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_dialect import RichDialect
from bots.terminal.dialect import TerminalDialect
from core.delivery.splitter import Splitter
from core.markdown.plain_text import to_plain_text
from core.port import Dialect, Part, RichMode
from tests.bots.corpus_texts import CorpusAnswer, lost_words, read_corpus, shown_text
from tests.core.markdown.samples import parse_markdown
from tests.fuzz.cases import case_count

MAX_PREFIXES = case_count("CORPUS_PREFIXES", 24)
ORDINARY_CHARS = 1000
"""Of a longer answer, fewer beginnings are rendered, in proportion."""
FRESH_INTERVAL = 6
"""Each sixth beginning is also rendered from the start; every one continues the one before it."""
MAX_PREVIEW_LAG_CHARS = 600
ANSWERS = list(read_corpus())
DIALECTS: dict[str, Callable[[], Dialect]] = {
    "telegram": TelegramDialect,
    "discord": DiscordDialect,
    "terminal": TerminalDialect,
    "short telegram": lambda: TelegramDialect(300),
    "short discord": lambda: DiscordDialect(300),
    "rich telegram": lambda: RichDialect(RichMode.AUTO),
    "short rich telegram": lambda: RichDialect(RichMode.ALWAYS, 300),
}


def sample_ends(text: str) -> Iterator[int]:
    """Evenly spaced lengths, and the whole."""
    count = min(MAX_PREFIXES, MAX_PREFIXES * ORDINARY_CHARS // len(text) + 1)
    step = max(1, len(text) // count)
    yield from range(1, len(text), step)
    yield len(text)


def check(dialect: Dialect, text: str, parts: tuple[Part, ...]) -> None:
    assert all(0 < dialect.size(part) <= dialect.limit for part in parts)
    assert bool(parts) == bool(text.strip())
    assert lost_words(text, shown_text(parts)) == set()


def text_of(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts)


def is_earlier(dialect: Dialect, text: str, preview: tuple[Part, ...]) -> bool:
    """Whether the preview shows the text as it was a little earlier, perhaps with an unfinished link at its end."""
    return any(
        preview == Splitter(dialect).update(text[:end])
        for end in range(len(text) - 1, max(0, len(text) - MAX_PREVIEW_LAG_CHARS), -1)
    )


def check_growth(dialect: Dialect, text: str) -> None:
    """Render `text` while it grows: previews show what the final message would, or for a moment less of it."""
    growing, continued = Splitter(dialect), Splitter(dialect)
    closed: tuple[Part, ...] = ()
    for number, end in enumerate(sample_ends(text)):
        parts = continued.update(text[:end])
        assert continued.failure is None
        assert not continued.has_plain_part
        if number % FRESH_INTERVAL == 0 or end == len(text):
            assert Splitter(dialect).update(text[:end]) == parts
        check(dialect, text[:end], parts)
        preview = growing.update(text[:end], is_growing=True)
        assert (
            preview == parts or text_of(parts).startswith(text_of(preview)) or is_earlier(dialect, text[:end], preview)
        )
        assert preview[:-1] == parts[: len(preview) - 1]
        assert parts[: len(closed)] == closed
        closed = parts[:-1]


def test_corpus_is_large() -> None:
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS) >= 80


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_growing_answer_fits_and_keeps_its_words(answer: CorpusAnswer, dialect: str) -> None:
    check_growth(DIALECTS[dialect](), answer.text)


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_plain_text_keeps_words(answer: CorpusAnswer) -> None:
    for end in sample_ends(answer.text):
        text = answer.text[:end]
        assert lost_words(text, to_plain_text(parse_markdown(text))) == set()


WORDS = st.sampled_from(
    (
        *("alpha", "beta", "Δέλτα", "слово", "عربي", "עברית", "हिन्दी", "ไทย", "漢字", "かな", "한국어", "ქართული"),
        *("👩\u200d👩\u200d👧", "x_y_z", "12", "https://x.y/_a_(b)_c_"),
    )
)
GAPS = st.sampled_from([" ", " ", " ", ", ", "。", "：", "", "\n"])


INLINE_MARKS = (
    *(
        "**{}**",
        "*{}*",
        "_{}_",
        "~~{}~~",
        "||{}||",
        "=={}==",
        "`{}`",
        "「{}」",
        "**「{}」**",
        "[{}](https://x.y/a_(b))",
    ),
    *("[{}][ref]", "[{}]", "${}$", "({})", "{}[^1]", "<b>{}</b>", "**{}", "{}`", "[{}", "||{}", "{}](", "<{}"),
)


def wrapped(inline: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(INLINE_MARKS)
    joined = st.builds(lambda first, gap, second: first + gap + second, inline, GAPS, inline)
    return st.builds(lambda mark, text: mark.replace("{}", text), marks, inline) | joined


INLINES = st.recursive(WORDS, wrapped, max_leaves=6)
TABLES = st.lists(st.lists(INLINES.map(lambda text: text.replace("\n", " ")), min_size=2, max_size=4), min_size=2).map(
    lambda rows: "\n".join(
        [
            "| " + " | ".join(rows[0]) + " |",
            "|---" * len(rows[0]) + "|",
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )
)
FENCES = st.builds(
    lambda fence, language, inner, closer: f"{fence}{language}\n{inner}\n{closer}",
    st.sampled_from(["```", "````", "~~~"]),
    st.sampled_from(["", "python", "markdown"]),
    INLINES | st.just("```json\n{}\n```"),
    st.sampled_from(["```", "````", "~~~", ""]),
)
LEAVES = (
    INLINES
    | TABLES
    | FENCES
    | st.builds(lambda level, text: "#" * level + " " + text.replace("\n", " "), st.integers(1, 7), INLINES)
    | st.sampled_from(["---", "$$\nx\n$$", "\\[\ny\n\\]", "[ref]: https://x.y/z", "[^1]: note", "<br>", ""])
)


SUMMARIES = INLINES.map("<summary>{}</summary>\n".format) | st.just("")
DETAILS_ENDS = st.sampled_from(["\n</details>", "</details>", ""])


def contained(block: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def indent(prefix: str, text: str) -> str:
        later = "> " if prefix == "> " else " " * len(prefix)
        return prefix + text.replace("\n", "\n" + later)

    prefixed = st.builds(indent, st.sampled_from(["> ", "- ", "1. ", "* ", "- [x] ", "    "]), block)
    joined = st.builds(lambda first, gap, second: first + gap + second, block, st.sampled_from(["\n", "\n\n"]), block)
    details = st.builds(lambda summary, inner, end: f"<details>\n{summary}{inner}{end}", SUMMARIES, block, DETAILS_ENDS)
    return prefixed | joined | details


DOCUMENTS = st.recursive(LEAVES, contained, max_leaves=8)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.sampled_from(sorted(DIALECTS)), st.data())
def test_generated_document_fits_and_keeps_its_words(text: str, dialect: str, data: st.DataObject) -> None:
    check_growth_at(DIALECTS[dialect](), text, sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6))))


def check_growth_at(dialect: Dialect, text: str, ends: list[int]) -> None:
    growing = Splitter(dialect)
    whole = Splitter(dialect).update(text)
    for end in ends:
        check(dialect, text[:end], Splitter(dialect).update(text[:end]))
        parts = growing.update(text[:end], is_growing=True)
        assert all(0 < dialect.size(part) <= dialect.limit for part in parts)
        assert parts[:-1] == whole[: len(parts[:-1])]
    assert growing.update(text) == whole
    assert growing.failure is None
    check(dialect, text, whole)
    assert lost_words(text, to_plain_text(parse_markdown(text))) == set()
