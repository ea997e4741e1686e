"""HTML that models write, on every platform."""

import pytest
from telegram import MessageEntity

from tests.bots.formatted_text import BOLD, discord_text, telegram_part, telegram_texts, terminal_text

CASES = {
    "a<br>b<br/>c<BR />d</br>e": "a\nb\nc\nd\ne",
    "H<sub>2</sub>O, x<sup>2</sup>, x<sub>AB</sub>": "H₂O, x², x_(AB)",
    "<ul><li>a</li><li>b</li></ul>": "• a\n• b",
    "| Step | Do |\n|---|---|\n| 1 | a<br>b |": "Step | Do\n-----+---\n1    | a\n     | b",
    "| Step | Do |\n|---|---|\n| 1 | <ul><li>a</li><li>b</li></ul> |": "Step | Do\n-----+----\n1    | • a\n     | • b",
    "x\n<ul>\n  <li>a</li>\n  <li>b</li>\n</ul>\ny": "x\n• a\n• b\ny",
    "x<ul>\n</ul>y": "xy",
    "Steps:<ol><li>a</li><li>b</li></ol>": "Steps:\n• a\n• b",
    "a <b>c": "a <b>c",
    "<script>alert(1)</script> <img src=x onerror=y> <!-- c --> vector<int> a<b": (
        "<script>alert(1)</script> <img src=x onerror=y> <!-- c --> vector<int> a<b"
    ),
    '<b onclick="x">y</b>': '<b onclick="x">y</b>',
    '<a target="_blank">y</a>': '<a target="_blank">y</a>',
    "`<b>x</b>`": "<b>x</b>",
    "<code>List<String></code>": "List<String>",
    "<code>a &lt; b</code>": "a < b",
    "<code>a <code>b": "<code>a <code>b",
}


@pytest.mark.parametrize("text", CASES)
def test_html_has_meaning_or_is_text(text: str) -> None:
    assert telegram_part(text).text == CASES[text]
    for line in CASES[text].split("\n"):
        assert line.strip() in discord_text(text).replace("\\", "")
        assert line.strip().removeprefix("• ") in terminal_text(text)


@pytest.mark.parametrize("platform", BOLD)
def test_tags_are_bold(platform: str) -> None:
    assert BOLD[platform]("<b>x</b> and <STRONG>y z</STRONG>") == ["x", "y z"]


def test_other_tags() -> None:
    text = '<i>i</i> <u>u</u> <s>s</s> <code>c</code> <a href="https://x.y/">l</a>'
    assert telegram_texts(text, MessageEntity.ITALIC) == ["i"]
    assert telegram_texts(text, MessageEntity.UNDERLINE) == ["u"]
    assert telegram_texts(text, MessageEntity.STRIKETHROUGH) == ["s"]
    assert telegram_texts(text, MessageEntity.CODE) == ["c"]
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == ["l"]
    assert discord_text(text) == "*i* __u__ ~~s~~ `c` [l](<https://x.y/>)"


@pytest.mark.parametrize(
    "attributes",
    ["href={}", "href=' {} '", 'href="{}" target="_blank" rel="x y"', "class='c' HREF = '{}'", 'href="{}" title=""'],
)
def test_other_attributes_of_link_are_ignored(attributes: str) -> None:
    text = f"see <a {attributes.format('https://x.y/_a_')}>*t*</a>"
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == ["t"]
    assert discord_text(text) == "see [*t*](<https://x.y/_a_>)"


def test_link_cannot_act() -> None:
    text = '<a href="javascript:alert(1)">x</a>'
    assert not telegram_texts(text, MessageEntity.TEXT_LINK)
    assert "](" not in discord_text(text)
