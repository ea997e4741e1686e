"""Which blocks an answer becomes, when, and that nothing in it can act."""

import json
from typing import Any

import pytest

from bots.sandbox.telegram.rich import parse_rich_message
from bots.telegram.dialect import TelegramDialect
from bots.telegram.rich_blocks import is_complete_tex
from bots.telegram.rich_dialect import MAX_UNITS, RichDialect, rich_content, rich_message
from core.delivery.splitter import Splitter
from core.i18n.translation import read_catalogue, speaking
from core.markdown.document import Document
from core.port import Part, RichMode
from tests import api_specs
from tests.core.markdown.samples import ANSWER, MALFORMED, parse_markdown

TABLE = "| a | b |\n|---|--:|\n| 1 | 2 |"
LONG_PARAGRAPHS = "\n\n".join(f"Paragraph {number}. " + "Plain words follow. " * 20 for number in range(60))


def render(text: str, mode: RichMode = RichMode.ALWAYS) -> Part:
    return RichDialect(mode).render(parse_markdown(text))


def message_of(part: Part) -> dict[str, Any]:
    """The `InputRichMessage` as Telegram gets it."""
    message = rich_message(part)
    message["blocks"] = json.loads(b"[" + b",".join(map(bytes, message["blocks"])) + b"]")
    return message


def blocks_of(text: str) -> list[Any]:
    blocks: list[Any] = message_of(render(text))["blocks"]
    return blocks


def objects_in(value: Any) -> list[dict[str, Any]]:
    """All objects, however deep."""
    if isinstance(value, list):
        return [found for item in value for found in objects_in(item)]
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in objects_in(item))]
    return []


