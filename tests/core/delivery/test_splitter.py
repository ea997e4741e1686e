"""Splitting: parts fit, lose nothing, keep their meaning, and closed parts never change."""

import asyncio
import re
import threading
from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect
from bots.terminal.dialect import TerminalDialect
from core.delivery.splitter import EXECUTOR, INITIAL_WORK, SPLIT_THREADS, Splitter
from core.markdown.document import Document
from core.port import Dialect, Part
from tests.core.markdown.samples import ANSWER, MALFORMED, parse_markdown

DialectFactory = Callable[[int], Dialect]
DIALECT_FACTORIES = [TelegramDialect, DiscordDialect]

LONG = {
    "fence": "Intro:\n\n```python\n" + "".join(f"x{n} = {n}\n" for n in range(2500)) + "```\n\nend",
    "fence in an item": "- item\n  ```py\n" + "  code line here\n" * 1800 + "  ```\n- next",
    "table": "| a | b |\n|---|:-:|\n" + "".join(f"| row {n} | {n * n} |\n" for n in range(1700)),
    "list": "".join(f"1. item **{n}**\n   more text\n   - sub {n}\n" for n in range(800)),
    "paragraph": "The quick *brown* fox. " * 1300,
    "bold": "**" + "bold text " * 3000 + "**",
    "quote": "> line of text in a quote\n" * 1200,
    "formula": "$$\n" + "x_1 + y_2 \\\\\n" * 2200 + "$$",
    "emoji": "👩‍👩‍👧‍👦" * 4300,
    "no spaces": "漢字仮名交じり文" * 3750,
}


def letters(text: str) -> str:
    """The visible letters and digits, without marks and the languages of fences."""
    text = re.sub(r"^(\s*(?:> )*```)\w+$", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"[\W_]", "", text)


def check(dialect: Dialect, text: str, step: int = 1) -> tuple[Part, ...]:
    """Split a growing text: every part fits and no closed part changes."""
    whole = Splitter(dialect).update(text)
    growing = Splitter(dialect)
    for end in range(0, len(text), step):
        parts = growing.update(text[:end], is_growing=True)
        assert all(0 < dialect.size(part) <= dialect.limit for part in parts)
        assert parts[:-1] == whole[: len(parts[:-1])], end
    assert growing.update(text) == whole
    assert growing.failure is None
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
@pytest.mark.parametrize("limit", [150, 400])
def test_closed_parts_never_change(make: DialectFactory, limit: int) -> None:
    assert len(check(make(limit), ANSWER)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
@pytest.mark.parametrize("text", MALFORMED)
def test_closed_parts_of_malformed_text_never_change(make: DialectFactory, text: str) -> None:
    check(make(130), f"{text}\n\n" * 3, step=3)


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
def test_closed_parts_never_change_at_real_limits(make: DialectFactory) -> None:
    check(make(4096 if make is TelegramDialect else 2000), ANSWER * 6, step=37)


DIALECTS: list[Dialect] = [TelegramDialect(90), DiscordDialect(100)]
PIECES = st.sampled_from(
    [
        "a",
        "b",
        "word",
        "漢字",
        "é",
        "👩\u200d👩\u200d👧",
        ".",
        "!",
        "**bold**",
        "**",
        "*",
        "_",
        "__",
        "`code`",
        "`",
        "~~s~~",
        "[t](http://x/y)",
        "https://x.y/_a_(b",
        "[a][b]",
        "\n[b]: https://x.y\n",
        "||s||",
        "[",
        "](",
        ")",
        "$x$",
        "$\\frac{a}{b}$",
        "\\alpha ",
        "\n$$\n\\sqrt{x}\n$$\n",
        "\n\\begin{align}",
        "\\end{align}\n",
        "$",
        "\\(",
        "\\)",
        "<",
        ">",
        "-",
        "-",
        "",
        "1.",
        "2.",
        "#",
        "|a|b|",
        "|",
        "---",
        "|---|---|",
        "|a cell wider than a phone shows in a line|漢字|",
        "```",
        "```py",
        "\n```markdown\n",
        "\n   ```json\n",
        ">",
        "[x]",
        ":",
        "\\",
        "&amp;",
        "$$",
        "\\[",
        "\\]",
        "(",
    ]
) | st.sampled_from([" ", "\n", "\n\n", "\n- ", "\n  - ", "\n> ", "\n| ", "\n```\n", "\n1. "])


@settings(max_examples=30, deadline=None, phases=[Phase.generate, Phase.reuse])
@given(st.lists(PIECES, min_size=20, max_size=120), st.data())
def test_result_is_independent_of_chunking(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    dialect: Dialect = data.draw(st.sampled_from(DIALECTS))
    whole = Splitter(dialect).update(text)
    growing = Splitter(dialect)
    for end in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12))):
        parts = growing.update(text[:end], is_growing=True)
        assert all(dialect.size(part) <= dialect.limit for part in parts)
        assert parts[:-1] == whole[: len(parts[:-1])]
    assert growing.update(text) == whole


