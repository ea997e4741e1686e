"""Translates what a message replies to, and the previews of its links, to `Quote`s. Pure functions."""

from dataclasses import replace

import discord

from bots.discord.content import Content, message_attachments, read_embeds, read_text
from bots.discord.mentions import MentionNames, names_in_message
from core.port import Attachment, Quote, QuoteKind


def translate_quotes(message: discord.Message, bot_id: int) -> tuple[Quote, ...]:
    quotes = []
    if (original := replied_message(message)) is not None:
        quotes.append(quote_message(original, QuoteKind.REPLY, bot_id, message.author))
    # Discord does not say who wrote a forwarded message.
    quotes += [_quote_forward(snapshot, message) for snapshot in message.message_snapshots]
    quotes.append(Quote(QuoteKind.LINK_PREVIEW, read_embeds(message.embeds)))
    return tuple(quote for quote in quotes if quote.text)


def quote_message(
    original: discord.Message, kind: QuoteKind, bot_id: int, reader: discord.User | discord.Member
) -> Quote:
    """`reader`: who quotes it, and may not learn the names of channels that only its author can see."""
    names = names_in_message(original, reader)
    text = "\n\n".join(filter(None, (_read_quoted(content, names) for content in _contents(original))))
    author = original.author
    return Quote(kind, text, author.display_name, str(original.id), is_own=author.id == bot_id)


def replied_message(message: discord.Message) -> discord.Message | None:
    """None if there is none, or if it was deleted."""
    if message.type is not discord.MessageType.reply or message.reference is None:
        return None
    original = message.reference.resolved
    return original if isinstance(original, discord.Message) else None


def forwarded_files(message: discord.Message) -> tuple[Attachment, ...]:
    files = (file for snapshot in message.message_snapshots for file in message_attachments(snapshot, message))
    return tuple(replace(file, is_forwarded=True) for file in files)


def replied_files(message: discord.Message) -> tuple[Attachment, ...]:
    """The readable files, pictures and recordings of the message that a person's reply refers to."""
    original = replied_message(message)
    return () if original is None or original.author.bot else quoted_files(original)


def quoted_files(original: discord.Message) -> tuple[Attachment, ...]:
    files = (file for content in _contents(original) for file in message_attachments(content, original))
    return tuple(replace(file, is_quoted=True) for file in files if file.is_document or file.is_image or file.is_audio)


def _contents(message: discord.Message) -> tuple[Content, ...]:
    """The message, and what it forwards."""
    return (message, *message.message_snapshots)


def _quote_forward(snapshot: discord.MessageSnapshot, message: discord.Message) -> Quote:
    names = names_in_message(message, message.author)
    written = read_text(snapshot, names)
    # The model gets documents and pictures themselves.
    is_readable = all(file.is_document or file.is_image for file in message_attachments(snapshot))
    text = written if written and is_readable else _read_quoted(snapshot, names)
    return Quote(QuoteKind.FORWARD, text, message_id=str(message.id), is_placeholder=not written)


def _read_quoted(content: Content, names: MentionNames) -> str:
    """The text, after what cannot be read: `[photo garden.png] Our garden`."""
    marks = [f"[{' '.join(filter(None, (file.kind, file.name)))}]" for file in message_attachments(content)]
    return " ".join(filter(None, (*marks, read_text(content, names))))
