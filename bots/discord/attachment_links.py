"""Links to attachments: the URL, which is signed and expires after a day, and the message that has the current URL.

    https://cdn.discordapp.com/attachments/1/3/a.png?ex=…#1/2/3

The numbers after the `#` are the IDs of the channel, the message and the attachment.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord

from bots.discord.http_client import HttpClient
from core.errors import DeliveryError, DeliveryFailure

SOURCE_PATTERN = re.compile(r"(\d+)/(\d+)/(\d+)")


def attachment_link(attachment: discord.Attachment, message: discord.Message) -> str:
    return f"{attachment.url}#{message.channel.id}/{message.id}/{attachment.id}"


@dataclass(frozen=True, slots=True)
class AttachmentDownloads:
    http: HttpClient

    async def download(self, link: str, max_bytes: int) -> bytes:
        """The content. A link without a message works until its URL expires. Raises `DeliveryError`."""
        url, _, source = link.partition("#")
        try:
            return await self.http.download(url, max_bytes)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.GONE or (match := SOURCE_PATTERN.fullmatch(source)) is None:
                raise
            channel, message, attachment = match.groups()
            new_url = await self._find_url(f"/channels/{channel}/messages/{message}", attachment)
            if new_url in (None, url):
                raise
        return await self.http.download(str(new_url), max_bytes)

    async def _find_url(self, message_path: str, attachment_id: str) -> str | None:
        attachments = _attachments(await self.http.call("GET", message_path))
        return next((str(found.get("url")) for found in attachments if found.get("id") == attachment_id), None)


def _attachments(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those of a message, and of the messages that it forwards."""
    yield from message.get("attachments") or ()
    for snapshot in message.get("message_snapshots") or ():
        yield from (snapshot.get("message") or {}).get("attachments") or ()
