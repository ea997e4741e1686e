"""Discord's attachments and stickers as `Attachment`."""

from collections.abc import Mapping
from typing import Any

import discord

from core.port import FILE_KIND, Attachment

__all__ = ["command_attachments", "message_attachments", "replied_files"]

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
    return tuple(attachment for attachment in message_attachments(original) if attachment.kind == FILE_KIND)


def command_attachments(data: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files of a command, from the `data` of its interaction."""
    files: Mapping[str, Mapping[str, Any]] = (data.get("resolved") or {}).get("attachments") or {}
    return tuple(map(_from_payload, files.values()))


def _from_library(attachment: discord.Attachment) -> Attachment:
    media_type = attachment.content_type or ""
    kind = "voice message" if attachment.is_voice_message() else _kind(media_type)
    return Attachment(kind, attachment.filename, attachment.size, attachment.url, media_type)


def _from_payload(file: Mapping[str, Any]) -> Attachment:
    media_type = str(file.get("content_type") or "")
    return Attachment(
        _kind(media_type),
        str(file.get("filename", "")),
        int(file.get("size", 0)),
        str(file.get("url", "")),
        media_type,
    )


def _kind(media_type: str) -> str:
    return KIND_BY_MEDIA_FAMILY.get(media_type.partition("/")[0], FILE_KIND)
