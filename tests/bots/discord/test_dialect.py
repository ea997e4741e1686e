import re

import pytest

from bots.discord.dialect import DiscordDialect
from core.delivery.splitter import Splitter
from core.markdown.document import Document, Paragraph, Text
from tests.core.markdown.samples import ANSWER, MALFORMED, parse_markdown


def render(text: str) -> str:
    return DiscordDialect().render(parse_markdown(text)).text


def render_literally(text: str) -> str:
    """Markdown that Discord shows as `text`."""
    return DiscordDialect().render(Document((Paragraph((Text(text),)),))).text


@pytest.mark.slow
@pytest.mark.parametrize("text", [ANSWER, *MALFORMED])
def test_every_prefix_fits_and_closes_its_fences(text: str) -> None:
    dialect = DiscordDialect()
    splitter = Splitter(dialect)
    for end in range(len(text) + 1):
        for part in splitter.update(text[:end]):
            assert 0 < len(part.text) <= 1990
            open_fence = ""
            for fence in re.findall(r"^(?:> )*(`{3,})", part.text, re.MULTILINE):
                open_fence = fence if not open_fence else "" if fence == open_fence else open_fence
            assert not open_fence


@pytest.mark.parametrize(
    "text",
    [
        "@everyone",
        "@here",
        "<@1>",
        "<@&1>",
        "<#1>",
        "<t:1:R>",
        "<:e:1>",
        "<a:e:1>",
        "</c:1>",
        ":smile:",
    ],
)
def test_output_has_no_active_markup(text: str) -> None:
    assert render_literally(text).startswith("\\")
    assert re.sub(r"\\(\W)", r"\1", render_literally(text)) == text


@pytest.mark.parametrize(
    "text",
    ["# a", "- a", "-# a", "> a", "+ a", "1. a", "*a*", "_a_", "~~a~~", "`a`", "||a||", "[a](b)"],
)
def test_text_that_looks_like_markup_is_escaped(text: str) -> None:
    markdown = render_literally(text)
    assert markdown != text
    assert re.sub(r"\\([^A-Za-z0-9\s])", r"\1", markdown) == text


def test_inline_marks_are_kept() -> None:
    text = "**b** *i* ~~s~~ `c`"
    assert render(text) == text
    assert render("$\\bad{x_1}$") == "`\\bad{x_1}`"
    assert render("`` a`b ``") == "`` a`b ``"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a***b*", "**a**\u200b*b*"),
        ("<b>a</b><b>b</b>", "**a**\u200b**b**"),
        ("<code>a</code><code>b</code>", "`a`\u200b`b`"),
        ("<i>a</i><u>b</u><s>c</s>", "*a*__b__~~c~~"),
    ],
)
def test_neighbouring_marks_stay_apart(text: str, shown: str) -> None:
    assert render(text) == shown


def test_deep_headings_are_bold() -> None:
    assert render("### a\n\nb") == "### a\nb"
    assert render("#### a") == "**a**"


def test_nested_fences_do_not_end_block() -> None:
    assert render("````md\n```py\nx\n```\n````") == "```md\n`\u200b``py\nx\n`\u200b``\n```"


def test_marks_around_address_in_plain_text_are_no_part_of_it() -> None:
    assert render_literally("**https://x.y/a_b** ~~(http://z)~~") == (
        "\\*\\*<https://x.y/a_b>\\*\\* \\~\\~(<http://z>)\\~\\~"
    )


def test_links_have_no_preview_and_only_safe_schemes() -> None:
    assert render("[a](https://x.y/z_z)") == "[a](<https://x.y/z_z>)"
    assert render("<https://x.y>") == "<https://x.y>"
    assert render("see https://x.y/a_b, or") == "see <https://x.y/a_b>, or"
    assert render("[a](javascript:x)") == "a (javascript:x)"


def test_lists_and_quotes_are_kept_and_tasks_drawn() -> None:
    assert render("- a\n  - b\n- [x] c") == "- a\n  - b\n- ☑ c"
    assert render("> a\n> b") == "> a\n> b"
    assert render("3. a\n   - b\n4. c") == "3. a\n   - b\n4. c"


def test_table_is_aligned_code_block() -> None:
    assert render("| a | n |\n|---|--:|\n| 漢字 | 1 |") == "```\na    | n\n-----+--\n漢字 | 1\n```"


def test_underscores_in_names_are_kept() -> None:
    assert render("snake_case_name and 2 * 3") == "snake\\_case\\_name and 2 \\* 3"
