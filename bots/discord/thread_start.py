"""Reads how a thread began: its title, its tags, and its first message over REST."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord

from bots.discord.content import read_embeds
from bots.discord.errors import PERMANENT_FAILURES
from bots.discord.http_client import HttpClient, Json
from bots.discord.mentions import display_name, names_in_data, replace_mentions
from core.errors import DeliveryError
from core.port import Place, Quote, QuoteKind

HIDDEN_CHANNEL_FLAG = 1 << 17
"""Set in channels that the bot may not view. Their names are replaced."""


@dataclass(frozen=True, slots=True)
class ThreadStartReader:
    """`account` is the bot's user ID."""

    http: HttpClient
    account: str

    async def read(self, place: Place, question_message: str | None) -> Quote | None:
        """None if nothing is known of it. Raises `DeliveryError` if the thread cannot be read."""
        channel = await self.http.call("GET", f"/channels/{place.thread}")
        parent = await self._get_or_empty(f"/channels/{place.chat}")
        message: dict[str, Any] = {}
        if question_message != place.thread:
            # The first message of a thread has the thread's ID. A post's is in the thread, others' in the channel.
            is_post = parent.get("type") in (discord.ChannelType.forum.value, discord.ChannelType.media.value)
            message = await self._get_or_empty(
                f"/channels/{place.thread if is_post else place.chat}/messages/{place.thread}"
            )
        author: dict[str, Any] = message.get("author") or {}
        text = "\n".join(filter(None, (_describe_title(channel), _describe_tags(channel, parent), _text(message))))
        if not text:
            return None
        return Quote(
            QuoteKind.THREAD_START,
            text,
            display_name(author),
            place.thread,
            is_own=author.get("id") == self.account,
        )

    async def _get_or_empty(self, path: str) -> Json:
        """Empty if it does not exist, or if the bot may not read it."""
        try:
            return await self.http.call("GET", path)
        except DeliveryError as error:
            if error.failure not in PERMANENT_FAILURES:
                raise
            return {}


def _describe_title(channel: dict[str, Any]) -> str:
    is_hidden = int(channel.get("flags") or 0) & HIDDEN_CHANNEL_FLAG
    return "" if is_hidden else f"Title: {channel.get('name')}"


def _describe_tags(channel: dict[str, Any], parent: dict[str, Any]) -> str:
    names = {tag.get("id"): str(tag.get("name")) for tag in parent.get("available_tags") or ()}
    tags = [names[tag] for tag in channel.get("applied_tags") or () if tag in names]
    return f"Tags: {', '.join(tags)}" if tags else ""


def _text(message: dict[str, Any]) -> str:
    files = "".join(f"[file {attachment.get('filename')}] " for attachment in message.get("attachments") or ())
    embeds = read_embeds(map(discord.Embed.from_dict, message.get("embeds") or ()))
    cards = "\n".join(_texts_of_components(message.get("components") or ()))
    names = names_in_data(message)
    texts = (replace_mentions(text, names).strip() for text in (str(message.get("content") or ""), cards, embeds))
    text = files + "\n\n".join(filter(None, texts))
    return f"\n{text}" if text else ""


def _texts_of_components(components: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for component in components:
        if component.get("type") == discord.ComponentType.text_display.value:
            yield str(component.get("content") or "")
        yield from _texts_of_components(component.get("components") or ())