@pytest.mark.slow
@settings(max_examples=12, deadline=None, phases=[Phase.generate, Phase.reuse])
@given(
    st.lists(
        st.sampled_from(["word", "漢字", "**bold**", "`code`", "[t](http://x)", "End.", "👩‍👩‍👧"]),
        min_size=1,
    ),
    st.lists(st.sampled_from([" ", " ", " ", "\n", "\n\n", "\n- ", "\n> ", "\n2. "]), min_size=1),
    st.integers(60, 200),
)
def test_nothing_is_lost_or_duplicated(words: list[str], gaps: list[str], limit: int) -> None:
    text = "".join(f"{gaps[n % len(gaps)]}{words[n % len(words)]}{n}" for n in range(len(words) * 7 + 40))
    for make in (TelegramDialect, DiscordDialect):
        parts = Splitter(make(limit)).update(text)
        whole = make(10**7).render(parse_markdown(text))
        assert letters("\n".join(part.text for part in parts)) == letters(whole.text)


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
@pytest.mark.parametrize("item", ["2. a\n**b** c\n`d` e\n", "- a\n+5 c\n", "2. a\n1.5 c\n"])
def test_lazy_line_that_briefly_looks_like_item(make: DialectFactory, item: str) -> None:
    text = item * 40
    whole = letters(make(10**7).render(parse_markdown(text)).text)
    for limit in range(60, 90):
        parts = Splitter(make(limit)).update(text)
        assert letters("\n".join(part.text for part in parts)) == whole, limit


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
def test_items_keep_numbers_across_parts(make: DialectFactory) -> None:
    text = "\n".join(f"2. word{n}\nEnd.{n}\n[t](http://x){n}" for n in range(100, 118))
    for limit in range(50, 80):
        parts = Splitter(make(limit)).update(text)
        text_of_parts = "\n".join(part.text for part in parts)
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text_of_parts, re.MULTILINE)]
        assert numbers == list(range(2, 20)), limit


@pytest.mark.slow
@pytest.mark.parametrize("make", DIALECT_FACTORIES)
@pytest.mark.parametrize("name", LONG)
def test_splits_30000_repeated_characters(make: DialectFactory, name: str) -> None:
    dialect = make(4096 if make is TelegramDialect else 2000)
    parts = Splitter(dialect).update(LONG[name])
    assert all(dialect.size(part) <= dialect.limit for part in parts)
    assert all(dialect.size(part) * 2 >= dialect.limit for part in parts[:-1])
    whole = make(10**7).render(parse_markdown(LONG[name]))
    assert letters("\n".join(part.text for part in parts)) == letters(whole.text)


def test_exactly_full_text_is_one_part() -> None:
    assert [len(part.text) for part in Splitter(TelegramDialect()).update("a" * 4096)] == [4096]
    assert [len(part.text) for part in Splitter(TelegramDialect()).update("a" * 4097)] == [4096, 1]


