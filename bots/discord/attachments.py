"""Discord's attachments and stickers as `Attachment`."""

from collections.abc import Mapping
from typing import Any

import discord

from core.port import Attachment

DOCUMENT_KIND = "file"
KIND_BY_MEDIA_FAMILY = {"image": "photo", "video": "video", "audio": "audio file"}


def message_attachments(message: discord.Message) -> tuple[Attachment, ...]:
    return (
        *map(_from_library, message.attachments),
        *(Attachment("sticker", sticker.name) for sticker in message.stickers),
    )


def replied_files(reference: discord.MessageReference | None) -> tuple[Attachment, ...]:
    """The readable files of the message that a person's reply refers to."""
    original = reference.resolved if reference else None
    if not isinstance(original, discord.Message) or original.author.bot:
        return ()
    return tuple(attachment for attachment in message_attachments(original) if attachment.is_document)


def command_attachments(data: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files of a command, from the `data` of its interaction."""
    files: Mapping[str, Mapping[str, Any]] = (data.get("resolved") or {}).get("attachments") or {}
    return tuple(map(_from_payload, files.values()))


def _from_library(attachment: discord.Attachment) -> Attachment:
    kind = "voice message" if attachment.is_voice_message() else _kind(attachment.content_type or "")
    return Attachment(kind, attachment.filename, attachment.size, attachment.url, is_document=kind == DOCUMENT_KIND)


def _from_payload(file: Mapping[str, Any]) -> Attachment:
    kind = _kind(str(file.get("content_type") or ""))
    return Attachment(
        kind,
        str(file.get("filename", "")),
        int(file.get("size", 0)),
        str(file.get("url", "")),
        is_document=kind == DOCUMENT_KIND,
    )


def _kind(media_type: str) -> str:
    return KIND_BY_MEDIA_FAMILY.get(media_type.partition("/")[0], DOCUMENT_KIND)
