"""Builds the JSON of messages: flags, mentions, replies and deduplication."""

from collections.abc import Sequence

import discord

from bots.discord.http_client import Json
from core.port import File

SUPPRESS_EMBEDS_FLAG = discord.MessageFlags.suppress_embeds.flag
EPHEMERAL_FLAG = discord.MessageFlags.ephemeral.flag
LOADING_FLAG = discord.MessageFlags.loading.flag

NO_MENTIONS: Json = {"parse": [], "replied_user": False}
"""Messages never ping anyone."""


def message_payload(
    content: str,
    *,
    components: Sequence[object] | None = None,
    flags: int = 0,
    nonce: str = "",
    reply_to: str | None = None,
    file: File | None = None,
) -> Json:
    """A message that pings nobody. If `components` is None, an edit does not change them.

    Discord creates only one message for each `nonce`. A reply to a deleted message becomes a plain
    message.
    """
    payload: Json = {"content": content, "allowed_mentions": NO_MENTIONS}
    if components is not None:
        payload["components"] = components
    if flags:
        payload["flags"] = flags
    if nonce:
        payload |= {"nonce": nonce, "enforce_nonce": True}
    if reply_to:
        payload["message_reference"] = {"message_id": reply_to, "fail_if_not_exists": False}
    if file is not None:
        payload["attachments"] = [{"id": 0, "filename": file.name}]
    return payload
