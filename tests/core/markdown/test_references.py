"""Reference links and footnotes, on every platform."""

import re

import pytest
from telegram import MessageEntity

from bots.discord.dialect import DiscordDialect
from bots.telegram.dialect import TelegramDialect, part_entities
from core.delivery.splitter import Splitter
from core.port import Dialect
from tests.bots.formatted_text import discord_text, telegram_part, telegram_texts, terminal_text

URL = "https://example.com/a_b_c"


@pytest.mark.parametrize(
    "text",
    [
        f"See [the page][1].\n\n[1]: {URL}",
        f"See [the page][Long  Label].\n\n[long label]: <{URL}>",
        f"See [the page][].\n\n[the page]: {URL}",
        f"See [the page].\n\n[The Page]: {URL}",
        f"[1]: {URL}\n\nSee [the page][1].",
        f"- See [the page][a]\n\nSources:\n[a]: {URL}\n[a]: https://other.example",
        f"> See ![the page][1]\n\n[1]: {URL}",
        f"**See [the page][1]**\n\n- [1]: {URL}",
    ],
)
def test_reference_is_link(text: str) -> None:
    (link,) = [entity for entity in part_entities(telegram_part(text)) if entity.type == MessageEntity.TEXT_LINK]
    assert telegram_texts(text, MessageEntity.TEXT_LINK) == ["the page"]
    assert link.url == URL
    assert "!" not in telegram_part(text).text, "a picture is shown as its link"
    assert f"[the page](<{URL}>)" in discord_text(text)
    assert f"the page ({URL})" in terminal_text(text)


def test_used_definition_is_hidden() -> None:
    text = f"See [it][1].\n\n[1]: {URL}\n[2]: https://x.y"
    assert telegram_part(text).text == "See it.\n\n[2]: https://x.y"


def test_definition_with_title_is_shown() -> None:
    text = telegram_part(f'See [it][1].\n\n[1]: {URL} "About it"').text
    assert text == f'See it.\n\n[1]: {URL} "About it"'


@pytest.mark.parametrize("text", ["m[i][j]", "[a][b]", "[x][]", "[a-z][0-9]+", "as [1] and [2] say", "[^a-z][^b]"])
def test_reference_without_definition_stays(text: str) -> None:
    assert telegram_part(text).text == text
    assert re.sub(r"\\(.)", r"\1", discord_text(text)) == text
    assert terminal_text(text).strip() == text


@pytest.mark.parametrize("sources", ["[1]", "[1][2]", "[1] [2]", "[1][2][3]"])
def test_numbers_of_sources_stay(sources: str) -> None:
    text = f"As {sources} say.\n\n[1]: {URL}\n[2]: https://x.y"
    assert telegram_part(text).text == text


@pytest.mark.parametrize("dialect", [TelegramDialect(150), DiscordDialect(150)])
def test_definition_in_later_message_is_shown(dialect: Dialect) -> None:
    text = f"See [page][1].\n\n{'word ' * 60}\n\nSee [page][1] again.\n\n[1]: {URL}"
    first, *_, last = (part.text.replace("\\", "") for part in Splitter(dialect).update(text))
    assert "[page][1]" in first
    assert "[page][1]" not in last
    assert f"[1]: {URL}" in last.replace("<", "").replace(">", "")


@pytest.mark.parametrize("dialect", [TelegramDialect(150), DiscordDialect(150)])
def test_definition_in_earlier_message_is_used(dialect: Dialect) -> None:
    text = f"[1]: {URL}\n\n{'word ' * 60}\n\nSee [page][1] and [it][2].\n\n[1]: https://other.example"
    (part,) = [part for part in Splitter(dialect).update(text) if "page" in part.text.replace("a_b", "")]
    urls = [entity.url for entity in part_entities(part) if entity.url]
    assert urls == [URL] or f"[page](<{URL}>)" in part.text
    assert "[it][2]" in part.text.replace("\\", "")


def test_footnotes_have_raised_numbers() -> None:
    text = "A claim[^1], another.[^2][^12]\n\n[^1]: Its *source*.\n[^2]: https://x.y/_a_\n\n[^12]: The last."
    shown = "A claim¹, another.²,¹²\n\n¹ Its source.\n² https://x.y/_a_\n\n¹² The last."
    assert telegram_part(text).text == shown
    assert discord_text(text) == shown.replace("source", "*source*").replace("https://x.y/_a_", "<https://x.y/_a_>")
    assert "A claim¹, another.²,¹²" in terminal_text(text)


def test_named_footnotes_have_names_without_marks() -> None:
    text = "A claim[^my-note], not [^a-z].\n\n[^my-note]: Its source, [^my-note] again."
    shown = "A claim[my-note], not [^a-z].\n\n[my-note]: Its source, [my-note] again."
    assert telegram_part(text).text == shown
    assert discord_text(text).replace("\\", "") == shown
    assert terminal_text(text).split() == shown.split()


def test_growing_text_is_never_too_large() -> None:
    text = "[a page][label of it] and [b][2], " * 12 + f"\n\n[2]: {URL}\n[label of it]: https://x.y\n\n" + "word " * 30
    for dialect in (TelegramDialect(400), DiscordDialect(420), DiscordDialect(700)):
        whole = Splitter(dialect).update(text)
        growing = Splitter(dialect)
        for end in range(len(text)):
            parts = growing.update(text[:end], is_growing=True)
            assert all(dialect.size(part) <= dialect.limit for part in parts)
            assert parts[:-1] == whole[: len(parts[:-1])]
        assert growing.update(text) == whole