def test_fence_is_reopened_with_language() -> None:
    parts = Splitter(DiscordDialect(200)).update("```python\n" + "x = 1\n" * 100 + "```\n\nend")
    assert len(parts) > 3
    for part in parts:
        assert part.text.startswith("```python\nx = 1\n")
        assert part.text.count("```") == 2


def test_list_numbering_continues() -> None:
    text = "".join(f"1. item number {n}\n" for n in range(1, 40))
    parts = Splitter(TelegramDialect(200)).update(text)
    lines = "\n".join(part.text for part in parts).split("\n")
    assert lines == [f"{n}. item number {n}" for n in range(1, 40)]


def test_continued_item_has_no_second_marker() -> None:
    text = "7. " + "word " * 60 + "\n8. next"
    parts = Splitter(TelegramDialect(100)).update(text)
    assert [part.text[:2] for part in parts[:-1]] == ["7.", *["wo"] * (len(parts) - 2)]
    assert parts[-1].text.endswith("8. next")


def test_table_rows_continue_without_header() -> None:
    text = "| name | n |\n|---|---|\n" + "".join(f"| row | {n} |\n" for n in range(60))
    parts = Splitter(TelegramDialect(150)).update(text)
    assert sum(part.text.count("name") for part in parts) == 1
    assert all(line.startswith("row ") for line in parts[3].text.split("\n"))
    assert not any("x" in part.text or "|---" in part.text for part in parts)


def test_splits_at_blocks_then_sentences_then_words() -> None:
    first, *_ = Splitter(TelegramDialect(100)).update("a" * 60 + "\n\n" + "b " * 60)
    assert first.text == "a" * 60
    first, *_ = Splitter(TelegramDialect(100)).update("one two. " * 7 + "and some more words " * 9)
    assert first.text == ("one two. " * 7).strip()
    first, *_ = Splitter(TelegramDialect(100)).update("letters " * 90)
    assert first.text == ("letters " * 12).strip()


def test_heading_stays_with_text() -> None:
    parts = Splitter(TelegramDialect(100)).update("a" * 70 + "\n\n## Head\n\n" + "b" * 80)
    assert [part.text.split("\n")[0] for part in parts] == ["a" * 70, "Head"]


def test_links_and_emoji_sequences_are_not_split() -> None:
    text = "word " * 15 + "[some link](https://example.org/a/long/address) " * 5
    for part in Splitter(DiscordDialect(110)).update(text):
        assert part.text.count("[") == part.text.count("](<https://example.org/a/long/address>)")
    for part in Splitter(TelegramDialect(100)).update("👩‍👩‍👧‍👦" * 40):
        assert set(re.split("👩‍👩‍👧‍👦", part.text)) == {""}


def test_different_text_restarts() -> None:
    splitter = Splitter(TelegramDialect(100))
    splitter.update("first " * 50)
    assert [part.text for part in splitter.update("second")] == ["second"]
    assert splitter.update("") == ()


def test_text_that_starts_again_is_split_as_if_it_were_the_first() -> None:
    """A text goes on after its end was taken for the end of the answer."""
    text = "\n".join(f"{'  ' * level}- level{level}" for level in range(16))
    continued = Splitter(TelegramDialect(300))
    for end in range(260, 275):
        assert continued.update(text[:end]) == Splitter(TelegramDialect(300)).update(text[:end])


@pytest.mark.parametrize("text", ["#", "```", ">", "``` \n```", "|", "-", "[](", "**"])
def test_markup_only_text_is_not_empty(text: str) -> None:
    assert [bool(part.text) for part in Splitter(TelegramDialect()).update(text)] == [True]


def test_terminal_never_splits() -> None:
    (part,) = Splitter(TerminalDialect()).update(ANSWER * 30)
    assert part.text.count("# Sorting in Python") == 30


