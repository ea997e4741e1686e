import pytest
from telegram import MessageEntity

from bots.telegram.dialect import TelegramDialect, part_entities, utf16_length
from core.delivery.splitter import Splitter
from core.markdown.document import Document, Paragraph, Quote, Text
from core.port import Part
from tests.core.markdown.samples import ANSWER, MALFORMED, parse_markdown

CODE = {MessageEntity.CODE, MessageEntity.PRE}
QUOTES = {MessageEntity.BLOCKQUOTE, MessageEntity.EXPANDABLE_BLOCKQUOTE}


def render(text: str) -> Part:
    return TelegramDialect().render(parse_markdown(text))


def covered_texts(text: str) -> list[tuple[str, str]]:
    """The type of each entity and the text it covers."""
    part = render(text)
    raw = part.text.encode("utf-16-le")
    return [
        (
            entity.type,
            raw[2 * entity.offset : 2 * (entity.offset + entity.length)].decode("utf-16-le"),
        )
        for entity in part_entities(part)
    ]


def assert_valid(part: Part) -> None:
    """Telegram would neither refuse, trim nor drop anything."""
    raw = part.text.encode("utf-16-le")
    entities = part_entities(part)
    assert part.text == part.text.rstrip()
    assert utf16_length(part.text) == len(raw) // 2 <= 4096
    assert len(entities) <= 100
    assert [(e.offset, -e.length) for e in entities] == sorted((e.offset, -e.length) for e in entities)
    for index, entity in enumerate(entities):
        assert entity.length > 0
        end = entity.offset + entity.length
        assert end <= len(raw) // 2
        raw[2 * entity.offset : 2 * end].decode("utf-16-le")  # splits no surrogates
        for other in entities[index + 1 :]:
            is_apart = other.offset >= end
            assert is_apart or other.offset + other.length <= end
            assert is_apart or entity.type not in CODE
            assert is_apart or not {entity.type, other.type} <= QUOTES
            assert is_apart or other.type not in CODE or entity.type in QUOTES


@pytest.mark.slow
@pytest.mark.parametrize("text", [ANSWER, *MALFORMED])
def test_every_prefix_has_valid_entities(text: str) -> None:
    splitter = Splitter(TelegramDialect())
    for end in range(len(text) + 1):
        for part in splitter.update(text[:end]):
            assert_valid(part)


def test_each_mark_is_an_entity() -> None:
    assert covered_texts("**b** *i* ~~s~~ `c` $\\bad{x}$ [l](https://a.b/c)") == [
        ("bold", "b"),
        ("italic", "i"),
        ("strikethrough", "s"),
        ("code", "c"),
        ("code", "\\bad{x}"),
        ("text_link", "l"),
    ]


def test_offsets_are_utf_16() -> None:
    assert covered_texts("😀😀 **bold😀** `x`") == [("bold", "bold😀"), ("code", "x")]


def test_fence_keeps_its_language() -> None:
    part = render("```python\nprint(1)\n```")
    assert part.text == "print(1)"
    assert [(e.type, e.language) for e in part_entities(part)] == [("pre", "python")]


def test_emphasis_is_split_around_code() -> None:
    assert covered_texts("**a `b` c**") == [("bold", "a "), ("code", "b"), ("bold", " c")]


def test_headings_are_bold_without_emoji() -> None:
    assert render("# Head").text == "Head"
    assert set(covered_texts("# Head")) == {("bold", "Head"), ("underline", "Head")}
    assert covered_texts("## Head **x**") == [("bold", "Head x")]


def test_lists_tasks_and_nesting() -> None:
    assert render("3. a\n4. b\n   - c\n\n- [ ] d\n- [x] e").text == ("3. a\n4. b\n   • c\n\n• ☐ d\n• ☑ e")


def test_code_block_directly_after_item_text() -> None:
    assert render("- item\n  ```py\n  code").text == "• item\ncode"


def test_generics_and_tags_are_kept() -> None:
    for text in (
        "vector<int> and List<String>",
        "if a<b and c>d then",
        "<details>x</details>",
        "<!-- y --> after",
        "<think>secret</think>",
    ):
        assert render(text).text == text


def test_formulas_that_are_no_text_remain_tex() -> None:
    assert covered_texts("\\(\\bad{a}{b}\\) and\n\n$$\n\\bad^{-x^2}dx\n$$") == [
        ("code", "\\bad{a}{b}"),
        ("pre", "\\bad^{-x^2}dx"),
    ]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "tg://user?id=5", "ftp://x/y"])
def test_only_web_and_mail_links_are_active(url: str) -> None:
    part = render(f"[name]({url})")
    assert part.text == f"name ({url})"
    assert not part_entities(part)
    assert covered_texts("[m](mailto:a@b.c)") == [("text_link", "m")]


def test_tables_are_aligned_for_wide_characters() -> None:
    part = render("| a | n |\n|---|--:|\n| 漢字 | 1 |\n| bcd | 22 |")
    assert part.text == "a    |  n\n-----+---\n漢字 |  1\nbcd  | 22"
    assert [e.type for e in part_entities(part)] == ["pre"]


def test_rule_is_a_line() -> None:
    assert render("above\n\n---\n\nbelow").text == "above\n\n———\n\nbelow"


def test_quotes_do_not_nest() -> None:
    assert covered_texts("> a\n> > b") == [("blockquote", "a\n> b")]
    collapsed = Document((Quote((Paragraph((Text("thought"),)),), is_collapsed=True),))
    assert [e.type for e in part_entities(TelegramDialect().render(collapsed))] == ["expandable_blockquote"]


@pytest.mark.slow
def test_too_many_entities_are_split_not_dropped() -> None:
    text = " ".join(f"**b{n}**" for n in range(300))
    dialect = TelegramDialect()
    assert dialect.size(dialect.render(parse_markdown(text))) > dialect.limit
    parts = Splitter(dialect).update(text)
    assert sum(len(part_entities(part)) for part in parts) == 300
    assert max(len(part_entities(part)) for part in parts) <= 100


def test_code_keeps_first_indentation() -> None:
    part = render("```\n    x = 1\n\n```")
    assert part.text == "    x = 1"
    assert [(e.offset, e.length) for e in part_entities(part)] == [(0, 9)]


def test_lone_surrogates_are_replaced() -> None:
    assert render("a\ud83d **b**").text == "a\ufffd b"
