"""Reads what a message contains besides plain text. Pure functions of discord.py's objects."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import discord
from discord.components import TextDisplay

from bots.discord.attachment_links import attachment_link
from bots.discord.mentions import MentionNames, replace_mentions
from core.i18n.translation import gettext_noop
from core.port import Attachment

Content: TypeAlias = discord.Message | discord.MessageSnapshot

DOCUMENT_KIND = gettext_noop("file")
PHOTO_KIND = gettext_noop("photo")
AUDIO_KIND, VOICE_KIND = gettext_noop("audio file"), gettext_noop("voice message")
RECORDING_KINDS = (AUDIO_KIND, VOICE_KIND)
KIND_BY_MEDIA_FAMILY = {
    "image": PHOTO_KIND,
    "video": gettext_noop("video"),
    "audio": AUDIO_KIND,
}


def message_attachments(content: Content, message: discord.Message | None = None) -> tuple[Attachment, ...]:
    """`message` forwards `content`; without it, `content` is the message, or nothing is downloaded."""
    if message is None and isinstance(content, discord.Message):
        message = content
    return (
        *(_from_library(attachment, message) for attachment in content.attachments),
        *map(_from_sticker, content.stickers),
    )


def command_attachments(data: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files of a command, from the `data` of its interaction."""
    files: Mapping[str, Mapping[str, Any]] = (data.get("resolved") or {}).get("attachments") or {}
    return tuple(map(_from_payload, files.values()))


def read_text(content: Content, names: MentionNames) -> str:
    """The text as clients show it, then the poll, the texts of cards and the embeds."""
    poll = describe_poll(content) if isinstance(content, discord.Message) else ""
    texts = (content.content, poll, _read_components(content.components), read_embeds(content.embeds))
    return "\n\n".join(filter(None, (replace_mentions(text, names).strip() for text in texts)))


def describe_poll(message: discord.Message) -> str:
    if message.poll is None:
        return ""
    answers = "\n".join(f"- {answer.text} ({answer.vote_count})" for answer in message.poll.answers)
    return f"Poll: {message.poll.question}\n{answers}"


def _read_components(components: Iterable[Any]) -> str:
    """Some bots write messages that consist of components, without other text."""
    texts = (
        component.content
        if isinstance(component, TextDisplay)
        else _read_components(getattr(component, "children", ()))
        for component in components
    )
    return "\n".join(filter(None, texts))


def read_embeds(embeds: Iterable[discord.Embed]) -> str:
    return "\n\n".join(filter(None, map(_read_embed, embeds)))


def _read_embed(embed: discord.Embed) -> str:
    fields = (f"{field.name}: {field.value}" for field in embed.fields)
    lines = (embed.author.name, embed.title, embed.url, embed.description, *fields, embed.footer.text)
    return "\n".join(filter(None, lines))


def _from_sticker(sticker: discord.StickerItem) -> Attachment:
    has_image = sticker.format is not discord.StickerFormatType.lottie
    return Attachment(
        gettext_noop("sticker"), sticker.name, file_id=sticker.url if has_image else "", is_image=has_image
    )


def _from_library(attachment: discord.Attachment, message: discord.Message | None) -> Attachment:
    kind = VOICE_KIND if attachment.is_voice_message() else _kind(attachment.content_type or "")
    return Attachment(
        kind,
        attachment.filename,
        attachment.size,
        attachment.url if message is None else attachment_link(attachment, message),
        is_document=kind == DOCUMENT_KIND,
        is_image=kind == PHOTO_KIND,
        is_audio=kind in RECORDING_KINDS,
    )


def _from_payload(file: Mapping[str, Any]) -> Attachment:
    kind = _kind(str(file.get("content_type") or ""))
    return Attachment(
        kind,
        str(file.get("filename", "")),
        int(file.get("size", 0)),
        str(file.get("url", "")),
        is_document=kind == DOCUMENT_KIND,
        is_image=kind == PHOTO_KIND,
        is_audio=kind in RECORDING_KINDS,
    )


def _kind(media_type: str) -> str:
    if media_type.startswith("image/svg"):
        return DOCUMENT_KIND  # a text
    return KIND_BY_MEDIA_FAMILY.get(media_type.partition("/")[0], DOCUMENT_KIND)