@pytest.mark.parametrize(
    "text",
    [
        # A table for one character, then the rest of the paragraph.
        "[word&amp;`\n| .\n|---|---|\n  - |!`(\\]__[t](http://x/y)---`\\[\n> \n- \n\n\n- ---\n1. **~~s~~",
        # A formula that ends after what looked like a quote.
        "*word\n>  .\n1. \n\\[>\\)()\n> word\\word<`code` \\))\n| word\n[\\]",
    ],
)
def test_late_structure_changes(text: str) -> None:
    for limit in range(60, 110, 7):
        check(DiscordDialect(limit), text)
        check(TelegramDialect(limit), text)


ROWS = "a|b\n-|-\n"
TABLE = f"{ROWS * 3}$1 {ROWS * 2}$1 {ROWS * 3}$1 $1 $1 {ROWS}a|b\n"
WIDE_CELL = "x" * 30
FENCES = "\n".join(" " * indent + "```" for indent in range(6)) + "\n     "


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        pytest.param(TelegramDialect(300), f"{TABLE}-{FENCES}", id="fences"),
        pytest.param(DiscordDialect(336), "a|b\n-|-\n" + "c|d\n" * 20 + "123456789. x\n\nend", id="widening number"),
        pytest.param(DiscordDialect(259), f"{WIDE_CELL}|b\n-|-\n" + "c|d\n" * 4 + "1. x\n\nend", id="number"),
        pytest.param(DiscordDialect(259), f"{WIDE_CELL}|b\n-|-\n" + "c|d\n" * 4 + "```\nx\n```\n", id="fence"),
        pytest.param(
            DiscordDialect(278),
            "a|b\n-|-\n" + "c|d\n" * 8 + "\\begin{aaaaaaaaaaaa}\nx\n\\end{aaaaaaaaaaaa}",
            id="formula",
        ),
        pytest.param(DiscordDialect(114), f"{'a' * 40}|b|c\n-|-|-|-\nword word", id="too many delimiters"),
        pytest.param(DiscordDialect(114), f"{'a' * 40}|b|c\n-|-|- x\nword word", id="word after delimiters"),
        pytest.param(DiscordDialect(92), "|" + "a|" * 10 + "\n" + "-|" * 10 + "-|-|-\n\nwords", id="many columns"),
    ],
)
def test_line_that_is_briefly_part_of_table(dialect: Dialect, text: str) -> None:
    check(dialect, text)


class LargeOpenQuotes(TelegramDialect):
    """A quotation mark takes the room of 60 characters until it is closed."""

    def size(self, part: Part) -> int:
        return super().size(part) + 60 * max(0, part.text.count("«") - part.text.count("»"))


@pytest.mark.parametrize("limit", range(100, 150, 7))
def test_part_that_is_briefly_too_large_changes_nothing(limit: int) -> None:
    check(LargeOpenQuotes(limit), ("word " * 8 + "«quoted words» ") * 12)


def test_growing_part_is_shown_as_far_as_it_fits() -> None:
    splitter, text = Splitter(LargeOpenQuotes(100)), "word " * 12 + "«quoted"
    states = [splitter.update(text[:end], is_growing=True) for end in range(len(text) + 1)]
    assert [part.text for part in states[-1]] == [("word " * 12).rstrip()]
    assert [part.text for part in splitter.update(text + "»", is_growing=True)] == [text + "»"]
    assert " ".join(part.text for part in splitter.update(text)) == text


def test_number_outside_list_is_not_continued() -> None:
    text = "word word word word\n2. not a list\n" * 8
    parts = Splitter(TelegramDialect(64)).update(text)
    assert "3." not in "\n".join(part.text for part in parts)


class ThreadRecorder(TelegramDialect):
    def __init__(self) -> None:
        super().__init__()
        self.thread_names: set[str] = set()

    def render(self, document: Document) -> Part:
        self.thread_names.add(threading.current_thread().name)
        return super().render(document)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["![", "_a_"])
