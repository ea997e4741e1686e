"""What a message contains besides its text."""

from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bots.discord.content import (
    command_attachments,
    describe_poll,
    message_attachments,
    read_embeds,
    read_text,
)
from bots.discord.mentions import MentionNames
from core.port import Attachment

URL = "https://cdn.discordapp.com/attachments/1/3/a"


def snapshot(**fields: Any) -> discord.MessageSnapshot:
    """A forwarded message, which has no poll."""
    empty = {"content": "", "components": [], "embeds": [], "attachments": [], "stickers": []}
    return cast("discord.MessageSnapshot", SimpleNamespace(**empty | fields))


def library_attachment(**fields: Any) -> discord.Attachment:
    data = {"id": "3", "filename": "a", "size": 5, "url": URL, "proxy_url": URL, **fields}
    return discord.Attachment(data=cast("Any", data), state=cast("Any", SimpleNamespace(http=None)))


def embed(**fields: Any) -> discord.Embed:
    return discord.Embed(**fields)


def test_embed_is_read_in_the_order_in_which_it_is_shown() -> None:
    full = embed(title="Title", url="https://x.example", description="Text")
    full.set_author(name="Author").add_field(name="a", value="1").add_field(name="b", value="2").set_footer(text="Foot")
    text = "Author\nTitle\nhttps://x.example\nText\na: 1\nb: 2\nFoot"
    assert read_embeds([full]) == text
    assert read_embeds([embed(), full, embed(title="Next")]) == f"{text}\n\nNext"
    assert read_embeds([]) == ""


def test_poll_is_described_with_its_votes() -> None:
    answers = [SimpleNamespace(text="Tea", vote_count=2), SimpleNamespace(text="Coffee", vote_count=0)]
    message = SimpleNamespace(poll=SimpleNamespace(question="What?", answers=answers))
    assert describe_poll(cast("discord.Message", message)) == "Poll: What?\n- Tea (2)\n- Coffee (0)"
    assert describe_poll(cast("discord.Message", SimpleNamespace(poll=None))) == ""


def test_text_is_followed_by_components_and_embeds() -> None:
    display: Any = discord.components.TextDisplay.__new__(discord.components.TextDisplay)
    display.content = "Card with </help:77>"
    container = SimpleNamespace(children=[SimpleNamespace(), display])
    content = snapshot(content=" <@5> says ", components=[container, display], embeds=[embed(title="Preview")])
    assert (
        read_text(content, MentionNames(people={"5": "Ann"}))
        == "@Ann says\n\nCard with /help\nCard with /help\n\nPreview"
    )
    assert read_text(snapshot(), MentionNames()) == ""


@pytest.mark.parametrize(
    ("media_type", "kind", "can_be"),
    [
        ("image/png", "photo", "image"),
        ("image/svg+xml", "file", "document"),
        ("video/mp4", "video", ""),
        ("audio/mpeg", "audio file", "audio"),
        ("text/plain; charset=utf-8", "file", "document"),
        ("application/pdf", "file", "document"),
        (None, "file", "document"),
    ],
)
def test_media_type_says_what_a_file_is_good_for(media_type: str | None, kind: str, can_be: str) -> None:
    """The same for a file of a message as for one of a command."""
    flags = {f"is_{name}": name == can_be for name in ("document", "image", "audio")}
    (sent,) = message_attachments(snapshot(attachments=[library_attachment(content_type=media_type)]))
    assert sent == Attachment(kind, "a", 5, URL, **flags)
    file = {"id": "3", "filename": "a", "size": 5, "url": URL, "content_type": media_type}
    assert command_attachments({"resolved": {"attachments": {"3": file}}}) == (sent,)


def test_file_of_a_command_may_lack_every_field() -> None:
    (file,) = command_attachments({"resolved": {"attachments": {"3": {}}}})
    assert file == Attachment("file", "", 0, "", is_document=True)
    assert command_attachments({}) == command_attachments({"resolved": None}) == ()


def test_link_names_the_message_that_has_the_current_url() -> None:
    message = cast("discord.Message", SimpleNamespace(id=2, channel=SimpleNamespace(id=1)))
    (file,) = message_attachments(snapshot(attachments=[library_attachment()]), message)
    assert file.file_id == f"{URL}#1/2/3"
    itself: Any = discord.Message.__new__(discord.Message)
    itself.id, itself.channel, itself.attachments, itself.stickers = (
        4,
        SimpleNamespace(id=1),
        [library_attachment()],
        [],
    )
    assert message_attachments(itself)[0].file_id == f"{URL}#1/4/3"


def test_voice_message_is_a_recording() -> None:
    voice = library_attachment(content_type="audio/ogg", duration_secs=1.5, waveform="AAAA", flags=1 << 13)
    (file,) = message_attachments(snapshot(attachments=[voice]))
    assert (file.kind, file.is_audio, file.is_document) == ("voice message", True, False)


@pytest.mark.parametrize(
    ("sticker_format", "is_image"), [(discord.StickerFormatType.png, True), (discord.StickerFormatType.lottie, False)]
)
def test_sticker_is_a_picture_unless_it_is_a_program(sticker_format: discord.StickerFormatType, is_image: bool) -> None:
    sticker = SimpleNamespace(name="wave", url="https://x.example/s.png", format=sticker_format)
    (attachment,) = message_attachments(snapshot(stickers=[sticker]))
    file_id = "https://x.example/s.png" if is_image else ""
    assert attachment == Attachment("sticker", "wave", file_id=file_id, is_image=is_image)
