"""The names of commands in the bot's own texts, which people can click."""

import pytest

from bots.discord.command_mentions import OwnTextDialect
from core.markdown.document import Document, Paragraph, Text
from tests.core.markdown.samples import parse_markdown

IDS = {"model": "11", "models": "12", "new": "13", "ask": "14"}
MODEL, MODELS, NEW = "</model:11>", "</models:12>", "</new:13>"


def render(text: str) -> str:
    return OwnTextDialect(IDS).render(parse_markdown(text)).text


def render_literally(text: str) -> str:
    return OwnTextDialect(IDS).render(Document((Paragraph((Text(text),)),))).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/model", MODEL),
        ("Choose another with /model.", f"Choose another with {MODEL}."),
        ("See /models, or /model", f"See {MODELS}, or {MODEL}"),
        ("(/new) “/new” **/new**", f"({NEW}) “{NEW}” **{NEW}**"),
        ("- /model: choose", f"- {MODEL}: choose"),
        ("今は使えません。/new で始めます（/model）", f"今は使えません。{NEW} で始めます（{MODEL}）"),
        ("`/new`", NEW),
        ("`/model NAME me` chooses", f"{MODEL} `NAME me` chooses"),
        ("- `/model`: choose", f"- {MODEL}: choose"),
    ],
)
def test_command_can_be_clicked(text: str, shown: str) -> None:
    assert render(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/modeling",
        "/model-x",
        "/model/x",
        "a/model",
        "/unknown",
        "//model",
        "../model",
        "`see /model`",
        "`/modeling`",
        "`/unknown NAME`",
        "```\n/model\n```",
        "<https://x.y/model>",
        "[/model](<https://x.y>)",
    ],
)
def test_what_only_resembles_a_command_stays(text: str) -> None:
    assert render(text) == text


@pytest.mark.parametrize("text", ["</x:1>", "</model:11>", "<@1>", "@everyone", ":smile:"])
def test_what_people_write_is_still_escaped(text: str) -> None:
    assert render_literally(text) == "\\" + text


def test_address_beside_a_command_stays() -> None:
    assert render_literally("https://x.y/model /model") == f"<https://x.y/model> {MODEL}"


def test_dialect_without_commands_changes_nothing() -> None:
    assert OwnTextDialect({}).render(parse_markdown("/model `/new`")).text == "/model `/new`"