async def test_long_text_is_split_in_another_thread(unit: str) -> None:
    text = unit * (8000 // len(unit))
    expected = Splitter(TelegramDialect()).update(text)
    dialect = ThreadRecorder()
    assert await Splitter(dialect).update_async(text) == expected
    assert threading.current_thread().name not in dialect.thread_names


@pytest.mark.slow
async def test_short_addition_to_slow_text_is_split_in_another_thread() -> None:
    dialect = ThreadRecorder()
    splitter = Splitter(dialect)
    await splitter.update_async("*a_b" * 200)
    dialect.thread_names.clear()
    await splitter.update_async("*a_b" * 201)
    assert dialect.thread_names
    assert threading.current_thread().name not in dialect.thread_names


async def test_ordinary_growth_needs_no_thread() -> None:
    dialect = ThreadRecorder()
    splitter = Splitter(dialect)
    for end in range(0, 6 * len(ANSWER), 100):
        await splitter.update_async((ANSWER * 6)[:end], is_growing=True)
    assert dialect.thread_names == {threading.current_thread().name}


class ObservedDialect(TelegramDialect):
    """Tells when the first part is rendered, in whatever thread."""

    def __init__(self) -> None:
        super().__init__()
        self.is_rendering = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def render(self, document: Document) -> Part:
        self._loop.call_soon_threadsafe(self.is_rendering.set)
        return super().render(document)


@pytest.mark.slow
async def test_cancelling_stops_parsing() -> None:
    dialect = ObservedDialect()
    splitter = Splitter(dialect)
    task = asyncio.create_task(splitter.update_async("*a_b" * 100_000))
    await dialect.is_rendering.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await wait_for_idle_threads()
    assert splitter.work < INITIAL_WORK / 4  # the whole text needs more than INITIAL_WORK


async def wait_for_idle_threads() -> None:
    """Wait until no thread splits."""
    barrier = threading.Barrier(SPLIT_THREADS)
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(EXECUTOR, barrier.wait) for _ in range(SPLIT_THREADS)))


class BlockingDialect(TelegramDialect):
    """Renders nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_render = threading.Event()

    def render(self, document: Document) -> Part:
        self.may_render.wait()
        return super().render(document)


async def test_many_long_splits_leave_threads_to_others() -> None:
    dialect = BlockingDialect()
    splits = [asyncio.create_task(Splitter(dialect).update_async("word " * 300)) for _ in range(50)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(int, "7") == 7  # asyncio looks up host names in the same threads
    assert not any(split.done() for split in splits)
    dialect.may_render.set()
    for parts in await asyncio.gather(*splits):
        assert len(parts) == 1


@pytest.mark.parametrize(
    "start", ["```\n", "- item\n  ```\n  ", "> ```\n> "], ids=["alone", "in an item", "in a quote"]
)
@pytest.mark.parametrize("words", ["code ", "code"], ids=["words", "one word"])
def test_long_line_of_code_stays_code_in_every_part(start: str, words: str) -> None:
    parts = check(DiscordDialect(150), f"{start}{words * 200}", step=50)
    assert len(parts) > 5
    for part in parts:
        before, _, code = part.text.partition("```")
        assert "code" not in before
        assert set(letters(code)) <= set("code")
        assert code.count("```") == 1, "the block is closed"
    assert letters("".join(part.text for part in parts)).removeprefix("item") == "code" * 200


def test_part_with_an_open_mark_ends_at_its_last_sentence() -> None:
    """Wherever it ends, the mark may be closed later: then the fullest part is best."""
    parts = Splitter(TelegramDialect(400)).update("**" + "The quick brown fox jumps over it. " * 40)
    assert all(len(part.text) > 380 and part.text.endswith("over it.") for part in parts[:-1])


def test_work_counts_the_search_for_cuts() -> None:
    """Each candidate for a cut means parsing what follows it, with and without the mark closed."""
    text = "**" + "The quick brown fox jumps over it. " * 40
    splitter = Splitter(TelegramDialect(400))
    splitter.update(text)
    assert splitter.work > 60 * len(text)  # 46 without it