def is_rich(part: Part) -> bool:
    return rich_content(part) is not None


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("## Two", [{"type": "heading", "text": "Two", "size": 2}]),
        ("a\nb", [{"type": "paragraph", "text": "a\nb"}]),
        ("```py\nx = 1\n```", [{"type": "pre", "text": "x = 1", "language": "py"}]),
        ("---", [{"type": "divider"}]),
        ("> q", [{"type": "blockquote", "blocks": [{"type": "paragraph", "text": "q"}]}]),
        (r"\[ \frac{a}{b} \]", [{"type": "mathematical_expression", "expression": r"\frac{a}{b}"}]),
        (r"\[ \frac{a", [{"type": "pre", "text": r"\[ \frac{a", "language": "tex"}]),
        (r"\[ x^2", [{"type": "pre", "text": r"\[ x^2", "language": "tex"}]),
        (
            "- [x] a\n- [ ] b",
            [
                {
                    "type": "list",
                    "items": [
                        {
                            "blocks": [{"type": "paragraph", "text": "a"}],
                            "has_checkbox": True,
                            "is_checked": True,
                        },
                        {"blocks": [{"type": "paragraph", "text": "b"}], "has_checkbox": True},
                    ],
                }
            ],
        ),
        (
            "3. a\n   - b\n4. **c**\n5. ```\n   d\n   ```",
            [
                {
                    "type": "list",
                    "items": [
                        {
                            "blocks": [
                                {"type": "paragraph", "text": "a"},
                                {"type": "list", "items": [{"blocks": [{"type": "paragraph", "text": "b"}]}]},
                            ],
                            "value": 3,
                        },
                        {"blocks": [{"type": "paragraph", "text": {"type": "bold", "text": "c"}}], "value": 4},
                        {"blocks": [{"type": "pre", "text": "d"}], "value": 5},
                    ],
                }
            ],
        ),
        (
            "<details><summary>Why *this*</summary>\n\nBecause.\n</details>",
            [
                {
                    "type": "details",
                    "summary": ["Why ", {"type": "italic", "text": "this"}],
                    "blocks": [{"type": "paragraph", "text": "Because."}],
                }
            ],
        ),
        (
            TABLE,
            [
                {
                    "type": "table",
                    "cells": [
                        [
                            {"text": "a ", "align": "left", "valign": "middle", "is_header": True},
                            {"text": "b ", "align": "right", "valign": "middle", "is_header": True},
                        ],
                        [
                            {"text": "1 ", "align": "left", "valign": "middle"},
                            {"text": "2 ", "align": "right", "valign": "middle"},
                        ],
                    ],
                    "is_bordered": True,
                }
            ],
        ),
        (
            "2. a\n3. **b**",
            [
                {"type": "paragraph", "text": "2. a"},
                {"type": "paragraph", "text": ["3. ", {"type": "bold", "text": "b"}]},
            ],
        ),
        (
            "1. [x] a\n2. [ ] b",
            [
                {
                    "type": "list",
                    "items": [
                        {
                            "blocks": [{"type": "paragraph", "text": "a"}],
                            "value": 1,
                            "has_checkbox": True,
                            "is_checked": True,
                        },
                        {"blocks": [{"type": "paragraph", "text": "b"}], "value": 2, "has_checkbox": True},
                    ],
                }
            ],
        ),
        (
            "**a `b`** $x^2$ ~~c~~ [d](https://e.org) https://f.org",
            [
                {
                    "type": "paragraph",
                    "text": [
                        {"type": "bold", "text": ["a ", {"type": "code", "text": "b"}]},
                        " ",
                        {"type": "mathematical_expression", "expression": "x^2"},
                        " ",
                        {"type": "strikethrough", "text": "c"},
                        " ",
                        {"type": "url", "text": "d", "url": "https://e.org"},
                        " ",
                        {"type": "url", "text": "https://f.org", "url": "https://f.org"},
                    ],
                }
            ],
        ),
    ],
)
def test_markdown_becomes_typed_blocks(text: str, blocks: list[Any]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize("text", [ANSWER, *MALFORMED, TABLE, LONG_PARAGRAPHS])
def test_rich_messages_match_the_description_of_the_api(text: str) -> None:
    api_specs.require_specs()
    for part in Splitter(RichDialect(RichMode.ALWAYS)).update(text):
        message = message_of(part)
        assert api_specs.telegram_errors("InputRichMessage", message) == []
        parse_rich_message(message)  # the stand-in refuses what Telegram would


@pytest.mark.parametrize("text", ["Hi", "**bold** and `code`", "- a\n- [ ] b", "> quote", "```py\nx\n```", "$x$"])
def test_plain_answers_stay_text_with_entities(text: str) -> None:
    assert render(text, RichMode.AUTO) == TelegramDialect().render(parse_markdown(text))


@pytest.mark.parametrize(
    "text",
    [TABLE, f"> - x\n>\n>   {TABLE}".replace("\n|", "\n>   |"), r"\[ x^2 \]", "It is **$x^2$**.", "<details>\na"],
)
def test_tables_formulas_and_details_are_rich(text: str) -> None:
    assert is_rich(render(f"Before.\n\n{text}", RichMode.AUTO))


def test_long_answer_is_one_rich_message() -> None:
    (part,) = Splitter(RichDialect(RichMode.AUTO)).update(LONG_PARAGRAPHS)
    assert len(LONG_PARAGRAPHS) > 20_000
    assert is_rich(part)
    assert "".join(part.text.split()) == "".join(LONG_PARAGRAPHS.split())


def test_growing_answer_becomes_rich_in_the_same_message() -> None:
    splitter = Splitter(RichDialect(RichMode.AUTO))
    text = f"An answer.\n\n{TABLE}\n\nThe end."
    shown = [splitter.update(text[:end], is_growing=True) for end in range(1, len(text))]
    assert {len(parts) for parts in shown} == {1}
    forms = [is_rich(parts[0]) for parts in shown]
    assert forms == sorted(forms), "rich once the table is there, and so it stays"
    assert forms[0] is False
    assert forms[-1] is True
    assert splitter.update(text) == Splitter(RichDialect(RichMode.AUTO)).update(text)


def test_more_blocks_than_telegram_allows_are_split() -> None:
    text = "\n\n".join(f"word {number}" for number in range(1200)) + f"\n\n{TABLE}"
    parts = Splitter(RichDialect(RichMode.AUTO)).update(text)
    assert len(parts) > 1
    for part in filter(is_rich, parts):
        parse_rich_message(message_of(part))


def test_long_table_repeats_its_header() -> None:
    rows = "\n".join(f"| {number} | {'x' * 80} |" for number in range(600))
    parts = Splitter(RichDialect(RichMode.AUTO)).update(f"| number | text |\n|---|---|\n{rows}")
    assert len(parts) == 2
    tables = [message_of(part)["blocks"][0]["cells"] for part in parts]
    assert all(cells[0][0]["text"] == "number " for cells in tables)
    assert sum(len(cells) - 1 for cells in tables) == 600
    for part in parts:
        parse_rich_message(message_of(part))


def test_wide_table_is_records() -> None:
    header = "|".join(f"c{number}" for number in range(30))
    blocks = blocks_of(f"|{header}|\n|{'-|' * 30}\n|{'v|' * 30}")
    assert [block["type"] for block in blocks] == ["paragraph"]
    assert "c29: v" in str(blocks)


@pytest.mark.parametrize("opener", ["> ", "- ", "1. "])
def test_deep_nesting_keeps_its_words(opener: str) -> None:
    text = "".join(
        f"{'   ' * depth * (opener != '> ')}{opener * (depth + 1 if opener == '> ' else 1)}w{depth}\n"
        for depth in range(14)
    )
    part = render(text + f"\n{TABLE}")
    parse_rich_message(message_of(part))
    assert all(f"w{depth}" in json.dumps(message_of(part)) for depth in range(14))


HOSTILE = """\
<tg-button type="callback_data" data="again:1">Press</tg-button>
<tg-button-row><tg-button type="url" url="https://evil.example">x</tg-button></tg-button-row>
<a href="tg://user?id=5">you</a> [you](tg://user?id=5) [run](javascript:alert(1)) ![i](tg://photo?id=1)
<img src="https://evil.example/a.png"> <video src="x"></video> <tg-thinking>hidden</tg-thinking> <tg-map lat="1">
@victim /start #tag $USD +49 30 1234 <script>alert(1)</script> [data](data:text/html;base64,x) \u202egnp.exe \x1b[31mred

{"type": "buttons", "buttons": [{"text": "x", "callback_data": "stop:1"}]}

| <tg-button> | [x](tg://resolve?domain=evil) |
|---|---|
| @everyone | <b onclick="x">b</b> |

<details><summary><tg-button type="web_app">s</tg-button> [x](javascript:1)</summary>

[y](vbscript:x)
</details>
"""
TYPES = {
    *("paragraph", "heading", "pre", "divider", "mathematical_expression", "list", "blockquote", "details", "table"),
    *("bold", "italic", "underline", "strikethrough", "spoiler", "code", "url", "footer"),
}


@pytest.mark.parametrize("mode", [RichMode.AUTO, RichMode.ALWAYS])
def test_nothing_in_an_answer_can_act(mode: RichMode) -> None:
    message = message_of(render(HOSTILE, mode))
    objects = objects_in(message["blocks"])
    assert {found["type"] for found in objects if "type" in found} <= TYPES
    urls = [found["url"] for found in objects if "url" in found]
    assert all(url.startswith(("https://", "http://", "mailto:")) for url in urls)
    allowed = {"type", "text", "url", "blocks", "summary", "cells", "align", "valign", "is_header", "is_bordered"}
    assert set().union(*objects) <= allowed | {"items", "size", "language", "expression"}
    # Otherwise, Telegram itself would find the mention and the command.
    assert message["skip_entity_detection"] is True
    shown = json.dumps(message["blocks"], ensure_ascii=False)
    for words in ("tg-button type", "javascript:alert(1)", "tg://user?id=5", "@victim", "/start", "<script>"):
        assert words in shown, "it is visible text"
    parse_rich_message(message)


def test_note_becomes_the_footer() -> None:
    part = render(TABLE, RichMode.AUTO)
    noted = Part(f"{part.text}\n\nStopped.", part.native)
    assert message_of(noted)["blocks"][-1] == {"type": "footer", "text": "Stopped."}
    dialect = RichDialect(RichMode.AUTO)
    assert dialect.size(noted) > dialect.size(part)


def test_note_that_no_text_with_entities_has_room_for_does_not_fit() -> None:
    dialect = RichDialect(RichMode.AUTO)
    part = dialect.render(parse_markdown("x" * 4090))
    assert dialect.size(Part(f"{part.text}\n\nA note.", part.native)) > dialect.limit == MAX_UNITS


def test_right_to_left_answers_are_shown_so() -> None:
    assert message_of(render("1. שלום"))["is_rtl"] is True
    assert message_of(render("مرحبا"))["is_rtl"] is True
    assert "is_rtl" not in message_of(render("Hello, שלום"))


def test_empty_document_shows_nothing() -> None:
    assert RichDialect(RichMode.ALWAYS).render(Document()) == Part("")


def test_item_that_has_just_begun_shows_nothing() -> None:
    assert blocks_of("- a\n- ") == blocks_of("- a")


@pytest.mark.parametrize(
    ("tex", "is_complete"),
    [
        ("x^2", True),
        (r"\{x\}", True),
        (r"\begin{cases} a \end{cases}", True),
        (r"\left( x \right)", True),
        (r"\leftarrow", True),
        ("", False),
        (r"\frac{a", False),
        ("}{", False),
        (r"\begin{cases} a", False),
        (r"\left( x", False),
        ("x \\", False),
        (r"\[ x", False),
        ("$$ x", False),
    ],
)
def test_incomplete_formulas_are_recognised(tex: str, is_complete: bool) -> None:
    assert is_complete_tex(tex) is is_complete


def test_details_without_a_summary_are_named_in_the_current_language() -> None:
    with speaking(read_catalogue("es")):
        [details] = blocks_of("<details>\n\nPorque sí.\n</details>")
    assert details["summary"] == "Detalles"
